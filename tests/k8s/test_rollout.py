"""What DESIGN promises, on a real cluster: whatever is done to the service, no request is lost.

Each test does one thing under the same load and counts in a window of its own.
"""

import time
from itertools import product

import pytest

from tests.k8s.namespace import COMPONENT, NUMBER, ClusterSite, Namespace
from tests.k8s.overlays import require_that_all_runs
from tests.rollout.changes import (
    broken_page,
    contracting_migration,
    dead_web,
    dead_worker,
    expanding_migration,
    failing_migration,
    overlay,
    setting,
    unready,
    visible_text,
)
from tests.rollout.checkout import STEPS, wait_until
from tests.rollout.promise import killed
from tests.rollout.state import columns

pytestmark = pytest.mark.verify

REPRESENTATIVE = {("switch", True)}
KILLS = [
    pytest.param(*kill, marks=() if kill in REPRESENTATIVE else pytest.mark.chaos)
    for kill in product(STEPS, (False, True))
]
NONE_SECONDS = 30


def test_a_second_set_up_changes_nothing(namespace: Namespace) -> None:
    assert "0 of " in namespace.make("cluster").output


def test_everything_in_the_overlay_runs(namespace: Namespace) -> None:
    require_that_all_runs(namespace)
    assert " is well" in namespace.make("smoke").output


@pytest.mark.chaos
def test_a_deploy_of_a_new_commit_loses_nothing(site: ClusterSite, namespace: Namespace) -> None:
    with site.losing_nothing("deploy"):
        version = site.deploy(visible_text("A second release"))
    namespace.require_whole()
    assert f"{version} serves since" in namespace.make("status").output
    assert f"{version} is well" in namespace.make("smoke").output


@pytest.mark.chaos
def test_a_deploy_of_settings_alone_loses_nothing_and_every_pod_is_told(
    site: ClusterSite, namespace: Namespace
) -> None:
    with site.losing_nothing("deploy of a setting"):
        site.deploy(setting("WEB_THREADS", "5"))
    assert namespace.told()["WEB_THREADS"] == "5"


@pytest.mark.chaos
def test_an_expanding_migration_loses_nothing(site: ClusterSite) -> None:
    with site.losing_nothing("expanding migration"):
        site.deploy(expanding_migration("arrival_note"))
    assert "arrival_note" in columns(site.checkout)


@pytest.mark.chaos
def test_a_rollback_loses_nothing_and_keeps_the_expanded_schema(
    site: ClusterSite, namespace: Namespace
) -> None:
    earlier = namespace.read("current")["previous"]
    with site.losing_nothing("rollback"):
        namespace.make("rollback")
    assert namespace.version()["version"] == earlier
    assert "arrival_note" in columns(namespace)
    with site.losing_nothing("forward again"):
        namespace.make("deploy")


