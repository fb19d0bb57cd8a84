#!/usr/bin/python
"""Ansible module: take and give back the lease of an environment on a cluster."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_lease
short_description: One rollout at a time in a namespace
description:
  - Takes the Lease object, with a fencing number, and writes down what the rollout is about to do.
  - A lease whose owner died is taken over once it has expired, and only then; what he left is reported as C(killed).
  - Gives it back with O(state=free).
options:
  context: {description: A context of the kubeconfig; empty for the current one, type: str, default: ""}
  namespace: {description: The environment's namespace, type: str, required: true}
  state: {description: What to do, choices: [held, free], default: held}
  number: {description: The fencing number, to give it back, type: int, default: 0}
  owner: {description: Who rolls out, type: str}
  lease_seconds: {description: Seconds until it expires unless renewed, type: float, default: 30}
  kind: {description: What is under way, choices: [deploy, rollback, down], default: deploy}
  version: {description: The release to come; for a rollback empty means the previous one, type: str, default: ""}
  pending:
    description: When giving the lease back, leave the rollout to the next one, to be undone or written down.
    type: bool
    default: false
author: [The maintainers (@maintainers)]
"""

EXAMPLES = r"""
- cluster_lease: {namespace: shop-dev, owner: abebe, version: 20261123-052500-0123456789ab}
  register: rollout_lease
"""

RETURN = r"""
number: {description: The fencing number; also when a rollback has nowhere to go, type: int, returned: when held}
version: {description: The release to come, type: str, returned: when held}
killed: {description: The rollout that a dead owner left unfinished, type: dict, returned: when there was one}
recalled: {description: What serves, where the record of it was gone, type: str, returned: when held}
"""

import time
from datetime import datetime
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.rollout.errors import RolloutError, line_of
from ansible.module_utils.rollout.kube import Cluster
from ansible.module_utils.rollout.kube_journal import Journal
from ansible.module_utils.rollout.kube_lease import ClusterLease
from ansible.module_utils.rollout.kube_slots import NAMED
from ansible.module_utils.rollout.kube_takeover import mark, recall
from ansible.module_utils.rollout.lease import LeaseHeld


def hold(
    cluster: Cluster, lease: ClusterLease, told: dict[str, Any]
) -> tuple[dict[str, Any], RolloutError | None]:
    """Take the lease and begin the journal. A rollback without a version goes to the previous release.

    :returns: what was begun, and why it has nowhere to go, if so.
    """
    lease.acquire(told["owner"], Journal(cluster).last())
    try:
        with lease.act():
            rollout = begin(cluster, lease.number, told)
        why = nowhere(Journal(cluster), rollout["version"]) if told["kind"] == "rollback" else None
    except (RolloutError, OSError):
        lease.release()  # nothing was done yet that the next one could not find
        raise
    return {key: rollout[key] for key in ("number", "version", "killed", "recalled")}, why


def begin(cluster: Cluster, number: int, told: dict[str, Any]) -> dict[str, Any]:
    """Write down what is under way. Returns that."""
    mark(cluster, number)  # who was taken for dead finds every Deployment changed
    recalled, journal = recall(cluster), Journal(cluster)
    left, current = journal.rollout, journal.current or {}
    rollout = {
        "number": number,
        "kind": told["kind"],
        "version": told["version"] or (told["kind"] == "rollback" and current.get("previous")) or "",
        "owner": told["owner"],
        "from": current.get("version"),
        "at": f"{datetime.now().astimezone():%Y-%m-%d %H:%M:%S}",
        "step": "lock",
        "steps": {"lock": time.time()},
        "killed": left.get("killed") or left if left else None,
        "recalled": recalled,
    }
    journal.begin(rollout)
    return rollout


def nowhere(journal: Journal, version: str) -> RolloutError | None:
    """Why a rollback cannot go to a release, if so: none came before, or that one never served here."""
    if not version:
        return RolloutError(
            "no release ran here before this one",
            "name one that `make history` tells: make rollback VERSION=...",
        )
    if version not in {line["to"] for line in journal.history if line["outcome"] == "done"}:
        return RolloutError(f"{version} never served here", "`make deploy VERSION=...` rolls it out")
    if version not in journal.kept().values():
        return RolloutError(f"{version} is not kept any more", "`make deploy VERSION=...` rolls it out")
    return None


def main() -> None:
    module = AnsibleModule(
        argument_spec=NAMED
        | {
            "state": {"choices": ["held", "free"], "default": "held"},
            "number": {"type": "int", "default": 0},
            "owner": {"type": "str"},
            "lease_seconds": {"type": "float", "default": 30.0},
            "kind": {"choices": ["deploy", "rollback", "down"], "default": "deploy"},
            "version": {"type": "str", "default": ""},
            "pending": {"type": "bool", "default": False},
        },
        required_if=[("state", "held", ["owner"]), ("state", "free", ["number"])],
        supports_check_mode=True,
    )
    told = module.params
    try:
        cluster = Cluster(told["namespace"], told["context"])
        lease = ClusterLease(cluster, told["number"], told["lease_seconds"])
        if module.check_mode:
            module.exit_json(changed=True, msg=lease.holder() or "free", number=0)
        journal = Journal(cluster)
        if told["state"] == "free":
            try:
                with lease.act():
                    if killed := (journal.rollout or {}).get("killed"):
                        journal.begin(killed)
                    elif not told["pending"]:
                        journal.forget_rollout()
            finally:
                lease.release()
            module.exit_json(changed=True)
        result, why = hold(cluster, lease, told)
        if why:
            module.fail_json(msg=str(why), held=False, **result)
        note = f"number {result['number']}"
        if result["killed"]:
            note += f", taken over from {result['killed']['owner']}, who died in step {result['killed'].get('step')}"
        if result["recalled"]:
            note += f"; its record was gone: {result['recalled']} is taken for what serves"
        module.exit_json(changed=True, msg=note, **result)
    except LeaseHeld as error:
        module.fail_json(msg=str(error), held=True)
    except (RolloutError, OSError) as error:
        module.fail_json(msg=line_of(error, told["namespace"]), held=False)


if __name__ == "__main__":
    main()
