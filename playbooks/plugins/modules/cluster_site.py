#!/usr/bin/python
"""Ansible module: a namespace that can carry the service."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_site
short_description: Prepare a namespace
description:
  - Applies the objects of an overlay that are labelled C(rollout/kind) C(site), and waits until its servers are ready.
  - Makes the Secret that they and the releases read, from O(secrets), or once from values that it invents.
options:
  context: {description: A context of the kubeconfig; empty for the current one, type: str, default: ""}
  namespace: {description: The environment's namespace, type: str, required: true}
  overlay: {description: The folder of the environment's overlay, type: path, required: true}
  secrets: {description: The environment's secrets, type: dict, default: {}}
  generate: {description: Secrets to invent when they are missing, type: list, elements: str, default: []}
  ready_seconds: {description: The longest that a server may take to be ready, type: float, default: 120}
author: [The maintainers (@maintainers)]
"""

EXAMPLES = r"""
- cluster_site: {namespace: shop-dev, overlay: k8s/overlays/dev, generate: [SECRET_KEY, PGPASSWORD]}
"""

RETURN = r"""
report: {description: What was applied and changed, type: list, returned: success}
"""

import base64
import secrets as invention
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.rollout import kube_pods, kube_release
from ansible.module_utils.rollout.errors import RolloutError, counted, line_of
from ansible.module_utils.rollout.kube import Cluster, Thing
from ansible.module_utils.rollout.kube_journal import KIND
from ansible.module_utils.rollout.kube_slots import NAMED

FIRST = ["Namespace", "ResourceQuota", "LimitRange", "ServiceAccount", "NetworkPolicy", "ConfigMap"]


def secret(cluster: Cluster, given: dict[str, str], generate: list[str]) -> Thing:
    """What the servers and, where there is no vault, the releases are told."""
    there = cluster.get("Secret", kube_release.SECRETS)
    known = {
        name: base64.b64decode(value).decode() for name, value in ((there or {}).get("data") or {}).items()
    }
    missing = {name: invention.token_urlsafe(36) for name in generate if name not in known}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": kube_release.SECRETS, "labels": {KIND: "secrets"}},
        "data": {
            name: base64.b64encode(value.encode()).decode()
            for name, value in (given or known | missing).items()
        },
    }


def apply(cluster: Cluster, things: list[Thing], *, dry_run: bool) -> list[str]:
    """Apply objects. Returns the names of those that changed."""
    changed = []
    for thing in things:
        name = f"{thing['kind']} {thing['metadata']['name']}"
        before = cluster.get_of(thing)
        if dry_run and not cluster.get("Namespace", cluster.namespace):
            changed.append(name)
            continue
        after = cluster.apply(thing, dry_run=dry_run)
        if not before or _content(before) != _content(after):
            changed.append(name)
    return changed


def _content(thing: Thing) -> Thing:
    about = thing["metadata"]
    kept = {key: about.get(key) for key in ("labels", "annotations")}
    return {key: value for key, value in thing.items() if key not in ("metadata", "status")} | kept


def require_to_stay(cluster: Cluster) -> None:
    """Raises RolloutError where the namespace is being deleted: what is put into it goes, too."""
    there = cluster.get("Namespace", cluster.namespace)
    if there and "deletionTimestamp" in there["metadata"]:
        raise RolloutError(
            f"the namespace {cluster.namespace} is being deleted", "wait until it is gone, then run it again"
        )


def waited(cluster: Cluster, things: list[Thing], seconds: float) -> None:
    """Wait until every StatefulSet has its pods ready."""
    end = time.monotonic() + seconds
    for thing in things:
        name = thing["metadata"]["name"]
        while thing["kind"] == "StatefulSet":
            if not (there := cluster.get("StatefulSet", name)):
                raise RolloutError(f"StatefulSet {name} was deleted", "run it again")
            status, wanted = there.get("status") or {}, there["spec"]["replicas"]
            current = status.get("observedGeneration") == there["metadata"]["generation"]
            if current and status.get("readyReplicas", 0) == status.get("updatedReplicas", 0) == wanted:
                break
            labels = there["spec"]["selector"]["matchLabels"]
            pods = cluster.every("Pod", ",".join(f"{key}={value}" for key, value in labels.items()))
            for pod in filter(kube_pods.stays, pods):
                more = f"`kubectl -n {cluster.namespace} describe pod` tells more"
                if why := kube_pods.trouble(cluster, pod, more):
                    raise why
            if time.monotonic() > end:
                lacks = kube_pods.missing(pods[0]) if pods else "it has no pod"
                raise RolloutError(
                    f"{name} was not ready in {seconds:.0f} s: {lacks}", "mend that and run it again"
                )
            time.sleep(kube_pods.EVERY_SECONDS)


def main() -> None:
    module = AnsibleModule(
        argument_spec=NAMED
        | {
            "overlay": {"type": "path", "required": True},
            "secrets": {"type": "dict", "default": {}, "no_log": True},
            "generate": {"type": "list", "elements": "str", "default": [], "no_log": False},
            "ready_seconds": {"type": "float", "default": 120.0},
        },
        supports_check_mode=True,
    )
    told: dict[str, Any] = module.params
    try:
        cluster = Cluster(told["namespace"], told["context"])
        things = kube_release.of_kind(kube_release.rendered(Path(told["overlay"])), "site")
        things.sort(key=lambda each: FIRST.index(each["kind"]) if each["kind"] in FIRST else len(FIRST))
        require_to_stay(cluster)
        grounds = [each for each in things if each["kind"] == "Namespace"]
        changed = apply(cluster, grounds, dry_run=module.check_mode)
        rest = [secret(cluster, told["secrets"], told["generate"]), *things[len(grounds) :]]
        changed += apply(cluster, rest, dry_run=module.check_mode)
        if not module.check_mode:
            waited(cluster, things, told["ready_seconds"])
    except (RolloutError, OSError) as error:
        module.fail_json(msg=line_of(error, told["namespace"]))
    of_all = counted(len(things) + 1, "object")
    words = f"{len(changed)} of {of_all} {'would be ' if module.check_mode else ''}changed"
    module.exit_json(changed=bool(changed), report=[*changed, f"{told['namespace']}: {words}"])


if __name__ == "__main__":
    main()
