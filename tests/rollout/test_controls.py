"""Negative controls: each mechanism that keeps a promise is taken away once, and the promise has to break.

A promise that holds without its mechanism is not tested at all. `make chaos` takes all seven away.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.rollout.changes import APP, broken_page, dead_worker, replace, visible_text
from tests.rollout.checkout import Change, Checkout
from tests.rollout.load import Load
from tests.rollout.marefia_traffic import MarefiaTraffic
from tests.rollout.promise import Site

pytestmark = pytest.mark.verify
MODULES = Path("playbooks/plugins/module_utils/rollout")
DROPPED = r"closed without a response|reset|refused|no complete response"


@pytest.fixture(scope="module")
def site(up: Checkout) -> Iterator[Site]:
    """A service under load, to be broken."""
    with Load(up.url, MarefiaTraffic()) as load:
        yield Site(up, load)


@contextmanager
def without(site: Site, *changes: Change) -> Iterator[None]:
    """Work with a checkout that lacks a mechanism; afterwards the good release serves again."""
    good = site.checkout.head
    site.checkout.commit(*changes)
    try:
        yield
    finally:
        site.checkout.go_to(good)
        site.deploy(visible_text(f"good again after {changes[0].__name__}"))


def lacks_drain(checkout: Path) -> None:
    """A web that drops its idle connections when it is told to stop."""
    replace(checkout / "app/gunicorn.conf.py", "graceful_timeout = 25", "graceful_timeout = 0")


def lacks_death_signal(checkout: Path) -> None:
    """Web workers that nobody tells of their master's death: gunicorn notices, and drops what it kept alive."""
    told = "    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)\n"
    replace(checkout / "app/gunicorn.conf.py", told, "")


def lacks_proof(checkout: Path) -> None:
    """A rollout that switches without having asked the new release anything."""
    replace(checkout / "playbooks/deploy.yml", ", 'prove']", "]")


def lacks_undo(checkout: Path) -> None:
    """A rollout that leaves things as they are when it failed."""
    replace(
        checkout / MODULES / "slots.py",
        "if not self._manager.runs():\n            return",
        "if True:\n            return",
    )


def lacks_lease(checkout: Path) -> None:
    """A lease that anybody gets."""
    replace(checkout / MODULES / "lease.py", "if before and not before.expired:", "if before and False:")


def lacks_sweep(checkout: Path) -> None:
    """An outbox that relies on its first message."""
    replace(
        checkout / APP / "outbox/queue.py",
        "    with transaction.atomic():\n        # Rows that are being",
        "    return 0\n    with transaction.atomic():\n        # Rows that are being",
    )


def lacks_held_socket(checkout: Path) -> None:
    """A listening socket that does not outlive what serves: its owner is replaced with each release."""
    first = "        with self._act():\n            self._manager.start(port)"
    replace(checkout / MODULES / "slots.py", first, f"        self.end()\n{first}")


@pytest.mark.chaos
def test_without_a_drain_a_deploy_loses_requests(site: Site) -> None:
    with without(site, lacks_drain):
        site.checkout.make("deploy")
        site.checkout.commit(visible_text("after the drain is gone"))
        with pytest.raises(AssertionError, match=DROPPED), site.losing_nothing("no drain"):
            site.checkout.make("deploy")


@pytest.mark.chaos
def test_without_a_proof_users_meet_the_broken_release(site: Site) -> None:
    broken = pytest.raises(AssertionError, match="status 500")
    with without(site, lacks_proof), broken, site.losing_nothing("no proof"):
        site.refused("500", broken_page)


@pytest.mark.chaos
def test_without_undo_a_failed_switch_leaves_two_slots(site: Site) -> None:
    with (
        without(site, lacks_undo),
        pytest.raises(AssertionError, match=r"another version serves|two slots serve"),
    ):
        site.refused("this worker cannot start", dead_worker)


@pytest.mark.chaos
def test_without_the_lease_the_second_deploy_is_not_held_back(site: Site) -> None:
    with without(site, lacks_lease), pytest.raises(AssertionError, match="was not held back"):
        site.hold_back_a_second_deploy()


@pytest.mark.chaos
def test_without_the_sweep_a_lost_message_is_a_lost_task(site: Site) -> None:
    with without(site, lacks_sweep):
        site.checkout.make("deploy")
        with pytest.raises(AssertionError, match="outbox to be drained"):
            site.survive_a_broker_that_loses_everything(seconds=40)


@pytest.mark.chaos
def test_without_the_held_socket_a_deploy_loses_requests(site: Site) -> None:
    broken = pytest.raises(AssertionError, match=DROPPED)
    with without(site, lacks_held_socket), broken, site.losing_nothing("no held socket"):
        site.checkout.make("deploy")


@pytest.mark.chaos
def test_without_the_death_signal_a_killed_master_loses_requests(site: Site) -> None:
    with without(site, lacks_death_signal):
        site.checkout.make("deploy")
        with pytest.raises(AssertionError, match=DROPPED), site.losing_nothing("no death signal"):
            site.kill_the_master()
