"""A release as objects of a cluster: a rendered overlay, with what a rollout puts in where manifests leave it open.

They say `image: release`, `image: release-before` (whose static files are served on), and name a Secret `secrets`.
Objects labelled `rollout/kind: release` are a rollout's, `site` the set-up's.
"""

from __future__ import annotations

import copy
import hashlib
import json
import re
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypedDict

import yaml

from .errors import RolloutError
from .kube import Thing
from .kube_journal import KIND

NUMBER, VERSION = "rollout/number", "rollout/version"
COMPONENT = "app.kubernetes.io/component"
SECRETS = "secrets"  # pragma: allowlist secret
IMAGES = {"release": "image", "release-before": "before"}
MIGRATE = "migrate"
CANDIDATE = "candidate"
AUTOSCALER = "HorizontalPodAutoscaler"
HASHED = re.compile(r"-[2456789bcdfghkmt]{10}$")
"""What Kustomize adds to the name of what it generates (api/hasher/hasher.go, `encode`)."""


class Told(TypedDict):
    """What a rollout puts in."""

    number: int
    version: str
    image: str
    before: str
    """The image that served before; the same one where none did."""
    secret: str
    """The name of the Secret."""


def rendered(overlay: Path) -> list[Thing]:
    """The objects of an overlay. Needs kubectl, which has Kustomize inside."""
    command = ["kubectl", "kustomize", "--load-restrictor", "LoadRestrictionsNone", str(overlay)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    except FileNotFoundError as error:
        raise RolloutError(
            "kubectl is not installed", "install it: https://kubernetes.io/docs/tasks/tools"
        ) from error
    if done.returncode:
        raise RolloutError(
            f"{overlay} cannot be rendered: {done.stderr.removeprefix('error: ')}", "mend the manifests"
        )
    return [each for each in yaml.safe_load_all(done.stdout) if each]


def of_kind(objects: Iterable[Thing], kind: str) -> list[Thing]:
    """Those of the set-up (`site`) or of a rollout (`release`)."""
    return [each for each in objects if (each["metadata"].get("labels") or {}).get(KIND) == kind]


def filled(objects: Iterable[Thing], told: Told) -> list[Thing]:
    """The objects of a release as they are applied."""
    done = copy.deepcopy(list(objects))
    for each in done:
        each["metadata"].setdefault("annotations", {})[VERSION] = told["version"]
        for template in _templates(each):
            template["metadata"].setdefault("labels", {})[NUMBER] = str(told["number"])
            template["metadata"].setdefault("annotations", {})[VERSION] = told["version"]
            _fill(template["spec"], told)
    return done


def _templates(thing: Thing) -> Iterator[Thing]:
    """The pod templates in an object."""
    spec = thing.get("spec") or {}
    if thing["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    if "template" in spec:
        yield spec["template"]


def _fill(spec: Thing, told: Told) -> None:
    for container in [*spec.get("containers", []), *spec.get("initContainers", [])]:
        if container["image"] in IMAGES:
            container["image"] = told[IMAGES[container["image"]]]  # type: ignore[literal-required]
        for source in container.get("envFrom", []):
            _rename(source.get("secretRef"), "name", told["secret"])
        for variable in container.get("env", []):
            _rename((variable.get("valueFrom") or {}).get("secretKeyRef"), "name", told["secret"])
    for volume in spec.get("volumes", []):
        _rename(volume.get("secret"), "secretName", told["secret"])


def _rename(reference: Thing | None, key: str, name: str) -> None:
    if reference and reference.get(key) == SECRETS:
        reference[key] = name


def over(seen: Thing, thing: Thing, scaled: Iterable[str] = ()) -> Thing:
    """An object as it takes the place of one that was seen; refused where that was changed since.

    :param scaled: the Deployments that keep the replicas that they have. Left out, they would be set to 1:
        https://kubernetes.io/docs/reference/using-api/server-side-apply/#transferring-ownership
    """
    before, about = seen["metadata"], thing["metadata"]
    notes = (before.get("annotations") or {}) | (about.get("annotations") or {})
    placed = thing | {
        "metadata": about | {"resourceVersion": before["resourceVersion"], "annotations": notes}
    }
    if thing["kind"] == "Deployment" and about["name"] in scaled:
        placed["spec"] = thing["spec"] | {"replicas": seen["spec"].get("replicas") or 1}
    return placed


def scaled(autoscalers: Iterable[Thing]) -> set[str]:
    """The Deployments whose number of pods is said by autoscalers."""
    targets = [each["spec"]["scaleTargetRef"] for each in autoscalers]
    return {target["name"] for target in targets if target["kind"] == "Deployment"}


def require_hashes(objects: Iterable[Thing]) -> None:
    """Raises RolloutError where applying a ConfigMap would change it under what serves."""
    for each in objects:
        name = each["metadata"]["name"]
        if each["kind"] == "ConfigMap" and not HASHED.search(name):
            raise RolloutError(
                f"ConfigMap {name} has a fixed name: pods that serve would be told what the next release is",
                "have Kustomize's configMapGenerator name it by its content",
            )


def deployments(objects: Iterable[Thing]) -> list[Thing]:
    """The Deployments, web first: it is what users notice."""
    found = [each for each in objects if each["kind"] == "Deployment"]
    return sorted(found, key=lambda each: component(each) != "web")


def number(deployment: Thing) -> int:
    """The rollout that applied a Deployment; 0 when it does not say."""
    return int((deployment["spec"]["template"]["metadata"].get("labels") or {}).get(NUMBER, 0))


def component(thing: Thing) -> str:
    """Which process of the service an object is for."""
    return str((thing["metadata"].get("labels") or {}).get(COMPONENT, ""))


def job(objects: Iterable[Thing]) -> Thing:
    """The Job that migrates, as the manifests have it."""
    found = [each for each in objects if each["kind"] == "Job" and component(each) == MIGRATE]
    if len(found) != 1:
        raise RolloutError(
            f"the overlay has {len(found)} Jobs of component {MIGRATE}",
            "docs/kubernetes.md says what an overlay holds",
        )
    return found[0]


def once(
    thing: Thing, name: str, command: list[str], seconds: int, env: dict[str, str], scripts: str
) -> Thing:
    """The migrating Job's pod, to run a command of the rollout's once.

    :param seconds: the longest that it may take.
    :param scripts: the ConfigMap that is mounted at /rollout.
    """
    template = copy.deepcopy(thing["spec"]["template"])
    spec = template["spec"]
    spec |= {"restartPolicy": "Never", "activeDeadlineSeconds": seconds}
    spec.setdefault("volumes", []).append({"name": "rollout", "configMap": {"name": scripts}})
    container = spec["containers"][0]
    container["command"] = command
    container.pop("args", None)
    container.setdefault("volumeMounts", []).append(
        {"name": "rollout", "mountPath": "/rollout", "readOnly": True}
    )
    container.setdefault("env", []).extend({"name": key, "value": value} for key, value in env.items())
    return _pod(name, template, spec, "once")


def candidate(deployment: Thing, name: str) -> Thing:
    """A web of the new release that no Service selects."""
    template = copy.deepcopy(deployment["spec"]["template"])
    template["metadata"]["labels"][COMPONENT] = CANDIDATE
    return _pod(name, template, template["spec"], CANDIDATE)


def surging(objects: Iterable[Thing]) -> list[Thing]:
    """A pod of each Deployment that starts new ones beside the old: only of a pod is it told whether it has room."""
    found = []
    for each in deployments(objects):
        strategy = each["spec"].get("strategy") or {}
        surge = (strategy.get("rollingUpdate") or {}).get("maxSurge", "25%")
        if strategy.get("type") != "Recreate" and str(surge) not in ("0", "0%"):
            template = copy.deepcopy(each["spec"]["template"])
            found.append(_pod(f"{each['metadata']['name']}-surge", template, template["spec"], "once"))
    return found


def _pod(name: str, template: Thing, spec: Thing, kind: str) -> Thing:
    labels = template["metadata"]["labels"] | {KIND: kind}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "labels": labels,
            "annotations": template["metadata"].get("annotations") or {},
        },
        "spec": spec,
    }


def secret(values: dict[str, str]) -> Thing:
    """The Secret of a release, whose name changes with its content."""
    digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:10]
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": f"{SECRETS}-{digest}", "labels": {KIND: "secret"}},
        "immutable": True,
        "stringData": values,
    }


def settings_digest(objects: Iterable[Thing], secret_name: str) -> str:
    """What identifies the settings of a release without telling them."""
    data = {each["metadata"]["name"]: each.get("data") for each in objects if each["kind"] == "ConfigMap"}
    return hashlib.sha256(json.dumps([data, secret_name], sort_keys=True).encode()).hexdigest()[:16]