@pytest.mark.chaos
def test_a_release_that_never_gets_ready_reaches_no_user(
    site: ClusterSite, namespace: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(namespace.environment, "ROLLOUT_READY_SECONDS", "20")
    with site.losing_nothing("readiness fails"):
        site.refused("not ready", unready)


@pytest.mark.chaos
def test_a_web_that_crashes_again_and_again_reaches_no_user(site: ClusterSite) -> None:
    with site.losing_nothing("a web crashes"):
        site.refused("dies: status", dead_web)


@pytest.mark.chaos
def test_a_crashing_worker_is_undone_with_its_settings_and_what_it_said_is_kept(
    site: ClusterSite, namespace: Namespace
) -> None:
    with site.losing_nothing("a worker crashes"):
        site.refused("this worker cannot start", setting("WEB_THREADS", "3"), dead_worker)
    assert "this worker cannot start" in namespace.make("logs", "PROCESS=worker").output


@pytest.mark.chaos
def test_a_broken_page_is_found_before_anybody_sees_it(site: ClusterSite) -> None:
    with site.losing_nothing("a broken page"):
        site.refused("/ of ", broken_page)


def test_a_setting_that_breaks_the_service_is_undone(
    site: ClusterSite, namespace: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody listens at the broker's port: pages are answered all the same, but no worker gets ready."""
    monkeypatch.setitem(namespace.environment, "ROLLOUT_READY_SECONDS", "90")
    with site.losing_nothing("a broken setting"):
        site.refused("worker", overlay("cache:6379", "cache:6380"))
    names = [each["metadata"]["name"] for each in namespace.kubectl.get("configmaps")]
    assert len([name for name in names if name.startswith("settings-")]) == 1, names


@pytest.mark.chaos
def test_a_setting_that_leads_to_no_database_reaches_no_pod_that_serves(site: ClusterSite) -> None:
    with site.losing_nothing("a setting without a database"):
        site.refused("nosuchdatabase", overlay("database:5432/service", "database:5432/nosuchdatabase"))


@pytest.mark.chaos
def test_a_failed_migration_leaves_the_old_release_serving(site: ClusterSite) -> None:
    with site.losing_nothing("migration fails"):
        site.refused("door_code cannot be filled", failing_migration("door_code"))
    assert "door_code" not in columns(site.checkout)


@pytest.mark.chaos
def test_a_contracting_migration_is_refused(site: ClusterSite) -> None:
    with site.losing_nothing("migration refused"):
        site.refused("arrival_note", contracting_migration("arrival_note"))
    assert "arrival_note" in columns(site.checkout)


@pytest.mark.chaos
def test_an_image_that_is_not_there_changes_nothing(site: ClusterSite, namespace: Namespace) -> None:
    with site.losing_nothing("no such image"), site.unharmed():
        said = namespace.make("deploy", "VERSION=20200101-000000-0123456789ab", check=False)
    assert said.status != 0
    assert "has no image" in said.output


@pytest.mark.parametrize(("step", "with_children"), KILLS)
def test_a_killed_deployer_leaves_the_service_and_the_next_deploy_cleans_up(
    site: ClusterSite, namespace: Namespace, step: str, with_children: bool
) -> None:
    with site.losing_nothing(killed(step, with_children)):
        commit = namespace.commit(visible_text(f"Killed at {step} {with_children}"))
        deploy = namespace.start("deploy")
        namespace.await_step(step, deploy)
        deploy.kill(with_children=with_children)
        namespace.make("deploy")
        assert namespace.version()["commit"] == commit
        namespace.require_whole()
    assert namespace.history()[-2]["outcome"] in ("killed", "done")


def test_a_web_pod_that_is_deleted_drains(site: ClusterSite, namespace: Namespace) -> None:
    with site.losing_nothing("a web pod is deleted"):
        namespace.kubectl("delete", "pod", namespace.pods("web")[0]["metadata"]["name"], "--wait=true")
        namespace.await_whole()


@pytest.mark.chaos
def test_a_node_is_drained(site: ClusterSite, namespace: Namespace) -> None:
    stores = {
        pod["spec"]["nodeName"]
        for pod in namespace.kubectl.get("pods", f"--selector={COMPONENT} in (database,cache)")
    }
    nodes = {node["metadata"]["name"] for node in namespace.kubectl.get("nodes")}
    (free,) = nodes - stores
    assert [pod for pod in namespace.pods() if pod["spec"]["nodeName"] == free], "there is nothing to drain"
    with site.losing_nothing("a node is drained"):
        try:
            namespace.kubectl(
                "drain",
                free,
                "--ignore-daemonsets",
                "--delete-emptydir-data",
                "--timeout=100s",
                f"--pod-selector={NUMBER}",
            )
            assert {pod["spec"]["nodeName"] for pod in namespace.pods()} == stores
            namespace.await_whole()
        finally:
            namespace.kubectl("uncordon", free)


def test_a_scheduler_that_is_killed_is_followed_and_never_by_two(
    site: ClusterSite, namespace: Namespace
) -> None:
    (before,) = namespace.pods("scheduler")
    with site.losing_nothing("the scheduler is killed"):
        namespace.kubectl("delete", "pod", before["metadata"]["name"], "--grace-period=0", "--force")
        most, begun = 0, time.monotonic()

        def followed() -> bool:
            nonlocal most
            ready = namespace.ready("scheduler")
            most = max(most, len(ready))
            return bool(ready) and ready[0]["metadata"]["uid"] != before["metadata"]["uid"]

        wait_until(followed, "another scheduler", NONE_SECONDS, every=0.3)
        took = time.monotonic() - begun
        assert most == 1
    namespace.figures.append(f"the scheduler is killed: another is ready after {took:.0f} s")


def test_logs_tell_what_every_pod_said_by_time(namespace: Namespace) -> None:
    lines = namespace.make("logs", "PROCESS=web").output.splitlines()
    assert lines == sorted(lines, key=lambda line: line[:20])
    told = {line.split()[2] for line in lines}
    assert told >= {pod["metadata"]["name"] for pod in namespace.pods("web")}


def test_the_history_tells_every_rollout(namespace: Namespace) -> None:
    assert len(namespace.make("history").output.splitlines()) == min(20, len(namespace.history()))


@pytest.mark.chaos
def test_a_second_deployer_is_told_who_is_at_it(site: ClusterSite) -> None:
    with site.losing_nothing("two deployers"):
        site.hold_back_a_second_deploy()
