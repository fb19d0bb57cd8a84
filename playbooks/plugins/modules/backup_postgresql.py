#!/usr/bin/python
"""Ansible module: backups of a PostgreSQL server."""

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_postgresql
short_description: Make, judge, restore and rehearse backups of a PostgreSQL server
description:
  - With O(state=ready), O(state=made) and O(state=judged), on the host that has the repository.
  - With O(state=restored), the newest state, or that of O(time), is brought up beside the server, and put in its place
    when it is there. What was in its place is kept.
  - With O(state=drilled), the same is brought up, compared with the source table by table, and left there on port 5499
    for whoever may log in to the source; O(state=gone) removes it.
options:
  state: {description: What to do, choices: [ready, made, judged, restored, drilled, gone], required: true}
  name: {description: The service's database, type: str, default: ""}
  label: {description: The backup to start from, as judged, type: str, default: ""}
  time: {description: The moment to restore; the newest state without it, type: str, default: ""}
  address: {description: Where what was restored for a drill can be reached, type: str, default: ""}
  clients: {description: Who may reach it, type: list, elements: str, default: []}
  full: {description: Make a full backup in any case, type: bool, default: false}
  others: {description: Restore databases of other services along, type: bool, default: false}
  most_days: {description: How old the newest backup may be, type: float, default: 2}
author: [The maintainers (@maintainers)]
"""

EXAMPLES = r"""
- backup_postgresql: {state: drilled, name: shop, label: 20261123-120000F}
"""

RETURN = r"""
label: {description: The backup, type: str, returned: when made or judged}
recovery_seconds: {description: How long restoring and comparing took, type: float, returned: when drilled}
point_seconds: {description: Age of what was archived last before the drill, type: float, returned: when drilled}
outage_seconds: {description: How long nobody could write, type: float, returned: when restored}
"""

import time
from collections.abc import Callable
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.rollout import cluster, pgbackrest
from ansible.module_utils.rollout.errors import RolloutError, counted, differences, line_of


def ready(told: dict[str, Any]) -> dict[str, Any]:
    made = pgbackrest.ready()
    if not pgbackrest.backups():  # without one the log alone brings nothing back
        first = pgbackrest.make(full=True)
        return {
            "changed": True,
            "label": first.label,
            "msg": f"the log is archived; {first.label} is the first backup",
        }
    return {"changed": made, "msg": "the log is archived"}


def make(told: dict[str, Any]) -> dict[str, Any]:
    begun = time.monotonic()
    backup = pgbackrest.make(full=told["full"])
    pgbackrest.judge_all()
    words = f"{backup.label}, {backup.size >> 20} MB, made and read again in {time.monotonic() - begun:.0f} s"
    return {"changed": True, "label": backup.label, "msg": words}


def judge(told: dict[str, Any]) -> dict[str, Any]:
    backup = pgbackrest.judge(told["most_days"], pgbackrest.when(told["time"]) if told["time"] else None)
    return {
        "changed": False,
        "label": backup.label,
        "msg": f"{backup.label} of {backup.ended} is whole, and the log since then",
    }


def drill(told: dict[str, Any]) -> dict[str, Any]:
    with cluster.connected(cluster.PORT) as connection:
        ((lag,),) = cluster.ask(
            connection, "select extract(epoch from now() - last_archived_time)::float from pg_stat_archiver"
        )
    if missing := cluster.unlogged(told["name"]):
        raise RolloutError(
            f"what is written to {', '.join(missing)} is in no backup",
            "alter table ... set logged, or drop it",
        )
    source = cluster.freeze(told["name"])
    begun = time.monotonic()
    with cluster.beside(pgbackrest.backups()[-1].size, keep=True) as folder:
        pgbackrest.restore(folder, told["label"], name=source.point)
        cluster.start(told["address"])
        cluster.replayed(cluster.BESIDE_PORT, paused=True)
        with cluster.connected(cluster.BESIDE_PORT, told["name"]) as connection:
            restored = cluster.figures(connection)
        seconds = time.monotonic() - begun
        if differ := differences(source.figures, restored):
            raise RolloutError(f"the restored database differs (rows, checksum): {differ}")
        cluster.let_in(told["clients"])
    rows = sum(count for count, _ in restored.values())
    return {
        "changed": False,
        "recovery_seconds": round(seconds, 1),
        "point_seconds": round(lag or 0.0, 1),
        "msg": f"{counted(len(restored), 'table')} with {counted(rows, 'row')} as in the source at"
        f" {pgbackrest.moment(source.taken)}; recovery took {seconds:.1f} s; the last archived write was"
        f" {lag or 0:.0f} s old; writers waited {source.held * 1000:.0f} ms",
    }


def end(told: dict[str, Any]) -> dict[str, Any]:
    cluster.remove()
    cluster.let_in([])
    return {"changed": False, "msg": "removed what was restored for the drill"}


def restore(told: dict[str, Any]) -> dict[str, Any]:
    until = pgbackrest.when(told["time"]) if told["time"] else 0.0
    if cluster.alive():
        cluster.push()
    begun = time.monotonic()
    with cluster.beside(pgbackrest.backups()[-1].size) as folder:
        pgbackrest.restore(folder, told["label"], until=told["time"] and pgbackrest.moment(until))
        cluster.start()
        cluster.replayed(cluster.BESIDE_PORT, paused=bool(until))
        others = cluster.others(told["name"], cluster.BESIDE_PORT)
        if others and not told["others"]:
            raise RolloutError(
                f"the backup also holds {', '.join(others)}, which would go back to that time, too",
                "say backup_others: true in the inventory if that is meant",
            )
        with cluster.connected(cluster.BESIDE_PORT) as connection:
            ((newest,),) = cluster.ask(connection, "select pg_last_xact_replay_timestamp()::text")
        stopped = time.monotonic()
        kept = cluster.swap()
    ended = time.monotonic()
    return {
        "changed": True,
        "outage_seconds": round(ended - stopped, 1),
        "msg": f"restored in {ended - begun:.0f} s with all that was committed until {newest}"
        + (f"; what was there before is kept in {kept}" if kept else ""),
    }


STATES: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "ready": ready,
    "made": make,
    "judged": judge,
    "restored": restore,
    "drilled": drill,
    "gone": end,
}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"choices": list(STATES), "required": True},
            "name": {"type": "str", "default": ""},
            "label": {"type": "str", "default": ""},
            "time": {"type": "str", "default": ""},
            "address": {"type": "str", "default": ""},
            "clients": {"type": "list", "elements": "str", "default": []},
            "full": {"type": "bool", "default": False},
            "others": {"type": "bool", "default": False},
            "most_days": {"type": "float", "default": 2.0},
        },
        supports_check_mode=True,
    )
    if module.check_mode:
        module.exit_json(changed=False, msg="a check looks at no backup")
    try:
        module.exit_json(**STATES[module.params["state"]](module.params))
    except (RolloutError, OSError) as error:
        module.fail_json(msg=line_of(error, cluster.HOME))


if __name__ == "__main__":
    main()
