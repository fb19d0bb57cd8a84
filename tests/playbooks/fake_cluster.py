"""A namespace in memory behind the interface of `rollout.kube.Cluster`: objects, versions, owners; no controllers."""

import copy
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from rollout.kube import API_OF, Changed, Cluster

Thing = dict[str, Any]
NOW = 1_800_000_000.0
"""When a fake cluster begins; its clock goes on by a millisecond whenever somebody looks at it."""
TERM = re.compile(r"(?P<not>!?)(?P<key>[\w./-]+)(?: in \((?P<values>[^)]*)\)|=(?P<value>[\w.-]*))?(?:,|$)")


class FakeCluster(Cluster):
    """What was asked of it stands in `did`, a line each; `before` is called with each such line and may raise."""

    def __init__(self, *things: Thing) -> None:
        self.namespace = self.context = "shop"
        self.things: dict[tuple[str, str], Thing] = {}
        self.said: dict[str, str] = {}
        self.did: list[str] = []
        self.before: Callable[[str], None] = lambda _: None
        self._now = NOW
        self._count = 0
        for thing in things:
            self._store(thing)

    def now(self) -> float:
        self._now += 0.001
        return self._now

    def get_of(self, thing: Thing) -> Thing | None:
        self._do("get", thing["kind"], thing["metadata"]["name"])
        return copy.deepcopy(self.things.get((thing["kind"], thing["metadata"]["name"])))

    def every(self, kind: str, selector: str = "") -> list[Thing]:
        self._do("every", kind, selector)
        return [
            copy.deepcopy(each)
            for (its, _), each in self.things.items()
            if its == kind and _selected(each["metadata"].get("labels") or {}, selector)
        ]

    def apply(self, thing: Thing, *, dry_run: bool = False) -> Thing:
        self._do("try" if dry_run else "apply", thing["kind"], thing["metadata"]["name"])
        there = self.things.get(_key(thing), {})
        self._require_version(thing)
        status = {"status": there["status"]} if "status" in there else {}
        return copy.deepcopy(thing) if dry_run else self._store(thing | status)

    def create(self, thing: Thing) -> Thing:
        self._do("create", thing["kind"], thing["metadata"]["name"])
        if _key(thing) in self.things:
            raise Changed(f"{thing['kind']} is there")
        return self._store(thing)

    def replace(self, thing: Thing) -> Thing:
        self._do("replace", thing["kind"], thing["metadata"]["name"])
        self._require_version(thing)
        there = self.things.get(_key(thing), {})
        return self._store(thing | ({"status": there["status"]} if "status" in there else {}))

    def delete(self, kind: str, name: str, api: str = "", grace: int | None = None) -> None:
        self._do("delete", kind, name)
        self.things.pop((kind, name), None)

    def log(
        self, pod: str, container: str = "", *, tail: int | None = None, sure: bool = False, **options: Any
    ) -> str:
        return self.said.get(f"{pod} before" if options.get("previous") else pod, "")

    def touch(self, kind: str, name: str) -> None:
        """Have somebody else write an object."""
        self._store(self.things[kind, name])

    def names(self, kind: str) -> set[str]:
        return {name for its, name in self.things if its == kind}

    def _do(self, verb: str, kind: str, name: str) -> None:
        line = f"{verb} {kind} {name}"
        self.did.append(line)
        self.before(line)

    def _store(self, thing: Thing) -> Thing:
        self._count += 1
        there = self.things.get(_key(thing), {}).get("metadata", {})
        about = {"uid": f"uid-{self._count}", "creationTimestamp": stamp(NOW - 60)} | {
            key: value for key, value in there.items() if key in ("uid", "creationTimestamp")
        }
        about |= thing["metadata"] | {"resourceVersion": str(self._count)}
        api = {"apiVersion": API_OF.get(thing["kind"], "v1")}
        self.things[_key(thing)] = copy.deepcopy(api | thing | {"metadata": about})
        return copy.deepcopy(self.things[_key(thing)])

    def _require_version(self, thing: Thing) -> None:
        version = thing["metadata"].get("resourceVersion")
        there = self.things.get(_key(thing))
        if version and (not there or there["metadata"]["resourceVersion"] != version):
            raise Changed(f"{thing['kind']} {thing['metadata']['name']} was changed")


def stamp(seconds: float) -> str:
    """A moment as the API tells it."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def node(name: str, *, dead: bool = False) -> Thing:
    ready = {"type": "Ready", "status": "Unknown" if dead else "True"}
    return {"kind": "Node", "metadata": {"name": name}, "status": {"conditions": [ready]}}


def deployment(name: str, *, replicas: int = 1) -> Thing:
    return {
        "kind": "Deployment",
        "metadata": {"name": name, "uid": name, "generation": 1, "labels": {"rollout/kind": "release"}},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}},
        "status": {"observedGeneration": 1, "availableReplicas": replicas},
    }


def replica_set(name: str, owner: str) -> Thing:
    """One that a Deployment, or something else of this uid, owns."""
    return {
        "kind": "ReplicaSet",
        "metadata": {
            "name": name,
            "uid": name,
            "labels": {"app": name.partition("-")[0]},
            "ownerReferences": [{"controller": True, "uid": owner}],
        },
        "spec": {"replicas": 1},
    }


def pod(
    name: str, owner: str = "", number: int = 1, *, ready: bool = True, phase: str = "Running", on: str = "one",
    due: float | None = None, **status: Any,
) -> Thing:  # fmt: skip
    """A pod of a ReplicaSet.

    :param due: seconds from now until its grace period is over, where it was told to go.
    """
    about: Thing = {
        "name": name,
        "labels": {"app": name.partition("-")[0], "rollout/number": str(number)},
        "ownerReferences": [{"controller": True, "uid": owner}] if owner else [],
    }
    if due is not None:
        about["deletionTimestamp"] = stamp(NOW + due)
    conditions = [{"type": "Ready", "status": str(ready and phase == "Running")}]
    return {
        "kind": "Pod",
        "metadata": about,
        "spec": {"nodeName": on, "containers": [{"name": "main"}]},
        "status": {"phase": phase, "conditions": conditions} | status,
    }


def _key(thing: Thing) -> tuple[str, str]:
    return thing["kind"], thing["metadata"]["name"]


def _selected(labels: dict[str, str], selector: str) -> bool:
    for term in TERM.finditer(selector):
        value = labels.get(term["key"])
        if term["values"]:
            fits = value in re.split(r",\s*", term["values"])
        elif term["value"] is not None:
            fits = value == term["value"]
        else:
            fits = value is not None
        if fits == bool(term["not"]):
            return False
    return True
