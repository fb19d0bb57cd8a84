#!/usr/bin/python
"""Ansible module: a step of a rollout on a cluster."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_slot
short_description: Prepare, judge, migrate, prove, switch, watch or undo a release on a cluster
description:
  - Each rollout's pods are labelled with its number. Kubernetes starts and drains them; one verdict for all of them,
    and settings that go back with the code, are this module's.
options:
  context: {description: A context of the kubeconfig; empty for the current one, type: str, default: ""}
  namespace: {description: The environment's namespace, type: str, required: true}
  number: {description: The fencing number of the lease, type: int, required: true}
  lease_seconds: {description: Seconds until the lease expires unless renewed, type: float, default: 30}
  step: {description: The step that this belongs to, type: str, default: ""}
  state:
    description:
      - V(prepared) when the API server accepts every object and the release's check passed; V(judged) when both
        releases can live with the schema; V(migrated); V(proved) when a candidate pod answered everything; V(serving)
        when it serves and the old pods are drained; V(verified) when it held for O(watch_seconds); V(settled) when
        that is written down; V(undone) when the release serves that served before; V(failed) when O(reason) is
        written down; V(forgotten) when what was only prepared is gone; V(ended) when nothing runs.
    choices: [prepared, judged, migrated, proved, serving, verified, settled, undone, failed, forgotten, ended]
    required: true
  service: {description: The service file, type: path, required: true}
  overlay: {description: The folder of the environment's overlay, type: path, required: true}
  registry: {description: Where the nodes find images, type: str, default: ""}
  environment: {description: dev, staging or production, type: str, required: true}
  secrets: {description: The environment's secrets; empty for those that the set-up invented, type: dict, default: {}}
  demo: {description: Load demo data into an environment that never served, type: bool, default: false}
  ready_seconds: {description: The longest that a pod may take to be ready, type: float, default: 120}
  watch_seconds: {description: How long the running version is watched, type: float, default: 3}
  migrate_seconds: {description: The longest that a migration may take, type: float, default: 600}
  keep: {description: How many releases that served are kept, type: int, default: 5}
  reason: {description: Why the rollout failed, type: str, default: ""}
author: [The maintainers (@maintainers)]
"""

EXAMPLES = r"""
- cluster_slot: {state: undone, namespace: shop-dev, number: 7, service: infra/service.yml, overlay: k8s/overlays/dev}
"""

RETURN = r"""
msg: {description: What was found or done, type: str, returned: always}
"""

import base64
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.rollout import image, kube_release, record, release, service
from ansible.module_utils.rollout.errors import RolloutError, StaleLease, line_of
from ansible.module_utils.rollout.kube import Cluster
from ansible.module_utils.rollout.kube_journal import Journal
from ansible.module_utils.rollout.kube_lease import ClusterLease
from ansible.module_utils.rollout.kube_slots import NAMED, UNDO_SECONDS, ClusterSlots

STATES = [
    "prepared",
    "judged",
    "migrated",
    "proved",
    "serving",
    "verified",
    "settled",
    "undone",
    "failed",
    "forgotten",
    "ended",
]


def prepare(cluster: Cluster, slots: ClusterSlots, told: dict[str, Any], name: str) -> dict[str, Any]:
    """The objects of the release to come: rendered anew, or for a rollback those with which it served last."""
    journal = Journal(cluster)
    rollout, current = journal.rollout or {}, journal.current or {}
    version = rollout["version"]
    release.fit_for(version, told["environment"])
    if rollout["kind"] == "rollback":
        before = journal.objects(journal.served()[version]) or []
        objects, name_of = before[1:], before[0]["told"]["image"]
    elif not told["registry"]:
        raise RolloutError(
            "no registry is named that the nodes pull from",
            "set REGISTRY, or rollout_registry in the inventory",
        )
    else:
        name_of = image.pushed(told["registry"], name, version, slots.architectures())
        objects = kube_release.of_kind(kube_release.rendered(Path(told["overlay"])), "release")
    placed: kube_release.Told = {
        "number": rollout["number"],
        "version": version,
        "image": name_of,
        "before": current.get("image", name_of),
        "secret": "",
    }
    return {"changed": False, **slots.prepare(objects, placed, told["secrets"] or invented(cluster))}


def invented(cluster: Cluster) -> dict[str, str]:
    """The secrets that the set-up of an environment without a vault made up."""
    made = cluster.get("Secret", kube_release.SECRETS)
    if not made:
        raise RolloutError(f"{cluster.namespace} has no secrets yet", "run `make cluster` first")
    return {name: base64.b64decode(value).decode() for name, value in made["data"].items()}


