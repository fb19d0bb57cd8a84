"""What DESIGN promises of the process engine, in one load run: whatever is done, no request is lost.

Each test does one thing under the same load and counts in a window of its own; the last one looks every write
up. `make chaos` runs the whole matrix of kills, and then the table goes to docs/promises.md.
"""

import random
import signal
from collections.abc import Iterator
from itertools import product

import pytest

from tests.rollout.changes import (
    broken_page,
    contracting_migration,
    dead_worker,
    expanding_migration,
    failing_migration,
    setting,
    unready,
    visible_text,
)
from tests.rollout.checkout import STEPS, Checkout, wait_until
from tests.rollout.load import Load
from tests.rollout.marefia_traffic import MarefiaTraffic
from tests.rollout.processes import alive, stat
from tests.rollout.promise import Site, killed
from tests.rollout.state import await_rest, columns, unfinished_tasks, wrong_counts

pytestmark = pytest.mark.verify

REPRESENTATIVE = {("switch", False)}
MATRIX = list(product(STEPS, (False, True)))
KILLS = [pytest.param(*kill, marks=() if kill in REPRESENTATIVE else pytest.mark.chaos) for kill in MATRIX]


@pytest.fixture(scope="module")
def site(up: Checkout) -> Iterator[Site]:
    """The service of a fresh clone, up, under load until the module's last test."""
    with Load(up.url, MarefiaTraffic()) as load:
        yield Site(up, load)


def test_a_deploy_of_a_new_commit_loses_nothing(site: Site) -> None:
    with site.losing_nothing("deploy"):
        site.deploy(visible_text("A second release"))


@pytest.mark.chaos
def test_a_deploy_of_settings_alone_loses_nothing_and_the_release_is_told(site: Site) -> None:
    with site.losing_nothing("deploy of a setting"):
        site.deploy(setting("WEB_THREADS", "5"))
    assert site.checkout.told()["WEB_THREADS"] == "5"


def test_an_expanding_migration_loses_nothing(site: Site) -> None:
    with site.losing_nothing("expanding migration"):
        site.deploy(expanding_migration("arrival_note"))
    assert "arrival_note" in columns(site.checkout)


def test_a_rollback_loses_nothing_and_keeps_the_expanded_schema(site: Site) -> None:
    earlier = site.checkout.read("current")["previous"]
    with site.losing_nothing("rollback"):
        site.checkout.make("rollback")
    assert site.checkout.version()["version"] == earlier
    assert "arrival_note" in columns(site.checkout)
    with site.losing_nothing("forward again"):
        site.checkout.make("deploy")


@pytest.mark.chaos
def test_a_release_that_never_gets_ready_leaves_the_old_one_serving(site: Site) -> None:
    with site.losing_nothing("readiness fails"):
        site.refused("never is ready", unready)


@pytest.mark.chaos
def test_a_release_whose_pages_fail_is_found_out_before_any_user_reaches_it(site: Site) -> None:
    with site.losing_nothing("pages fail"):
        site.refused("500", broken_page)


@pytest.mark.chaos
def test_a_failed_switch_undoes_code_and_settings(site: Site) -> None:
    with site.losing_nothing("worker cannot start"):
        site.refused("this worker cannot start", setting("WEB_THREADS", "3"), dead_worker)


@pytest.mark.chaos
def test_a_failed_migration_leaves_the_old_release_serving(site: Site) -> None:
    with site.losing_nothing("migration fails half-way"):
        site.refused("left_behind cannot be filled", failing_migration("left_behind"))
    assert "left_behind" not in columns(site.checkout)


@pytest.mark.chaos
def test_a_contracting_migration_is_refused(site: Site) -> None:
    with site.losing_nothing("contracting migration"):
        site.refused("arrival_note", contracting_migration("arrival_note"))
    assert "arrival_note" in columns(site.checkout)


