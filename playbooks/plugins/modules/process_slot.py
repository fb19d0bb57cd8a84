#!/usr/bin/python
"""Ansible module: a slot of the process engine."""

from __future__ import annotations

DOCUMENTATION = r"""
module: process_slot
short_description: Prove, switch, watch or undo a release under circus on this machine
description:
  - Circus owns the listening socket; the slots blue and green come and go behind it, so no connection is refused.
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
  port: {description: The service's port on 127.0.0.1, type: int, required: true}
  manager: {description: The hashed requirements of the service manager, type: path, required: true}
  environment: {description: dev, staging or production, type: str, required: true}
  settings: {description: The settings file that the release is to serve with, type: path}
  digest: {description: What identifies its settings, type: str}
  ready_seconds: {description: The longest that a process may take to be ready, type: float, default: 60}
  watch_seconds: {description: How long the running version is watched, type: float, default: 3}
author: [The maintainers (@maintainers)]
"""

EXAMPLES = r"""
- process_slot: {state: undone, root: /srv/shop, number: 7, port: 8000, manager: process.txt, environment: dev}
"""

RETURN = r"""
msg: {description: What was found, type: str, returned: always}
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.rollout import act, record
from ansible.module_utils.rollout.lease import Lease
from ansible.module_utils.rollout.place import Place
from ansible.module_utils.rollout.process import ProcessEngine


def finish_killed(place: Place, lease: Lease) -> None:
    """Write down how the rollout ended that a dead owner left, now that what it began is undone."""
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
                    "" if settled else f"its deployer died in step {step}; undone",
                )
            mine["killed"] = None
            place.note(**mine)


def work(place: Place, lease: Lease, parameters: dict[str, Any]) -> dict[str, Any]:
    engine = ProcessEngine(place, lease, parameters["ready_seconds"])
    state, port, environment = parameters["state"], parameters["port"], parameters["environment"]
    if state == "possible":
        return {"changed": False, "msg": engine.possible(port)}
    if state == "ended":
        return {"msg": engine.end()}
    if state == "verified":
        return {"changed": False, "msg": engine.verify(port, parameters["watch_seconds"])}
    if state == "undone":
        words = engine.undo()
        finish_killed(place, lease)
        return {"msg": words}
    settings, digest = place.settings(Path(parameters["settings"])), parameters["digest"]
    if state == "proved":
        return {"msg": engine.prove(port, Path(parameters["manager"]), settings, digest, environment)}
    return {"msg": engine.switch(settings, digest, environment)}


def main() -> None:
    act.run(
        {
            "state": {
                "choices": ["possible", "proved", "serving", "verified", "undone", "ended"],
                "required": True,
            },
            "port": {"type": "int", "required": True},
            "manager": {"type": "path", "required": True},
            "environment": {"type": "str", "required": True},
            "settings": {"type": "path"},
            "digest": {"type": "str"},
            "ready_seconds": {"type": "float", "default": 60.0},
            "watch_seconds": {"type": "float", "default": 3.0},
        },
        work,
    )


if __name__ == "__main__":
    main()
