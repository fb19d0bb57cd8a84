"""The lease on a cluster: kept through conflicts, given up to another owner only."""

import subprocess
import threading
from typing import Any

import pytest

from rollout.errors import RolloutError, StaleLease
from rollout.kube import Changed
from rollout.kube_journal import Journal
from rollout.kube_lease import ClusterLease
from rollout.lease import LeaseHeld
from tests.playbooks.fake_cluster import FakeCluster, deployment
from tests.playbooks.modules import Load
from tests.rollout.checkout import wait_until


def taken(cluster: FakeCluster, seconds: float = 30.0) -> ClusterLease:
    lease = ClusterLease(cluster, seconds=seconds)
    lease.acquire("abebe")
    return lease


def touched_before_writing(cluster: FakeCluster, times: int) -> None:
    """Have somebody else write the Lease between reading and writing, so many times."""

    def before(line: str) -> None:
        nonlocal times
        if line == "replace Lease rollout" and times:
            times -= 1
            cluster.touch("Lease", "rollout")

    cluster.before = before


def spec(cluster: FakeCluster) -> dict[str, Any]:
    return dict(cluster.things["Lease", "rollout"]["spec"])


def test_a_lease_that_was_changed_since_it_was_read_is_renewed_all_the_same() -> None:
    cluster = FakeCluster()
    lease, before = taken(cluster), spec(cluster)["renewTime"]
    touched_before_writing(cluster, 3)
    lease.renew()
    assert spec(cluster)["renewTime"] > before
    touched_before_writing(cluster, 3)
    lease.release()
    assert spec(cluster)["holderIdentity"] == ""


def test_a_lease_is_renewed_while_its_deployer_lives_and_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ansible's workers outlive a deployer that was killed; the next one waits for the expiry."""
    deployer = subprocess.Popen(["sleep", "60"])
    monkeypatch.setenv("ROLLOUT_DEPLOYER", str(deployer.pid))
    cluster = FakeCluster()
    lease = taken(cluster, seconds=0.3)
    with lease.renewed():
        before = spec(cluster)["renewTime"]
        wait_until(lambda: spec(cluster)["renewTime"] > before, "a renewal", 10)
        deployer.kill()
        deployer.wait()
        wait_until(lambda: "renewing" not in {each.name for each in threading.enumerate()}, "the last", 10)
        last = spec(cluster)["renewTime"]
    assert spec(cluster)["renewTime"] == last


def test_a_lease_that_always_changes_is_no_stale_one() -> None:
    cluster = FakeCluster()
    lease = taken(cluster)
    touched_before_writing(cluster, 1000)
    with pytest.raises(Changed):
        lease.renew()


def test_who_was_overtaken_between_reading_and_writing_is_told_by_whom() -> None:
    cluster = FakeCluster()
    lease = taken(cluster)

    def before(line: str) -> None:
        if line == "replace Lease rollout":
            cluster.things["Lease", "rollout"]["spec"] |= {"holderIdentity": "sara", "leaseTransitions": 2}
            cluster.touch("Lease", "rollout")

    cluster.before = before
    with pytest.raises(StaleLease, match="number 2 is sara"):
        lease.renew()


def test_a_lease_taken_by_a_try_whose_answer_was_lost_is_ones_own() -> None:
    cluster = FakeCluster()
    taken(cluster).release()
    store = cluster._store

    def replaced(thing: dict[str, Any]) -> dict[str, Any]:
        store(thing)
        raise Changed("the second try finds what the first wrote")

    cluster.replace = replaced  # type: ignore[method-assign]
    lease = ClusterLease(cluster)
    lease.acquire("abebe")
    assert lease.number == 2


def test_a_lease_that_another_took_at_the_same_moment_is_held() -> None:
    cluster = FakeCluster()
    taken(cluster).release()
    quicker = ClusterLease(cluster)

    def before(line: str) -> None:
        if line == "replace Lease rollout":
            cluster.before = lambda _: None
            quicker.acquire("sara")

    cluster.before = before
    with pytest.raises(LeaseHeld, match="sara"):
        ClusterLease(cluster).acquire("abebe")


def test_it_is_renewed_through_trouble_while_work_goes_on() -> None:
    cluster = FakeCluster()
    lease = taken(cluster, seconds=0.15)
    troubles = [RolloutError("the API server is away"), OSError("reset")]
    renewed = threading.Event()

    def before(line: str) -> None:
        if line == "replace Lease rollout" and troubles:
            raise troubles.pop()
        if line == "replace Lease rollout" and not troubles:
            renewed.set()

    with lease.renewed():
        cluster.before = before
        assert renewed.wait(10)
    assert not troubles


def test_a_number_is_never_given_twice_although_the_lease_was_deleted(load: Load) -> None:
    """What is kept of an older rollout under that number would be overwritten."""
    cluster, told = FakeCluster(), {"owner": "abebe", "kind": "deploy", "version": "2"}
    Journal(cluster).keep(3, "v3", [])
    Journal(cluster).settle({"version": "v2", "number": 2}, {"number": 2, "outcome": "done"})
    begun, _ = load("cluster_lease").hold(cluster, ClusterLease(cluster), told)
    assert begun["number"] == 4
    cluster.delete("Lease", "rollout")
    begun, _ = load("cluster_lease").hold(cluster, ClusterLease(cluster), told)
    assert begun["number"] == 5


class Unlucky(FakeCluster):
    """A namespace where no Deployment can be looked at."""

    def every(self, kind: str, selector: str = "") -> list[dict[str, Any]]:
        if kind == "Deployment":
            raise RolloutError("the API server is away")
        return super().every(kind, selector)


def test_what_fails_after_the_lease_was_taken_gives_it_back(load: Load) -> None:
    cluster, module = Unlucky(), load("cluster_lease")
    told = {"owner": "abebe", "kind": "deploy", "version": "2"}
    with pytest.raises(RolloutError, match="away"):
        module.hold(cluster, ClusterLease(cluster), told)
    assert spec(cluster)["holderIdentity"] == ""
    assert not ClusterLease(cluster).holder()


def test_a_deployment_that_changes_meanwhile_is_marked_all_the_same(load: Load) -> None:
    """Its status does, all the time."""
    cluster, times = FakeCluster(deployment("web")), 3
    Journal(cluster).remember({"number": 0, "outcome": "failed"})

    def before(line: str) -> None:
        nonlocal times
        if line == "replace Deployment web" and times:
            times -= 1
            cluster.touch("Deployment", "web")

    cluster.before = before
    begun, why = load("cluster_lease").hold(
        cluster, ClusterLease(cluster), {"owner": "abebe", "kind": "deploy", "version": "2"}
    )
    assert (begun["number"], begun["version"], why) == (1, "2", None)
    assert cluster.things["Deployment", "web"]["metadata"]["annotations"] == {"rollout/lease": "1"}


def test_a_rollback_without_a_release_before_has_nowhere_to_go(load: Load) -> None:
    cluster = FakeCluster()
    _, why = load("cluster_lease").hold(
        cluster, ClusterLease(cluster), {"owner": "abebe", "kind": "rollback", "version": ""}
    )
    assert "no release ran here before this one" in str(why)
