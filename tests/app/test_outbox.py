"""Work that must not be lost, nor have its effect twice."""

import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from time import monotonic
from typing import Any

import pytest
from django.core import mail
from django.db import DatabaseError, transaction
from django.db.models.functions import Now
from django.utils import timezone

from marefia.celery import app
from marefia.outbox import queue, registry, tasks
from marefia.outbox.mail import message_id, post
from marefia.outbox.models import CLAIM, RESEND, OutboxRow, Status
from marefia.stays import bookings
from marefia.stays.models import Listing
from tests.app import make

pytestmark = pytest.mark.django_db
MOMENT = timedelta(milliseconds=2)


@pytest.fixture(autouse=True)
def rested(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test begins as a process does."""
    monkeypatch.setattr(queue._Broker, "rests_until", 0.0)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The rows for which a message was sent."""
    rows: list[int] = []
    monkeypatch.setattr(app, "send_task", lambda name, args, **_: rows.extend(args))
    return rows


@pytest.fixture
def handler() -> Iterator[Callable[[registry.Work], str]]:
    """Registers a handler for the test."""
    before = dict(registry.HANDLERS)

    def register(work: registry.Work, *, effect: bool = True) -> str:
        (registry.effect if effect else registry.errand)("test")(work)
        return "test"

    yield register
    registry.HANDLERS.clear()
    registry.HANDLERS.update(before)


def put(name: str = "test", **payload: Any) -> OutboxRow:
    with transaction.atomic():
        return queue.put(name, payload)


def age(row: OutboxRow, by: timedelta) -> None:
    """Let time pass for a row, and a moment more: within a millisecond SQLite cannot tell what was before."""
    row.refresh_from_db()
    for field in ("available_at", "sent_at", "claimed_until"):
        if before := getattr(row, field):
            setattr(row, field, before - by - MOMENT)
    row.save()


@pytest.mark.django_db(transaction=True)
def test_work_is_put_only_together_with_its_cause() -> None:
    with pytest.raises(transaction.TransactionManagementError):
        queue.put("test", {})


def test_a_message_is_sent_when_the_cause_is_committed_and_not_before(
    sent: list[int], django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        row = put()
        assert sent == []
    assert sent == [row.pk]


def test_a_cause_that_is_rolled_back_leaves_no_work(sent: list[int]) -> None:
    with transaction.atomic():
        queue.put("test", {})
        transaction.set_rollback(True)
    assert not OutboxRow.objects.exists()
    assert sent == []


def test_a_broker_that_is_away_fails_no_request(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise OSError("no broker")

    monkeypatch.setattr(app, "send_task", away)
    row = put()
    queue.send(row.pk)
    row.refresh_from_db()
    assert row.status == Status.PENDING


def test_a_broker_that_was_away_is_asked_again_after_a_rest(
    sent: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def away(*_: Any, **__: Any) -> None:
        asked.append(1)
        raise OSError("no broker")

    with monkeypatch.context() as gone:
        gone.setattr(app, "send_task", away)
        for _ in range(9):
            queue.send(1)
    assert len(asked) == 1, "each request would wait for it"
    queue.send(1)
    assert sent == []
    monkeypatch.setattr(queue._Broker, "rests_until", monotonic())
    queue.send(1)
    assert sent == [1]


def test_an_effect_happens_once_however_many_messages_come(handler: Any) -> None:
    seen: list[int] = []
    row = put(handler(lambda row: seen.append(row.pk)))
    assert queue.deliver(row.pk)
    tasks.deliver(row.pk)
    assert seen == [row.pk]
    row.refresh_from_db()
    assert (row.status, row.attempts, row.claim) == (Status.DONE, 1, None)
    assert row.done_at is not None


def test_an_effect_and_its_end_are_one_transaction(handler: Any) -> None:
    def half(row: OutboxRow) -> None:
        Listing.objects.update(nights_booked=99)
        raise ValueError("half-way")

    place = make.listing()
    row = put(handler(half))
    assert not queue.deliver(row.pk)
    place.refresh_from_db()
    row.refresh_from_db()
    assert place.nights_booked == 0
    assert (row.status, row.attempts, row.last_error) == (Status.PENDING, 1, "ValueError: half-way")
    assert row.available_at > timezone.now()


def test_a_claim_holds_off_others_until_it_expires(handler: Any) -> None:
    seen: list[int] = []
    name = handler(lambda row: seen.append(row.pk))
    row = put(name)
    now = timezone.now()
    OutboxRow.objects.update(claim="6d7c1b3a-0000-4000-8000-000000000001", claimed_until=now + CLAIM)
    assert not queue.deliver(row.pk)
    age(row, CLAIM)
    assert queue.deliver(row.pk)
    assert seen == [row.pk]


def test_who_lost_the_claim_changes_nothing(handler: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that was asleep wakes up after another took its row over and finished."""
    seen: list[int] = []
    row = put(handler(lambda row: seen.append(row.pk)))
    run = queue._run

    def slow(handler: registry.Handler, mine: OutboxRow) -> bool:
        monkeypatch.setattr(queue, "_run", run)
        age(row, CLAIM)
        assert queue.deliver(row.pk)
        return run(handler, mine)

    monkeypatch.setattr(queue, "_run", slow)
    assert not queue.deliver(row.pk)
    assert seen == [row.pk]


def test_without_the_check_of_the_claim_the_effect_happens_twice(
    handler: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control of the test above."""
    seen: list[int] = []
    row = put(handler(lambda row: seen.append(row.pk)))
    run, finish = queue._run, queue._finish

    def slow(handler: registry.Handler, mine: OutboxRow) -> bool:
        monkeypatch.setattr(queue, "_run", run)
        age(row, CLAIM)
        assert queue.deliver(row.pk)
        return run(handler, mine)

    monkeypatch.setattr(queue, "_run", slow)
    monkeypatch.setattr(queue, "_finish", lambda row: finish(row) or True)
    queue.deliver(row.pk)
    assert seen == [row.pk] * 2


def test_work_that_keeps_failing_waits_longer_each_time_and_is_dead_at_last(handler: Any) -> None:
    def fail(row: OutboxRow) -> None:
        raise ValueError("again")

    row = put(handler(fail))
    waits = []
    for _ in range(queue.MAX_ATTEMPTS):
        OutboxRow.objects.update(available_at=Now())
        queue.deliver(row.pk)
        row.refresh_from_db()
        waits.append(row.available_at - timezone.now())
    assert waits == sorted(waits)
    assert row.status == Status.DEAD
    assert not queue.deliver(row.pk)


def test_work_of_a_release_that_is_not_here_waits_without_losing_an_attempt() -> None:
    row = put("of.the.next.release")
    assert not queue.deliver(row.pk)
    row.refresh_from_db()
    assert (row.status, row.attempts, row.claim) == (Status.PENDING, 0, None)
    assert row.available_at > timezone.now()


def test_the_sweep_sends_again_what_was_never_finished_and_nothing_else(
    sent: list[int], handler: Any
) -> None:
    name = handler(lambda row: None)
    lost, young, done, claimed, waiting = (put(name) for _ in range(5))
    queue.deliver(done.pk)
    for row in (lost, done, claimed, waiting):
        age(row, RESEND)
    OutboxRow.objects.filter(pk=claimed.pk).update(claim=uuid.uuid4(), claimed_until=timezone.now() + CLAIM)
    OutboxRow.objects.filter(pk=waiting.pk).update(available_at=timezone.now() + RESEND)
    tasks.sweep()
    assert sent == [lost.pk]
    assert young.pk not in sent
    assert queue.sweep() == 0


def test_a_mail_has_the_same_message_id_at_each_attempt() -> None:
    with transaction.atomic():
        row = post(to="guest@example.org", subject="Booked", body="See you.\n")
    row.refresh_from_db()
    assert queue.deliver(row.pk)
    OutboxRow.objects.update(status=Status.PENDING)
    assert queue.deliver(row.pk)
    ids = {message.message()["Message-ID"] for message in mail.outbox}
    assert ids == {message_id(row)}
    assert len(mail.outbox) == 2


def test_a_mail_is_sent_outside_of_any_transaction(handler: Any) -> None:
    depths: list[int] = []
    name = handler(lambda row: depths.append(len(transaction.get_connection().savepoint_ids)), effect=False)
    depth = len(transaction.get_connection().savepoint_ids)
    assert queue.deliver(put(name).pk)
    assert depths == [depth]


def test_at_rest_the_nights_of_a_listing_are_the_nights_of_its_active_bookings() -> None:
    place = make.listing()
    kept, _ = bookings.book(make.user(), make.wish(place, begins=10, nights=2))
    given_back, _ = bookings.book(make.user(), make.wish(place, begins=20, nights=5))
    bookings.cancel(given_back)
    for row in OutboxRow.objects.order_by("-pk"):  # in any order
        queue.deliver(row.pk)
    place.refresh_from_db()
    assert place.nights_booked == kept.nights == 2
    assert len(mail.outbox) == 2


def test_two_handlers_cannot_have_one_name(handler: Any) -> None:
    handler(lambda row: None)
    with pytest.raises(ValueError, match="two handlers"):
        handler(lambda row: None)


def test_a_database_fault_in_a_handler_is_an_attempt_too(handler: Any) -> None:
    def fault(row: OutboxRow) -> None:
        raise DatabaseError("disk")

    row = put(handler(fault))
    queue.deliver(row.pk)
    row.refresh_from_db()
    assert row.last_error == "DatabaseError: disk"