@pytest.mark.parametrize(("step", "with_children"), KILLS)
def test_a_killed_deployer_leaves_the_service_and_the_next_deploy_cleans_up(
    site: Site, step: str, with_children: bool
) -> None:
    checkout, served, what = site.checkout, site.checkout.version(), killed(step, with_children)
    with site.losing_nothing(what):
        commit = checkout.commit(visible_text(what))
        deploy = checkout.start("deploy")
        checkout.await_step(step, deploy)
        deploy.kill(with_children=with_children)
        assert checkout.version()["commit"] in (served["commit"], commit)
    with site.losing_nothing("deploy after a kill"):
        checkout.make("deploy")
        assert checkout.version()["commit"] == commit
    assert not checkout.read("lease")
    assert [len(checkout.running(process)) for process in ("web", "worker", "scheduler")] == [1, 1, 1]


@pytest.mark.chaos
@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGTERM, id="restarted", marks=pytest.mark.chaos),
        pytest.param(signal.SIGKILL, id="killed"),
    ],
)
@pytest.mark.parametrize("process", ["worker", "scheduler"])
def test_a_stopped_background_process_comes_back_and_loses_no_task(
    site: Site, process: str, number: signal.Signals
) -> None:
    with site.losing_nothing(f"{process} {number.name}"):
        (before,) = site.checkout.running(process)
        before.kill(number)
        wait_until(lambda: not alive(before.pid), f"the {process} to end", 60)
        wait_until(lambda: len(site.checkout.running(process)) == 1, f"the {process} to come back", 60)
    await_rest(site.checkout)


def test_a_worker_killed_in_the_middle_of_its_tasks_loses_none_and_doubles_none(site: Site) -> None:
    with site.losing_nothing("worker killed at work, thrice"):
        for _ in range(3):
            (worker,) = site.checkout.running("worker")
            wait_until(lambda: unfinished_tasks(site.checkout) > 0, "a task to be due", 30, every=0.002)
            worker.kill()
            wait_until(lambda: not alive(worker.pid), "the worker to end")  # noqa: B023 - called at once
            wait_until(lambda: len(site.checkout.running("worker")) == 1, "the worker to come back", 60)
    await_rest(site.checkout)


@pytest.mark.chaos
def test_a_broker_that_loses_every_message_loses_no_task(site: Site) -> None:
    with site.losing_nothing("broker loses everything"):
        site.survive_a_broker_that_loses_everything()


@pytest.mark.chaos
def test_two_deploys_at_once_lose_nothing_and_the_second_is_told_who_is_at_it(site: Site) -> None:
    with site.losing_nothing("two deploys at once"):
        site.hold_back_a_second_deploy()


def test_a_killed_web_worker_loses_at_most_the_requests_that_it_held(site: Site) -> None:
    """Paused first: then it accepts nothing between the counting of its connections and its end."""
    workers = site.checkout.web_workers()
    victim = random.Random(1).choice(workers)
    victim.kill(signal.SIGSTOP)
    wait_until(lambda: stat(victim.pid)[0] == "T", "the pause")
    with site.losing_at_most_what_is_held_by("web worker SIGKILL", [victim]):
        victim.kill()
    wait_until(lambda: len(site.checkout.web_workers()) == len(workers), "the worker to come back")


def test_a_killed_master_loses_nothing(site: Site) -> None:
    """Its workers outlive it, finish what they hold and end: also those that boot when the next one is killed."""
    with site.losing_nothing("web master SIGKILL, thrice"):
        for _ in range(3):
            site.kill_the_master()


def test_every_acknowledged_write_is_stored_once_and_counted_once(site: Site) -> None:
    """The end of the run: nothing was lost outside the window that killed a web worker."""
    site.load.end()
    report = site.load.report
    print(report)
    assert all(report.within(window.name) for window in report.windows), f"one says nothing: {report.table()}"
    if {killed(*kill) for kill in MATRIX} <= {window.name for window in report.windows}:
        site.write_down("figures")
    lost = report.lost_outside("web worker SIGKILL")
    assert not lost, f"{report.table()}\n{site.explained(lost)}"
    assert not report.unkept, report
    assert len(report.writes) > 100
    await_rest(site.checkout)
    assert not wrong_counts(site.checkout)
