"""What a pod's status means to a rollout: whether it is ready, finished, or never will be."""

from __future__ import annotations

import time
from collections.abc import Collection
from datetime import datetime
from decimal import Decimal
from typing import Any

from kubernetes.utils.quantity import parse_quantity

from .errors import RolloutError, last_words
from .kube import Cluster, Thing

IMAGELESS = {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"}
HOPELESS = IMAGELESS | {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}
"""Reasons to wait of which none ends without somebody's doing."""
CRASHING_SECONDS = 15.0
"""How long a container may crash: a database that is just coming back is no fault of the release."""
PENDING_SECONDS = 10.0
"""How long no node may have room; a node that is just coming back may."""
OVERDUE_SECONDS = 30.0
"""How much longer than its grace period a pod may take to be gone, on a node that is busy; a dead one never says so."""
EVERY_SECONDS = 0.3
WORDS = 300
SWEPT = "unable to retrieve container logs for "
"""What a kubelet answers, as if the container had said it, when it has swept away one that ended."""
TAIL = 400
"""Lines of a log that are looked at: Django's tracebacks are long."""


def open_nodes(cluster: Cluster) -> list[Thing]:
    """Those that may be given pods."""
    return [each for each in cluster.every("Node") if not each.get("spec", {}).get("unschedulable")]


def too_large(nodes: Collection[Thing], owner: Thing) -> RolloutError | None:
    """Why no node can hold a Deployment's or a Job's pods, however empty it is; None when one can."""
    asked: dict[str, Decimal] = dict.fromkeys(("cpu", "memory"), Decimal(0))
    for container in owner["spec"]["template"]["spec"]["containers"]:
        resources = container.get("resources") or {}
        wanted = (resources.get("limits") or {}) | (resources.get("requests") or {})
        for name in asked:
            asked[name] += _quantity(wanted.get(name, 0))
    told = [each["status"]["allocatable"] for each in nodes if "allocatable" in each["status"]]
    holds = [{name: _quantity(each[name]) for name in asked} for each in told]
    if not holds or any(all(each[name] >= asked[name] for name in asked) for each in holds):
        return None
    name, most = owner["metadata"]["name"], max(holds, key=lambda each: (each["cpu"], each["memory"]))
    return RolloutError(
        f"no node can hold {name}: it asks for {_amounts(asked)}, the largest has {_amounts(most)}",
        "let it ask for less, or add a larger node",
    )


def _quantity(of: str | int) -> Decimal:
    return Decimal(parse_quantity(of))  # type: ignore[no-untyped-call]


def _amounts(of: dict[str, Decimal]) -> str:
    return f"cpu {of['cpu'].normalize():f} and memory {of['memory'] / 2**20:.0f}Mi"


def ready(pod: Thing) -> bool:
    """Whether it is ready and meant to stay."""
    return stays(pod) and _condition(pod, "Ready").get("status") == "True"


def stays(pod: Thing) -> bool:
    """Whether it is one that its ReplicaSet counts: others, evicted ones say, have their successors already."""
    return not ended(pod) and "deletionTimestamp" not in pod["metadata"]


def drains(cluster: Cluster, pod: Thing, dead: Collection[str]) -> bool:
    """Whether a pod that has to go still runs, and will be gone.

    :param dead: the nodes that do not answer: what ran there says nothing any more, and stays in the API.
    """
    if "deletionTimestamp" not in pod["metadata"]:
        return not ended(pod)  # it will be told to
    return not ended(pod) and not overdue(cluster, pod) and pod["spec"].get("nodeName") not in dead


def overdue(cluster: Cluster, pod: Thing) -> bool:
    """Whether it ought to have been gone long ago: a deletionTimestamp is when its grace period is over."""
    due = pod["metadata"].get("deletionTimestamp")
    return due is not None and _age(cluster, due) > OVERDUE_SECONDS


def dead_nodes(cluster: Cluster) -> set[str]:
    """The nodes that do not answer."""
    return {
        node["metadata"]["name"]
        for node in cluster.every("Node")
        if _condition(node, "Ready").get("status") != "True"
    }


def ended(pod: Thing) -> str:
    """Succeeded or Failed, or "" while it runs."""
    phase = str((pod.get("status") or {}).get("phase", ""))
    return phase if phase in ("Succeeded", "Failed") else ""


def trouble(cluster: Cluster, pod: Thing, more: str = "`make logs` tells more") -> RolloutError | None:
    """Why a pod will not become ready; None as long as it may.

    :param more: where a person finds more than its last words.
    """
    name, status = pod["metadata"]["name"], pod.get("status") or {}
    scheduled = _condition(pod, "PodScheduled")
    if (
        scheduled.get("reason") == "Unschedulable"
        and _age(cluster, pod["metadata"]["creationTimestamp"]) > PENDING_SECONDS
    ):
        return RolloutError(
            f"no node has room for {name}: {scheduled['message']}", "let it ask for less, or add a node"
        )
    for container in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") in HOPELESS:
            return RolloutError(
                f"{name} cannot start: {waiting['reason']}: {waiting.get('message', '')[:WORDS]}",
                "look whether the nodes can pull that image"
                if waiting["reason"] in IMAGELESS
                else "mend its manifest",
            )
        last = (container.get("lastState") or {}).get("terminated") or {}
        crashing = container.get("restartCount", 0) > 0 and not container.get("ready")
        if crashing and last and _age(cluster, pod["metadata"]["creationTimestamp"]) > CRASHING_SECONDS:
            times = container["restartCount"]
            said = words(cluster, pod, container)
            return RolloutError(
                f"{name} dies: status {last.get('exitCode')}, restarted {times} times; {said}", more
            )
    if ended(pod) == "Failed":
        why = status.get("message") or status.get("reason") or words(cluster, pod)
        return RolloutError(f"{name} failed: {why}", more)
    return None


def outcome(cluster: Cluster, pod: Thing, seconds: float) -> str:
    """Wait until a pod that runs once has ended. Returns what it said.

    :param seconds: the longest that it may take, its start included.
    :raises RolloutError: it failed, never began, was deleted, or did not end.
    """
    name, end = pod["metadata"]["name"], time.monotonic() + seconds
    while not ended(pod):
        if why := trouble(cluster, pod):
            raise why
        if overdue(cluster, pod):
            raise RolloutError(f"{name} was deleted, and its node does not say that it ended")
        if time.monotonic() > end:
            raise RolloutError(f"{name} did not end in {seconds:.0f} s")
        time.sleep(EVERY_SECONDS)
        there = cluster.get("Pod", name)
        if not there or there["metadata"]["uid"] != pod["metadata"]["uid"]:
            raise RolloutError(f"{name} was deleted before it ended")
        pod = there
    if ended(pod) == "Failed":
        evicted = pod["status"].get("reason") == "Evicted" and pod["status"].get("message")
        raise RolloutError(evicted or words(cluster, pod).removeprefix("it said: "))
    return cluster.log(name, sure=True)


def gone(cluster: Cluster, name: str, seconds: float = 60.0) -> None:
    """Wait until a pod that was deleted is gone."""
    end = time.monotonic() + seconds
    while cluster.get("Pod", name):
        if time.monotonic() > end:
            raise RolloutError(
                f"{name} is still there after {seconds:.0f} s", "`kubectl describe pod` says why"
            )
        time.sleep(EVERY_SECONDS)


def words(cluster: Cluster, pod: Thing, of: Thing | None = None) -> str:
    """What a container said last; before its last crash if there was one.

    :param of: the container's status; the first one's when not given.
    """
    of = of or next(iter((pod.get("status") or {}).get("containerStatuses") or []), {})
    container = of.get("name", pod["spec"]["containers"][0]["name"])
    crashed = bool(of.get("restartCount")) and not of.get("ready")
    for previous in (True, False) if crashed else (False,):
        said = cluster.log(pod["metadata"]["name"], container, tail=TAIL, previous=previous).strip()
        if said and not said.startswith(SWEPT):
            return f"it said: {last_words(said.splitlines())[:WORDS]}"
    return "it said nothing"


def missing(pod: Thing) -> str:
    """What a pod that is not ready waits for, in words."""
    for kind in ("PodScheduled", "Initialized", "ContainersReady", "Ready"):
        condition = _condition(pod, kind)
        if condition and condition["status"] != "True":
            return str(condition.get("message") or condition.get("reason") or kind)
    return "its status"


def _condition(pod: Thing, kind: str) -> dict[str, Any]:
    conditions = (pod.get("status") or {}).get("conditions") or []
    return next((each for each in conditions if each["type"] == kind), {})


def _age(cluster: Cluster, stamp: str) -> float:
    return cluster.now() - datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp()
