"""The scheduler's lease and its memory, without processes (test_processes.py has those)."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from celery.beat import Scheduler
from celery.schedules import schedule
from django.db import DatabaseError, OperationalError
from django.utils import timezone

from marefia.celery import app, make_folders, tell_ready
from marefia.ops import scheduler
from marefia.ops.models import Lease, ScheduledRun
from marefia.outbox import queue
from marefia.outbox.models import OutboxRow

pytestmark = pytest.mark.django_db(transaction=True)
EVERY = {"sweep": {"task": "marefia.outbox.sweep", "schedule": 60}}
DAILY = {"clean-up": {"task": "marefia.ops.clean_up", "schedule": timedelta(days=1)}}


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The entries for which beat sent a message itself."""
    names: list[str] = []
    monkeypatch.setattr(
        Scheduler, "apply_async", lambda _, entry, **__: names.append(entry.name), raising=True
    )
    return names


def new(entries: dict[str, Any] = EVERY) -> scheduler.LeasedScheduler:
    made = scheduler.LeasedScheduler(app=app, lazy=True)
    made.merge_inplace(entries)
    return made


def overdue(name: str, by: timedelta = timedelta(hours=1)) -> None:
    ScheduledRun.objects.create(name=name, last_run_at=timezone.now() - by)


def expire() -> None:
    Lease.objects.update(expires_at=timezone.now() - timedelta(seconds=1))


def test_of_two_one_acts(sent: list[str]) -> None:
    overdue("sweep")
    one, two = new(), new()
    assert [one.tick(), two.tick()] == [0, 1]
    assert sent == ["sweep"]
    assert Lease.objects.get().holder == one.holder


def test_what_ran_under_one_holder_is_not_run_again_by_the_next(sent: list[str]) -> None:
    overdue("sweep")
    one, two = new(), new()
    one.tick()
    one.close()
    assert two.tick() == 1
    assert two.number == 2
    assert sent == ["sweep"]
    assert ScheduledRun.objects.get().runs == 1


def test_what_came_due_while_nobody_held_the_lease_runs_once_when_someone_does(sent: list[str]) -> None:
    overdue("sweep", timedelta(hours=10))
    one = new()
    for _ in range(3):
        one.tick()
    assert sent == ["sweep"]


def test_an_entry_that_never_ran_counts_from_now(sent: list[str]) -> None:
    one = new()
    assert one.tick() == 1
    assert sent == []
    one.schedule["sweep"].schedule = schedule(timedelta(0))
    one._heap = None
    one.tick()
    assert sent == ["sweep"]


def test_a_lease_is_renewed_now_and_then_and_lost_when_another_took_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one, two = new(), new()
    one.tick()
    before = Lease.objects.get().expires_at
    one.tick()
    assert Lease.objects.get().expires_at == before
    monkeypatch.setattr(scheduler, "RENEW_EVERY", 0)
    one.tick()
    assert Lease.objects.get().expires_at > before
    expire()
    two.tick()
    assert one.tick() == 1
    assert one.number is None
    assert Lease.objects.get().holder == two.holder


def test_a_lease_that_expired_is_taken_anew_with_the_next_number_and_the_memory_of_the_database(
    sent: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = new()
    one.tick()
    monkeypatch.setattr(scheduler, "RENEW_EVERY", 0)
    expire()
    overdue("sweep")
    one.tick()
    assert one.number == 2
    assert sent == ["sweep"]


def test_a_holder_that_slept_through_its_lease_between_two_looks_claims_nothing(sent: list[str]) -> None:
    overdue("sweep")
    one = new()
    hold = one._hold

    def asleep() -> bool:
        held = hold()
        expire()
        new().tick()
        return held

    one._hold = asleep  # type: ignore[method-assign]
    one.tick()
    assert one.number is None
    assert sent == ["sweep"]  # the other's


def test_work_that_must_not_be_skipped_is_put_into_the_outbox_with_the_claim(sent: list[str]) -> None:
    overdue("clean-up", timedelta(days=2))
    one = new(DAILY)
    one.tick()
    row = OutboxRow.objects.get()
    assert row.handler == "marefia.ops.clean_up"
    assert sent == []
    assert queue.deliver(row.pk)


def test_a_claim_that_fails_leaves_neither_work_nor_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    overdue("clean-up", timedelta(days=2))
    before = ScheduledRun.objects.get().last_run_at

    def fail(*_: Any) -> None:
        raise OperationalError("locked")

    one = new(DAILY)
    with monkeypatch.context() as away:
        away.setattr(queue, "put", fail)
        assert one.tick() == 1
    assert ScheduledRun.objects.get().last_run_at == before
    assert not OutboxRow.objects.exists()
    one.tick()  # the lease is still its own, and it reads again what ran when
    assert one.number == 1
    assert OutboxRow.objects.count() == 1


def test_a_lease_that_cannot_be_freed_expires_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    one = new()
    one.close()
    one.tick()
    with monkeypatch.context() as within:
        within.setattr(one, "ticking", True)
        one.close()  # by a signal's handler, which must not use the connection that it interrupted
    assert Lease.objects.get().expires_at > timezone.now()

    def fail(_: Any) -> None:
        raise DatabaseError("away")

    monkeypatch.setattr(type(one), "_mine", fail)
    one.close()
    assert one.number is not None


def test_a_scheduler_and_a_worker_say_that_they_are_ready(tmp_path: Path, settings: Any) -> None:
    import dataclasses

    make_folders()
    tell_ready()
    ready = tmp_path / "ready"
    settings.ENV = dataclasses.replace(settings.ENV, ready_file=ready)
    new().tick()
    assert ready.exists()
    ready.unlink()
    tell_ready()
    assert ready.exists()
