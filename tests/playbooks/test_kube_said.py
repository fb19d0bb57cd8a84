"""What `make logs` tells of a cluster: what runs, and what an undo took away."""

from __future__ import annotations

from typing import Any

import pytest

from rollout import kube_said
from rollout.errors import RolloutError, StaleLease
from rollout.kube_lease import ClusterLease
from rollout.logs import MOST_LINES
from tests.playbooks.fake_cluster import NOW, FakeCluster, Thing, node, pod

CONTAINERS = [{"name": "it"}]
BEGUN = "2027-01-15T08:00:00"
"""When the clock of a fake cluster begins."""


def of(component: str, name: str, number: int = 2, **where: Any) -> Thing:
    made = pod(name, number=number, **where)
    made["metadata"]["labels"]["app.kubernetes.io/component"] = component
    made["spec"]["containers"] = CONTAINERS
    return made


def kept(*pods: Thing, said: dict[str, str], number: int = 2) -> FakeCluster:
    """A cluster whose pods are gone, after what rollout `number` said was kept."""
    cluster = FakeCluster(node("one"), node("two", dead=True), *pods)
    cluster.said = said
    keep(cluster, number)
    for each in pods:
        cluster.delete("Pod", each["metadata"]["name"])
    return cluster


def keep(cluster: FakeCluster, number: int = 2) -> None:
    lease = ClusterLease(cluster)
    lease.acquire("abebe")
    kube_said.keep(cluster, lease, number)
    lease.release()


def texts(cluster: FakeCluster, *processes: str, since: str = "10m") -> list[str]:
    return [f"{who}: {text}" for _, who, text in kube_said.newest(cluster, list(processes), since)]


def test_the_clock_is_as_the_lines_say() -> None:
    cluster = FakeCluster(of("web", "web-1"))
    cluster.said = {"web-1": f"{BEGUN}.5Z hello"}
    assert kube_said.newest(cluster, [], "10m") == [(NOW + 0.5, "web-1", "hello")]


def test_what_an_undo_took_away_is_told_by_time_with_what_was_said_before_a_crash() -> None:
    cluster = kept(
        of("web", "web-2"),
        of("scheduler", "scheduler-2"),
        said={
            "web-2": f"{BEGUN}.3Z ready",
            "scheduler-2": f"{BEGUN}.4Z begins again",
            "scheduler-2 before": f"{BEGUN}.1Z begins\n{BEGUN}.2Z this scheduler cannot start",
        },
    )
    assert texts(cluster) == [
        "scheduler-2: begins",
        "scheduler-2: this scheduler cannot start",
        "web-2: ready",
        "scheduler-2: begins again",
    ]
    assert texts(cluster, "web") == ["web-2: ready"]
    assert texts(cluster, "worker") == []


def test_what_is_kept_and_still_there_is_told_once_and_only_as_far_back_as_asked() -> None:
    cluster = FakeCluster(node("one"), of("web", "web-2"))
    cluster.said = {"web-2": f"2027-01-15T07:00:00Z an hour ago\n{BEGUN}Z now"}
    keep(cluster)
    assert texts(cluster) == ["web-2: an hour ago", "web-2: now"], (
        "of what runs the cluster itself leaves out"
    )
    cluster.delete("Pod", "web-2")
    assert texts(cluster) == ["web-2: now"]
    assert texts(cluster, since="2h") == ["web-2: an hour ago", "web-2: now"]


def test_a_candidate_is_a_web() -> None:
    cluster = kept(of("candidate", "candidate-2"), said={"candidate-2": f"{BEGUN}Z hello"})
    assert texts(cluster, "web") == texts(cluster) == ["candidate-2: hello"]


def test_other_rollouts_pods_and_a_dead_node_are_not_asked() -> None:
    cluster = kept(
        of("web", "web-1", number=1),
        of("web", "web-2", on="two"),
        said={"web-1": f"{BEGUN}Z serves", "web-2": f"{BEGUN}Z nobody hears"},
    )
    assert texts(cluster) == []
    assert not cluster.names("ConfigMap"), "nothing is kept of nothing"


def test_a_second_try_of_an_undo_keeps_what_the_first_one_found() -> None:
    cluster = kept(of("web", "web-2"), said={"web-2": f"{BEGUN}Z the reason"})
    cluster.apply(of("web", "web-2"))
    cluster.said = {"web-2": f"{BEGUN}Z only this"}
    keep(cluster)
    cluster.delete("Pod", "web-2")
    assert texts(cluster) == ["web-2: the reason"]


def test_little_enough_is_kept_for_an_object_of_the_api_and_of_few_rollouts() -> None:
    line = "x" * 4000
    said = "\n".join(f"{BEGUN}.{number:03}Z {number} {line}" for number in range(200))
    cluster = kept(of("web", "web-2"), said={"web-2": said})
    told = texts(cluster)
    assert 100 < len(told) < 130
    assert told[-1].startswith("web-2: 199 ")
    for number in range(3, 10):
        cluster.apply(of("web", f"web-{number}", number))
        cluster.said = {f"web-{number}": f"{BEGUN}Z hello"}
        keep(cluster, number)
    assert cluster.names("ConfigMap") == {f"said-{number}" for number in range(5, 10)}


def test_more_than_anybody_reads_is_cut_off_at_its_old_end() -> None:
    cluster = FakeCluster(of("web", "web-1"))
    cluster.said = {"web-1": "\n".join(f"{BEGUN}.{number:06}Z {number}" for number in range(MOST_LINES + 5))}
    told = texts(cluster)
    assert len(told) == MOST_LINES
    assert told[0].startswith("logs: (older lines are left out")
    assert told[-1] == f"web-1: {MOST_LINES + 4}"


def test_that_it_cannot_be_kept_stops_no_undo_but_another_owner_does(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = FakeCluster(node("one"), of("web", "web-2"))
    cluster.said = {"web-2": f"{BEGUN}Z hello"}
    for error in (RolloutError("the quota is exceeded"), StaleLease("taken over")):

        def refuse(thing: Thing, error: RolloutError = error, **_: Any) -> Thing:
            raise error

        monkeypatch.setattr(cluster, "apply", refuse)
        if isinstance(error, StaleLease):
            with pytest.raises(StaleLease):
                keep(cluster)
        else:
            keep(cluster)
    assert not cluster.names("ConfigMap")


def test_nodes_that_take_too_long_are_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kube_said, "KEEPING_SECONDS", 0.0)
    cluster = kept(of("web", "web-2"), said={"web-2": f"{BEGUN}Z hello"})
    assert texts(cluster) == []
