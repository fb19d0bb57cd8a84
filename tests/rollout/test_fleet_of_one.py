"""Everything on one server: the other inventory that is shipped, up to a deploy under load and a rehearsed restore."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rollout.changes import visible_text
from tests.rollout.fleet import OneHost
from tests.rollout.marefia_traffic import MarefiaTraffic
from tests.rollout.promise import Site

pytestmark = [pytest.mark.verify, pytest.mark.chaos]


@pytest.fixture(scope="module")
def fleet() -> Iterator[OneHost]:
    """The service of a fresh clone on one server."""
    made = OneHost(Path(tempfile.mkdtemp(prefix="one-host-")))
    with made.machines.alone():
        made.make("site", seconds=600)
        made.make("deploy", seconds=600)
        made.seed()
        yield made
        made.remove()


def test_a_second_run_changes_nothing(fleet: OneHost) -> None:
    assert "\nhost1: 0 changed\n" in fleet.make("site", seconds=600).output


def test_a_deploy_and_a_rollback_lose_nothing(fleet: OneHost) -> None:
    with fleet.load(MarefiaTraffic()) as load:
        site = Site(fleet, load)
        with site.losing_nothing("deploy"):
            site.deploy(visible_text("A second release"))
        with site.losing_nothing("rollback"):
            fleet.make("rollback")
    assert not load.report.lost, load.report
    assert not load.report.unkept, load.report
    fleet.require_whole()
    assert "is well" in fleet.make("smoke").output


def test_its_database_is_backed_up_and_a_restore_rehearsed(fleet: OneHost) -> None:
    fleet.make("backup")
    assert "as in the source" in fleet.make("drill").output


def test_what_is_down_stays_down_over_a_boot_and_comes_back_by_a_deploy(fleet: OneHost) -> None:
    units = f"{fleet.NAME}.socket {fleet.NAME}.service"
    (host,) = fleet.hosts
    fleet.make("down")
    assert not fleet.units()
    assert fleet.machines.sh(host, f"systemctl is-enabled {units}", check=False).split() == ["disabled"] * 2
    fleet.make("deploy")
    fleet.require_whole()
    assert fleet.machines.sh(host, f"systemctl is-enabled {units}").split() == ["enabled"] * 2
