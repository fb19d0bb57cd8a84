"""Another Django project on the same cluster: a service file, settings, code and an overlay, and nothing else."""

import tempfile
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.k8s.namespace import ClusterSite, GuestbooksNamespace, Namespace
from tests.rollout.another import Guests, says
from tests.rollout.changes import replace
from tests.rollout.checkout import wait_until

pytestmark = [pytest.mark.verify, pytest.mark.chaos]


def uids(namespace: Namespace) -> set[str]:
    return {pod["metadata"]["uid"] for pod in namespace.pods()}


@pytest.fixture(scope="module")
def guestbook(namespace: Namespace) -> Iterator[GuestbooksNamespace]:
    """The guestbook, beside a service that stays as it is."""
    before = uids(namespace)
    made = GuestbooksNamespace(Path(tempfile.mkdtemp(prefix="guests-")))
    made.make("cluster", seconds=300)
    made.make("deploy", seconds=600)
    yield made
    made.remove()
    assert uids(namespace) == before


@pytest.fixture(scope="module")
def site(guestbook: GuestbooksNamespace) -> Iterator[ClusterSite]:
    """The same under load until the module's last test."""
    with guestbook.load(Guests()) as load:
        yield ClusterSite(guestbook, load, path="/healthz")
        load.end()
        assert not load.report.lost, "\n".join(record.line() for record in load.report.lost)
        assert not load.report.unkept


def page(guestbook: GuestbooksNamespace) -> str:
    """What the first page says: nothing else tells one release from another."""
    connection = HTTPConnection(guestbook.nodes[0], guestbook.node_port, timeout=10)
    connection.request("GET", "/", headers={"Host": "localhost", "Connection": "close"})
    return connection.getresponse().read().decode()


def test_it_is_up_with_all_its_processes(guestbook: GuestbooksNamespace) -> None:
    guestbook.require_whole()
    assert "Welcome" in page(guestbook)
    assert "serves since" in guestbook.make("status").output
    assert "is well" in guestbook.make("smoke").output
    ticks = "SELECT count(*) FROM guests_tick"
    before = int(guestbook.rows(ticks)[0]["count"])
    wait_until(lambda: int(guestbook.rows(ticks)[0]["count"]) > before, "the clock to tick")


def test_a_deploy_and_a_rollback_lose_nothing(site: ClusterSite, guestbook: GuestbooksNamespace) -> None:
    with site.losing_nothing("deploy of another service"):
        guestbook.commit(says("and come in"))
        guestbook.make("deploy")
        assert "and come in" in page(guestbook)
    with site.losing_nothing("rollback of another service"):
        guestbook.make("rollback")
        assert "and come in" not in page(guestbook)


def test_a_clock_that_dies_leaves_the_old_release_serving(
    site: ClusterSite, guestbook: GuestbooksNamespace
) -> None:
    def dead_clock(checkout: Path) -> None:
        replace(
            checkout / "src/guests/clock.py", "    over =", '    raise SystemExit("no spring")\n    over ='
        )

    with site.losing_nothing("a clock that dies"):
        site.refused("no spring", dead_clock)
