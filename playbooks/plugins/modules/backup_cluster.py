#!/usr/bin/python
"""Ansible module: backups of a cluster's own PostgreSQL."""

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_cluster
short_description: Make, restore and rehearse backups of a database in a cluster
description:
  - Each is a pod of the namespace's CronJob C(backup), which makes one by itself every night.
  - What is restored is compared table by table with what the database was when the backup was made. It takes the place
    of the database, which is kept beside it. The service must not run then.
options:
  state: {description: What to do, choices: [made, judged, restored, drilled], required: true}
  context: {description: A context of the kubeconfig; empty for the current one, type: str, default: ""}
  namespace: {description: The environment's namespace, type: str, required: true}
  time: {description: The moment to restore; the newest backup without it, type: str, default: ""}
  keep_days: {description: Backups older than this are pruned, type: float, default: 14}
  most_days: {description: How old the newest backup may be, type: float, default: 2}
  seconds: {description: The longest that it may take, type: int, default: 3600}
author: [The maintainers (@maintainers)]
"""

EXAMPLES = r"""
- backup_cluster: {state: drilled, namespace: shop-dev}
"""

RETURN = r"""
label: {description: The backup, type: str, returned: success}
recovery_seconds: {description: How long restoring and comparing took, type: float, returned: when drilled}
point_seconds: {description: What a lost volume would have cost, type: float, returned: when drilled}
"""

import copy
import getpass
import platform
import time
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.rollout import kube_pods
from ansible.module_utils.rollout.copies import STAMP
from ansible.module_utils.rollout.errors import RolloutError, counted, line_of
from ansible.module_utils.rollout.kube import Cluster
from ansible.module_utils.rollout.kube_journal import KIND, Journal
from ansible.module_utils.rollout.kube_lease import ClusterLease
from ansible.module_utils.rollout.kube_release import NUMBER
from ansible.module_utils.rollout.kube_slots import NAMED
from ansible.module_utils.rollout.pgbackrest import DAY, moment, when

NAME = "backup"


def ran(cluster: Cluster, told: dict[str, Any], *words: str) -> list[str]:
    """Run the CronJob's pod once, with these words. Returns the lines that it said."""
    job = cluster.get("CronJob", NAME)
    if not job:
        raise RolloutError(
            f"{cluster.namespace} has no CronJob {NAME}",
            "`make cluster` applies it where the database is the cluster's own; another one is backed up by its keeper",
        )
    template = copy.deepcopy(job["spec"]["jobTemplate"]["spec"]["template"])
    template["spec"]["containers"][0]["args"] = list(words)
    template["spec"]["activeDeadlineSeconds"] = told["seconds"]
    name = f"{NAME}-by-hand"
    if there := cluster.get("Pod", name):
        if not kube_pods.ended(there):
            raise RolloutError(f"another backup, drill or restore is under way: {name}", "wait for it to end")
        cluster.delete("Pod", name, grace=0)  # of one that was killed
        kube_pods.gone(cluster, name)
    about = template["metadata"] | {"name": name, "labels": template["metadata"]["labels"] | {KIND: "once"}}
    pod = cluster.create({"apiVersion": "v1", "kind": "Pod", "metadata": about, "spec": template["spec"]})
    try:
        said: str = kube_pods.outcome(cluster, pod, told["seconds"])
        return said.splitlines()
    finally:
        cluster.delete("Pod", name, grace=0)
        kube_pods.gone(cluster, name)


def taken(label: str) -> float:
    """When a backup was made, in seconds since 1970."""
    return datetime.strptime(label, STAMP).replace(tzinfo=timezone.utc).timestamp()  # noqa: UP017


def judged(cluster: Cluster, told: dict[str, Any]) -> str:
    """The backup to restore: the newest, or the newest until a moment that a person named."""
    until = when(told["time"]) if told["time"] else cluster.now()
    there = ran(cluster, told, "listed")
    if not there:
        raise RolloutError(f"{cluster.namespace} has no backup", "make one: `make backup`")
    fit = [label for label in there if taken(label) <= until]
    if not fit:
        raise RolloutError(f"the oldest backup is {there[0]}", "name a TIME after that")
    age = (cluster.now() - taken(fit[-1])) / DAY
    if not told["time"] and age > told["most_days"]:
        raise RolloutError(
            f"the newest backup, {fit[-1]}, is {age:.1f} days old; at most {told['most_days']:g} are allowed",
            "`make backup`, or restore by TIME",
        )
    return fit[-1]


def make(cluster: Cluster, told: dict[str, Any]) -> dict[str, Any]:
    label = ran(cluster, told, "made", f"{told['keep_days']:.0f}")[-1]
    return {"changed": True, "label": label, "msg": f"{label}, made and read again"}


def judge(cluster: Cluster, told: dict[str, Any]) -> dict[str, Any]:
    label = judged(cluster, told)
    ran(cluster, told, "whole", label)
    return {"changed": False, "label": label, "msg": f"{label} is whole"}


def drill(cluster: Cluster, told: dict[str, Any]) -> dict[str, Any]:
    label, begun = judged(cluster, told), time.monotonic()
    tables, rows = map(int, ran(cluster, told, "drilled", label)[-1].split())
    seconds, age = time.monotonic() - begun, cluster.now() - taken(label)
    return {
        "changed": False,
        "label": label,
        "recovery_seconds": round(seconds, 1),
        "point_seconds": round(age, 1),
        "msg": f"{counted(tables, 'table')} with {counted(rows, 'row')} as in the source at {moment(taken(label))};"
        f" recovery took {seconds:.1f} s; the last backed up write was {age:.0f} s old",
    }


def restore(cluster: Cluster, told: dict[str, Any]) -> dict[str, Any]:
    lease = ClusterLease(cluster)
    lease.acquire(f"a restore by {getpass.getuser()} on {platform.node()}")  # no rollout begins meanwhile
    try:
        with lease.renewed():
            if Journal(cluster).rollout:
                raise RolloutError(
                    "a rollout was killed here", "`make deploy` or `make down` cleans up after it"
                )
            if not all(map(kube_pods.ended, cluster.every("Pod", f"{NUMBER},!{KIND}"))):
                raise RolloutError(
                    "the service runs, and would write to what is taken away", "run `make down` first"
                )
            label = judged(cluster, told)
            kept = ran(cluster, told, "restored", label)[-1]
    finally:
        lease.release()
    words = f"{label} is in place; what was there is kept in the database {kept}; `make deploy` serves it"
    return {"changed": True, "label": label, "msg": words}


STATES: dict[str, Callable[[Cluster, dict[str, Any]], dict[str, Any]]] = {
    "made": make,
    "judged": judge,
    "restored": restore,
    "drilled": drill,
}


def main() -> None:
    module = AnsibleModule(
        argument_spec=NAMED
        | {
            "state": {"choices": list(STATES), "required": True},
            "time": {"type": "str", "default": ""},
            "keep_days": {"type": "float", "default": 14.0},
            "most_days": {"type": "float", "default": 2.0},
            "seconds": {"type": "int", "default": 3600},
        },
        supports_check_mode=True,
    )
    told = module.params
    if module.check_mode:
        module.exit_json(changed=False, msg="a check looks at no backup")
    try:
        module.exit_json(**STATES[told["state"]](Cluster(told["namespace"], told["context"]), told))
    except (RolloutError, OSError) as error:
        module.fail_json(msg=line_of(error, told["namespace"]))


if __name__ == "__main__":
    main()
