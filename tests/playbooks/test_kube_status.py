"""What `make status` tells of a cluster."""

from types import SimpleNamespace
from typing import Any

from rollout import kube_status
from rollout.kube_journal import Journal
from tests.playbooks.fake_cluster import FakeCluster, Thing, deployment, node, pod

SHOP: Any = SimpleNamespace(processes={"web": None})


def web(name: str, number: int) -> Thing:
    made = pod(name, number=number)
    made["metadata"]["labels"]["app.kubernetes.io/component"] = "web"
    made["metadata"]["annotations"] = {"rollout/version": f"v{number}"}
    return made


def status(*pods: Thing) -> list[str]:
    return told(FakeCluster(node("one"), deployment("web"), *pods))


def told(cluster: FakeCluster) -> list[str]:
    Journal(cluster).settle({"version": "v1", "number": 1, "since": "now"}, {"number": 1, "outcome": "done"})
    return kube_status.report(cluster, SHOP)


def test_what_serves_is_ready_when_each_process_is() -> None:
    assert status(web("web-1", 1))[:2] == ["v1 serves since now: ready", "  web        1 of 1 pod ready"]


def test_pods_that_a_killed_rollout_left_are_told_with_their_version_and_that_they_serve() -> None:
    lines = status(web("web-2", 2))
    assert lines[0] == "v1 serves since now: NOT READY, but pods of another rollout are"
    assert "    web-2 is of another rollout (v2)" in lines


def test_where_nothing_is_ready_nothing_is() -> None:
    assert status()[0] == "v1 serves since now: NOT READY"


def test_what_was_stopped_is_not_called_unready() -> None:
    assert told(FakeCluster(node("one"))) == ["v1 is stopped; `make deploy VERSION=v1` starts it"]
