"""Which pods a rollout waits for: an evicted one, a dead node or another Deployment holds up none."""

import time
from typing import Any

import pytest

from rollout import kube_deployment, kube_pods
from rollout.errors import RolloutError
from rollout.kube_lease import ClusterLease
from rollout.kube_slots import ClusterSlots
from tests.playbooks.fake_cluster import FakeCluster, Thing, deployment, node, pod, replica_set

SERVICE: Any = None
OLD, NEW = 1, 2


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kube_pods, "EVERY_SECONDS", 0.01)


def unfinished(*pods: Thing, also: tuple[Thing, ...] = (), **more: Any) -> str:
    """What keeps rollout 2 of the Deployment `web` from being over, in its words."""
    cluster = web(*pods, also=also, **more)
    return kube_deployment.unfinished(cluster, held(cluster), "web", NEW)


def web(*pods: Thing, also: tuple[Thing, ...] = (), **more: Any) -> FakeCluster:
    sets = replica_set("web-old", "web"), replica_set("web-new", "web")
    nodes = node("one"), node("two", dead=True)
    return FakeCluster(deployment("web", **more), *sets, *nodes, *pods, *also)


def held(cluster: FakeCluster) -> ClusterLease:
    lease = ClusterLease(cluster)
    lease.acquire("abebe")
    return lease


NEW_POD = pod("web-n", "web-new", NEW)


def test_it_is_over_when_all_its_pods_are_ready_and_no_other_is_left() -> None:
    assert unfinished(NEW_POD) == ""


@pytest.mark.parametrize(
    "other",
    [
        pod("web-o", "web-old", OLD, phase="Failed", reason="Evicted"),
        pod("web-o", "web-old", OLD, phase="Succeeded"),
        pod("web-o", "web-new", NEW, phase="Failed", reason="Evicted", message="The node was low on memory."),
        pod("web-o", "web-old", OLD, on="two", due=-1),
        pod("web-o", "web-old", OLD, on="two", due=30),
        pod("web-o", "web-old", OLD, due=-3600),
        pod("web-o", "web-new", NEW, on="two", ready=False, due=-1),
        pod("web-o", "other", OLD),
        pod("web-o", "", OLD),
    ],
    ids=[
        "an old one was evicted",
        "an old one is completed",
        "a new one was evicted",
        "an old one's node is dead",
        "an old one's node has just died",
        "an old one ought to be gone for an hour",
        "a new one's node is dead",
        "one of another Deployment",
        "one of nobody",
    ],
)
def test_what_will_never_be_gone_or_is_not_its_own_holds_it_up_no_more(other: Thing) -> None:
    assert unfinished(NEW_POD, other, also=(replica_set("web-other", "other"),)) == ""


@pytest.mark.parametrize("old", [pod("web-o", "web-old", OLD), pod("web-o", "web-old", OLD, due=30)])
def test_an_old_pod_that_runs_or_drains_is_waited_for(old: Thing) -> None:
    assert unfinished(NEW_POD, old) == "web still drains 1 pod"


def test_evicted_pods_are_none_of_those_that_are_wanted() -> None:
    evicted = pod("web-e", "web-new", NEW, phase="Failed", reason="Evicted")
    assert unfinished(NEW_POD, evicted, replicas=2) == "web has 2 of 2 pods"


def test_a_deployment_that_somebody_deleted_is_said() -> None:
    cluster = FakeCluster()
    with pytest.raises(RolloutError, match="Deployment web was deleted"):
        kube_deployment.unfinished(cluster, held(cluster), "web", NEW)


@pytest.mark.parametrize(
    ("old", "buried"),
    [
        (pod("web-o", "web-old", OLD, on="two", due=-60), True),
        (pod("web-o", "web-old", OLD, on="two", due=10), False),
        (pod("web-o", "web-old", OLD, on="one", due=-60), False),
        (pod("web-o", "web-old", OLD, on="two"), False),
    ],
    ids=["dead and overdue", "dead, in its grace period", "overdue on a node that answers", "not told to go"],
)
def test_only_what_a_dead_node_keeps_too_long_is_let_go_of(old: Thing, buried: bool) -> None:
    """Recreate makes no new pod before."""
    cluster = web(old)
    words = kube_deployment.unfinished(cluster, held(cluster), "web", NEW)
    assert words == "web has 1 of 1 pods"
    assert ("delete Pod web-o" in cluster.did) == buried


