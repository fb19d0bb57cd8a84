#!/usr/bin/python
"""Ansible module: a slot of a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: rollout_slot
short_description: Prove, switch, watch or undo a release on a host
description:
  - Circus or systemd owns the listening socket; the slots blue and green come and go behind it, so no connection is
    refused.
options:
  root: {description: The environment's folder, type: path, required: true}
  number: {description: The fencing number of the lease, type: int, required: true}
  lease_seconds: {description: Seconds until the lease expires unless renewed, type: float, default: 30}
  step: {description: The step that this belongs to, type: str}
  state:
    description:
      - V(possible) when the port is free or ours; V(proved) when the new release answered on its private socket;
        V(serving) when it serves and the old slot is drained; V(verified) when it held for O(watch_seconds);
        V(undone) when the slot serves that served before; V(ended) when nothing runs.
    choices: [possible, proved, serving, verified, undone, ended]
    required: true
  engine: {description: What runs the slots, choices: [process, systemd], required: true}
  name: {description: The service's name, type: str, required: true}
  port: {description: The service's port, type: int, required: true}
  manager: {description: The hashed requirements of the process engine's service manager, type: path}
  environment: {description: dev, staging or production, type: str, required: true}
  ready_seconds: {description: The longest that a process may take to be ready, type: float, default: 60}
  watch_seconds: {description: How long the running version is watched, type: float, default: 3}
author: [The maintainers (@maintainers)]
"""

EXAMPLES = r"""
- rollout_slot: {state: undone, engine: systemd, root: /srv/shop, number: 7, name: shop, port: 8000, environment: dev}
"""

RETURN = r"""
msg: {description: What was found, type: str, returned: always}
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.rollout import act, record
from ansible.module_utils.rollout.lease import Lease
from ansible.module_utils.rollout.manager import manager_of
from ansible.module_utils.rollout.place import Place
from ansible.module_utils.rollout.slots import Slots


def finish_killed(place: Place, lease: Lease, undone: str) -> None:
    """Write down how the rollout ended that a dead owner left, and how undoing what it began did."""
    with lease.act():
        killed = (place.rollout or {}).get("killed")
        if killed:
            step = killed.get("step")
            settled = (place.current or {}).get("rollout") == killed["number"]
            mine = place.rollout or {}
            if killed["number"] not in [line["number"] for line in place.history]:
                record.remember(
                    place,
                    killed,
                    "done" if settled else "killed",
                    "" if settled else f"its deployer died in step {step}; undone: {undone}",
                )
            mine["killed"] = None
            place.note(**mine)


def work(place: Place, lease: Lease, parameters: dict[str, Any]) -> dict[str, Any]:
    lock = Path(parameters["manager"]) if parameters["manager"] else None
    manager = manager_of(parameters["engine"], place, parameters["name"], lease.act, lock)
    slots = Slots(place, lease, manager, parameters["ready_seconds"])
    state, environment = parameters["state"], parameters["environment"]
    if state == "possible":
        return {"changed": False, "msg": slots.possible(parameters["port"])}
    if state == "ended":
        return {"msg": slots.end()}
    if state == "verified":
        return {"changed": False, "msg": slots.verify(parameters["watch_seconds"])}
    if state == "undone":
        words = slots.clear() if parameters["step"] == "lock" else slots.undo()
        finish_killed(place, lease, words)
        return {"msg": words}
    if state == "proved":
        return {"msg": slots.prove(parameters["port"], environment)}
    return {"msg": slots.switch(environment)}


def main() -> None:
    act.run(
        {
            "state": {
                "choices": ["possible", "proved", "serving", "verified", "undone", "ended"],
                "required": True,
            },
            "engine": {"choices": ["process", "systemd"], "required": True},
            "name": {"type": "str", "required": True},
            "port": {"type": "int", "required": True},
            "manager": {"type": "path"},
            "environment": {"type": "str", "required": True},
            "ready_seconds": {"type": "float", "default": 60.0},
            "watch_seconds": {"type": "float", "default": 3.0},
        },
        work,
    )


if __name__ == "__main__":
    main()