def finish_killed(journal: Journal, lease: ClusterLease, undone: str) -> None:
    """Write down how the rollout ended that a dead owner left, and how undoing what it began did."""
    with lease.act():
        mine = journal.rollout or {}
        if not (killed := mine.get("killed")):
            return
        if killed["number"] not in [line["number"] for line in journal.history]:
            settled = (journal.current or {}).get("number") == killed["number"]
            why = f"its deployer died in step {killed.get('step')}; undone: {undone}"
            journal.remember(record.line_of(killed, "done" if settled else "killed", "" if settled else why))
        journal.begin(mine | {"killed": None})


def undo(slots: ClusterSlots, journal: Journal, lease: ClusterLease, step: str) -> str:
    """Undo this rollout or, in the step `lock`, what a dead owner left: that waits until it can be, or is replaced."""
    try:
        words: str = slots.undo(at_least=0 if step == "lock" else UNDO_SECONDS)
    except StaleLease:
        raise
    except (RolloutError, OSError) as error:
        if step != "lock":
            raise
        return f"it cannot, and this rollout goes on: {line_of(error, '')}"
    finish_killed(journal, lease, words)
    return words


def settle(slots: ClusterSlots, journal: Journal, lease: ClusterLease, keep: int) -> dict[str, Any]:
    """Make the new release the one that serves. What could not be undone before is over with that."""
    finish_killed(journal, lease, f"it could not be, {(journal.rollout or {}).get('version')} took its place")
    return dict(slots.settle(keep))


def end(slots: ClusterSlots, journal: Journal, lease: ClusterLease) -> str:
    """Stop everything. What a dead owner left is over with that."""
    words: str = slots.end()
    finish_killed(journal, lease, words)
    return words


def work(cluster: Cluster, lease: ClusterLease, told: dict[str, Any]) -> dict[str, Any]:
    facts = service.load(Path(told["service"]))
    slots, journal, state = (
        ClusterSlots(cluster, lease, facts, told["ready_seconds"]),
        Journal(cluster),
        told["state"],
    )
    if state == "prepared":
        return prepare(cluster, slots, told, facts.name)
    if state == "judged":
        verdict = slots.judge()
        words = f"{len(verdict['pending'])} to apply" if verdict["pending"] else "no migration"
        return {
            "changed": False,
            "pending": verdict["pending"],
            "msg": "; ".join([words, *verdict["overridden"]]),
        }
    if state == "failed":
        with lease.act():
            journal.remember(record.line_of(journal.rollout or {}, "failed", told["reason"]))
        return {"msg": "written down", "recorded": True, "serves": False}
    if state == "settled":
        return settle(slots, journal, lease, told["keep"])
    if state == "verified":
        return {"changed": False, "msg": slots.verify(told["watch_seconds"])}
    return {
        "msg": {
            "migrated": lambda: slots.migrate(told["demo"], told["migrate_seconds"]),
            "proved": slots.prove,
            "serving": slots.switch,
            "undone": lambda: undo(slots, journal, lease, told["step"]),
            "forgotten": slots.forget,
            "ended": lambda: end(slots, journal, lease),
        }[state]()
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec=NAMED
        | {
            "number": {"type": "int", "required": True},
            "lease_seconds": {"type": "float", "default": 30.0},
            "step": {"type": "str", "default": ""},
            "state": {"choices": STATES, "required": True},
            "service": {"type": "path", "required": True},
            "overlay": {"type": "path", "required": True},
            "registry": {"type": "str", "default": ""},
            "environment": {"type": "str", "required": True},
            "secrets": {"type": "dict", "default": {}, "no_log": True},
            "demo": {"type": "bool", "default": False},
            "ready_seconds": {"type": "float", "default": 120.0},
            "watch_seconds": {"type": "float", "default": 3.0},
            "migrate_seconds": {"type": "float", "default": 600.0},
            "keep": {"type": "int", "default": 5},
            "reason": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    told = module.params
    if module.check_mode:
        module.exit_json(changed=True, msg="would do it; a check changes nothing")
    try:
        undoes = told["state"] == "undone" and told["step"] != "lock"
        cluster = Cluster(told["namespace"], told["context"], UNDO_SECONDS if undoes else None)
        lease = ClusterLease(cluster, told["number"], told["lease_seconds"])
        with lease.renewed():
            if told["step"]:
                with lease.act():
                    journal = Journal(cluster)
                    steps = (journal.rollout or {}).get("steps", {})
                    journal.note(step=told["step"], steps={told["step"]: time.time()} | steps)
            result = work(cluster, lease, told)
    except (RolloutError, OSError) as error:
        module.fail_json(msg=line_of(error, told["namespace"]), stale=isinstance(error, StaleLease))
    module.exit_json(**({"changed": True} | result))


if __name__ == "__main__":
    main()