def test_a_pod_that_runs_once_tells_what_it_said() -> None:
    cluster = FakeCluster(pod("judge-1", phase="Succeeded"))
    cluster.said["judge-1"] = "{}"
    assert kube_pods.outcome(cluster, cluster.things["Pod", "judge-1"], 5) == "{}"


@pytest.mark.parametrize("again", [False, True], ids=["gone", "another of its name"])
def test_a_pod_that_runs_once_and_is_deleted_is_waited_for_no_more(again: bool) -> None:
    cluster = FakeCluster(pod("judge-1"))
    one = cluster.things.pop(("Pod", "judge-1"))
    if again:
        cluster.create(pod("judge-1"))
    begin = time.monotonic()
    with pytest.raises(RolloutError, match="judge-1 was deleted before it ended"):
        kube_pods.outcome(cluster, one, 60)
    assert time.monotonic() - begin < 5


def test_a_pod_that_runs_once_on_a_node_that_died_is_waited_for_no_more() -> None:
    cluster = FakeCluster(pod("judge-1", on="two", due=-60))
    with pytest.raises(RolloutError, match="judge-1 was deleted, and its node does not say that it ended"):
        kube_pods.outcome(cluster, cluster.things["Pod", "judge-1"], 60)


def test_a_pod_that_runs_once_and_was_evicted_says_why() -> None:
    low = "The node was low on resource: memory"
    cluster = FakeCluster(pod("judge-1", phase="Failed", reason="Evicted", message=low))
    with pytest.raises(RolloutError, match=low):
        kube_pods.outcome(cluster, cluster.things["Pod", "judge-1"], 60)


def test_a_candidate_that_is_about_to_go_is_waited_for_no_more() -> None:
    cluster = FakeCluster(pod("candidate-2", due=30))
    with pytest.raises(RolloutError, match="candidate-2 was deleted"):
        ClusterSlots(cluster, held(cluster), SERVICE, 1)._not_ready(["candidate-2"])


@pytest.mark.parametrize("before", ["unable to retrieve container logs for containerd://7743ea33", ""])
def test_a_crash_whose_container_was_swept_away_is_told_by_the_next_one(before: str) -> None:
    cluster, crashed = FakeCluster(), pod("web-1", "web-new", NEW, ready=False)
    crashed["status"]["containerStatuses"] = [{"name": "web", "restartCount": 2, "ready": False}]
    cluster.said = {"web-1 before": before, "web-1": "no spring\n"}
    assert kube_pods.words(cluster, crashed) == "it said: no spring"
    del cluster.said["web-1"]
    assert kube_pods.words(cluster, crashed) == "it said nothing"


@pytest.mark.parametrize(
    ("resources", "fits"),
    [
        ({}, True),
        ({"requests": {"cpu": "1500m", "memory": "1Gi"}}, True),
        ({"requests": {"cpu": "2001m"}}, False),
        ({"limits": {"cpu": "3"}}, False),
        ({"requests": {"cpu": "1"}, "limits": {"cpu": "3"}}, True),
        ({"requests": {"memory": "1025Mi"}}, False),
        ({"requests": {"cpu": "1800m", "memory": "900Mi"}}, False),
    ],
)
def test_what_no_node_can_hold_however_empty_it_is_is_told_before_anything_changes(
    resources: Thing, fits: bool
) -> None:
    """Two containers of a half processor and what is asked for; no node has the best of both nodes."""
    nodes = [
        {"status": {"allocatable": {"cpu": "2", "memory": "1Gi"}}},
        {"status": {"allocatable": {"cpu": "2500m", "memory": "512Mi"}}},
    ]
    containers = [{"name": "beside", "resources": {"requests": {"cpu": "500m"}}}, {"resources": resources}]
    owner = {"metadata": {"name": "worker"}, "spec": {"template": {"spec": {"containers": containers}}}}
    why = kube_pods.too_large(nodes, owner)
    assert (why is None) == fits
    if why:
        assert str(why).startswith("no node can hold worker: it asks for cpu ")
