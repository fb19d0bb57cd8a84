"""What it means that an overlay's objects run; those that do are counted by `make coverage`."""

import re
from collections.abc import Callable
from typing import Any

from rollout.kube_release import rendered
from tests.coverage.parts import files_of, parts
from tests.coverage.parts import ran as record
from tests.k8s.namespace import Namespace
from tests.parts.cluster import Kubectl
from tests.rollout.checkout import REPOSITORY, wait_until

HASH = re.compile(r"-[a-z0-9]{10}$")
"""What Kustomize adds to the name of a generated object."""
ROUTED_BY_NOBODY = "Ingress"


def all_ready(live: dict[str, Any]) -> bool:
    return bool(live["status"].get("readyReplicas") == live["spec"]["replicas"])


def protects(live: dict[str, Any]) -> bool:
    return bool(live["status"]["currentHealthy"] >= live["status"]["desiredHealthy"] > 0)


def counts(live: dict[str, Any]) -> bool:
    return bool(live["status"]["used"]["pods"] != "0")


def comes_every_night(live: dict[str, Any]) -> bool:
    return not live["spec"].get("suspend")


def has_figures(live: dict[str, Any]) -> bool:
    conditions = live["status"].get("conditions", [])
    return any(each["type"] == "ScalingActive" and each["status"] == "True" for each in conditions)


RUNS: dict[str, Callable[[dict[str, Any]], bool]] = {
    "Deployment": all_ready,
    "StatefulSet": all_ready,
    "PodDisruptionBudget": protects,
    "ResourceQuota": counts,
    "CronJob": comes_every_night,
    "HorizontalPodAutoscaler": has_figures,
}
"""What an object of a kind is like when it runs; of others it is enough that they are there."""


def require_that_all_runs(namespace: Namespace) -> None:
    """Raises AssertionError unless everything in the environment's overlay runs but what nobody routes.

    The Job is not applied as it is: every rollout runs pods that are made of it, which the history shows.
    """
    overlay, ran = REPOSITORY / "k8s/overlays" / namespace.ENVIRONMENT, set()
    for each in rendered(overlay):
        kind, name = each["kind"], each["metadata"]["name"]
        if kind == ROUTED_BY_NOBODY:
            continue
        ran.add(f"{kind} {HASH.sub('', name)}" if kind != "Namespace" else "Namespace service")
        if kind != "Job":
            _await_that_it_runs(namespace.kubectl, kind, name)
    if namespace.kubectl.get("cronjobs"):
        namespace.make("backup")  # whose volume waits for the first pod that writes to it
    volumes = namespace.kubectl.get("persistentvolumeclaims")
    assert {volume["status"]["phase"] for volume in volumes} <= {"Bound"}
    assert [line for line in namespace.history() if line["migrations"]], "no migration ran"
    for file in files_of(overlay):
        names = [name for _, _, name in parts(file)]
        record(REPOSITORY, file, [name for name in names if name.removeprefix("patch of ") in ran])


def _await_that_it_runs(kubectl: Kubectl, kind: str, name: str) -> None:
    runs = RUNS.get(kind, bool)
    wait_until(lambda: runs(kubectl.get(f"{kind}/{name}")), f"{kind} {name} to run", 90, every=0.5)
