#!/usr/bin/python
"""Ansible module: the last step of a rollout."""

from __future__ import annotations

DOCUMENTATION = r"""
module: rollout_record
short_description: Write down how a rollout ended
description:
  - After a success, makes the new release the one that serves.
  - After a failure, which has to be undone already, only writes the line of history.
  - Prunes old releases by count. That this fails is said, and no failure of the rollout.
options:
  root: {description: The environment's folder, type: path, required: true}
  number: {description: The fencing number of the lease, type: int, required: true}
  lease_seconds: {description: Seconds until the lease expires unless renewed, type: float, default: 30}
  step: {description: The step that this belongs to, type: str}
  reason: {description: Why it failed; empty for a success, type: str, default: ""}
  store: {description: The folder that keeps bundles, type: path, required: true}
  name: {description: The service's name, type: str, required: true}
  keep: {description: How many releases that served are kept; as many that never did, type: int, default: 5}
author: [The maintainers (@maintainers)]
"""

EXAMPLES = r"""
- rollout_record: {root: /srv/shop, number: 7, store: /srv/bundles, name: shop, reason: /readyz answered 503}
"""

RETURN = r"""
line: {description: The line of history, type: dict, returned: when recorded}
recorded: {description: Whether the history has it, type: bool, returned: success}
serves: {description: Whether the new release is the one that serves, type: bool, returned: success}
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.rollout import act, record
from ansible.module_utils.rollout.errors import RolloutError, counted, line_of
from ansible.module_utils.rollout.lease import Lease
from ansible.module_utils.rollout.place import Place


def work(place: Place, lease: Lease, parameters: dict[str, Any]) -> dict[str, Any]:
    rollout, failed = place.rollout or {}, bool(parameters["reason"])
    with lease.act():
        if not failed:
            record.settle(place)
        try:
            if not failed:
                record.keep_settings(place)
            line = record.remember(place, rollout, "failed" if failed else "done", parameters["reason"])
        except OSError as error:
            if failed:
                raise
            why = line_of(error, place.root)
            return {
                "recorded": False,
                "serves": True,
                "msg": f"it serves; the next rollout writes its line of history: {why}",
            }
    try:
        pruned = record.forget_old(
            place, lease.act, Path(parameters["store"]), parameters["name"], parameters["keep"]
        )
    except (RolloutError, OSError, ValueError) as error:
        words = f"old releases could not be pruned: {line_of(error, place.root)}"
    else:
        words = f"{counted(len(pruned), 'old release')} pruned" if pruned else "written down"
    return {"recorded": True, "serves": not failed, "line": line, "msg": words}


def main() -> None:
    act.run(
        {
            "reason": {"type": "str", "default": ""},
            "store": {"type": "path", "required": True},
            "name": {"type": "str", "required": True},
            "keep": {"type": "int", "default": 5},
        },
        work,
    )


if __name__ == "__main__":
    main()
