#!/usr/bin/python
"""Ansible module: backups of a service's SQLite files."""

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_sqlite
short_description: Make, restore and rehearse backups of SQLite files
description:
  - What is restored takes the place of the files, which are kept beside it. The service must not run then.
  - A rehearsal restores the newest backup elsewhere, compares it table by table with what the source was when the
    backup was made, and has the release that serves check it.
options:
  state: {description: What to do, choices: [made, judged, restored, drilled], required: true}
  root: {description: The environment's folder, type: path, required: true}
  name: {description: The service's name, type: str, required: true}
  engine: {description: What runs the slots, choices: [process, systemd], default: process}
  time: {description: The moment to restore; the newest backup without it, type: str, default: ""}
  keep_days: {description: Backups older than this are pruned, type: float, default: 14}
  most_days: {description: How old the newest backup may be, type: float, default: 2}
author: [The maintainers (@maintainers)]
"""

EXAMPLES = r"""
- backup_sqlite: {state: drilled, root: /srv/shop, name: shop}
"""

RETURN = r"""
label: {description: The backup, type: str, returned: success}
recovery_seconds: {description: How long restoring and comparing took, type: float, returned: when drilled}
point_seconds: {description: What a lost disk would have cost, type: float, returned: when drilled}
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.rollout import copies
from ansible.module_utils.rollout.errors import RolloutError, counted, line_of
from ansible.module_utils.rollout.manager import manager_of
from ansible.module_utils.rollout.place import Place


def make(place: Place, told: dict[str, Any]) -> dict[str, Any]:
    backup = copies.make(place, told["keep_days"])
    return {"changed": True, "label": backup.name, "msg": f"{backup}, made and read again"}


def judge(place: Place, told: dict[str, Any]) -> dict[str, Any]:
    backup = copies.judge(place, told["most_days"], told["time"])
    return {
        "changed": False,
        "label": backup.name,
        "msg": f"{backup.name} of {copies.taken(backup)} is whole",
    }


def restore(place: Place, told: dict[str, Any]) -> dict[str, Any]:
    backup = copies.judge(place, told["most_days"], told["time"])
    if manager_of(told["engine"], place, told["name"]).runs():
        raise RolloutError("the service runs, and would write to what is taken away", "run `make down` first")
    kept = copies.restore(place, backup)
    words = f"; what was there is kept in {', '.join(kept)}" if kept else ""
    return {
        "changed": True,
        "label": backup.name,
        "msg": f"{backup.name} of {copies.taken(backup)} is in place{words}; `make up` serves it",
    }


def drill(place: Place, told: dict[str, Any]) -> dict[str, Any]:
    backup = copies.judge(place, told["most_days"], "")
    begun, age = time.monotonic(), copies.age(backup)
    tables, rows = copies.drill(place, backup)
    seconds = time.monotonic() - begun
    return {
        "changed": False,
        "label": backup.name,
        "recovery_seconds": round(seconds, 1),
        "point_seconds": round(age, 1),
        "msg": f"{counted(tables, 'table')} with {counted(rows, 'row')} as in the source at {copies.taken(backup)};"
        f" recovery took {seconds:.1f} s; the last backed up write was {age:.0f} s old",
    }


STATES: dict[str, Callable[[Place, dict[str, Any]], dict[str, Any]]] = {
    "made": make,
    "judged": judge,
    "restored": restore,
    "drilled": drill,
}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"choices": list(STATES), "required": True},
            "root": {"type": "path", "required": True},
            "name": {"type": "str", "required": True},
            "engine": {"choices": ["process", "systemd"], "default": "process"},
            "time": {"type": "str", "default": ""},
            "keep_days": {"type": "float", "default": 14.0},
            "most_days": {"type": "float", "default": 2.0},
        },
        supports_check_mode=True,
    )
    if module.check_mode:
        module.exit_json(changed=False, msg="a check looks at no backup")
    place = Place(Path(module.params["root"]))
    try:
        module.exit_json(**STATES[module.params["state"]](place, module.params))
    except (RolloutError, OSError) as error:
        module.fail_json(msg=line_of(error, place.root))


if __name__ == "__main__":
    main()
