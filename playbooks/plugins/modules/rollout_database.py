#!/usr/bin/python
"""Ansible module: the schema's side of a rollout."""

from __future__ import annotations

DOCUMENTATION = r"""
module: rollout_database
short_description: Judge or apply the migrations of a rollout
description:
  - With O(state=judged), refuses a migration which the release that goes on serving could not live with.
  - With O(state=migrated), copies SQLite's files when there is something to migrate, then migrates under a lock.
  - PostgreSQL is not copied. What a disaster in a migration takes is restored from its archived write-ahead log.
options:
  root: {description: The environment's folder, type: path, required: true}
  number: {description: The fencing number of the lease, type: int, required: true}
  lease_seconds: {description: Seconds until the lease expires unless renewed, type: float, default: 30}
  step: {description: The step that this belongs to, type: str}
  state: {description: What to do, choices: [judged, migrated], required: true}
  environment: {description: dev, staging or production, type: str, required: true}
  demo: {description: Load demo data into an environment that never served, type: bool, default: false}
  seconds: {description: The longest that a migration may take, type: float, default: 600}
author: [The maintainers (@maintainers)]
"""

EXAMPLES = r"""
- rollout_database: {state: judged, root: /srv/shop, number: 7, environment: dev}
"""

RETURN = r"""
pending: {description: The migrations that are to be applied, type: list, returned: when judged}
"""

from typing import Any

from ansible.module_utils.rollout import act, database
from ansible.module_utils.rollout.lease import Lease
from ansible.module_utils.rollout.place import Place


def judge(place: Place, lease: Lease, told: dict[str, str]) -> dict[str, Any]:
    with lease.act():
        script = database.judge_script(place)
    verdict = database.judge(place, script, told)
    with lease.act():
        place.note(migrations=verdict["pending"], vendor=verdict["vendor"])
    words = f"{len(verdict['pending'])} to apply" if verdict["pending"] else "no migration"
    return {
        "changed": False,
        "pending": verdict["pending"],
        "msg": "; ".join([words, *verdict["overridden"]]),
    }


def migrate(place: Place, lease: Lease, told: dict[str, str], demo: bool, seconds: float) -> dict[str, Any]:
    rollout = place.rollout or {}
    did = []
    if rollout["migrations"]:
        if rollout["vendor"] == database.POSTGRESQL:
            copied = "not copied: PostgreSQL's archived log goes back to any second"
        elif rollout["vendor"] == database.MARIADB:
            copied = "not copied: MariaDB's binary log and dumps are its administrator's"
        else:
            copies = database.back_up(place, rollout["version"], rollout["number"])
            copied = f"copied before: {', '.join(copies) or 'nothing'}"
        with lease.act():
            pass  # the last look at the number before the schema changes
        took = database.migrate(place, told, seconds)
        did.append(f"{len(rollout['migrations'])} applied in {took:.1f} s, {copied}")
    if demo and not place.current and database.load_demo(place, told, seconds):
        did.append("demo data loaded")
    return {"changed": bool(did), "msg": "; ".join(did) or "nothing to migrate"}


def work(place: Place, lease: Lease, parameters: dict[str, Any]) -> dict[str, Any]:
    told = place.told() | {"ENVIRONMENT": parameters["environment"]}
    if parameters["state"] == "judged":
        return judge(place, lease, told)
    return migrate(place, lease, told, parameters["demo"], parameters["seconds"])


def main() -> None:
    act.run(
        {
            "state": {"choices": ["judged", "migrated"], "required": True},
            "environment": {"type": "str", "required": True},
            "demo": {"type": "bool", "default": False},
            "seconds": {"type": "float", "default": 600.0},
        },
        work,
    )


if __name__ == "__main__":
    main()
