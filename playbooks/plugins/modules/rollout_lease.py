#!/usr/bin/python
"""Ansible module: take and give back the lease of an environment."""

from __future__ import annotations

DOCUMENTATION = r"""
module: rollout_lease
short_description: One rollout at a time in an environment
description:
  - Takes the lease, with a fencing number, and writes down what the rollout is about to do.
  - A lease whose owner died is taken over once it has expired, and only then; what he left is reported as C(killed).
  - Gives it back with O(state=free).
options:
  root: {description: The environment's folder, type: path, required: true}
  state:
    description: V(looked) fails when somebody acts on this host, V(followed) takes the number that the first host gave.
    choices: [looked, held, followed, free]
    default: held
  number: {description: The fencing number, to follow it or to give it back, type: int}
  above: {description: The number to take is higher than this one, type: int, default: 0}
  owner: {description: Who rolls out, type: str}
  lease_seconds: {description: Seconds until it expires unless renewed, type: float, default: 30}
  kind: {description: What is under way, choices: [deploy, rollback, down], default: deploy}
  version: {description: The release to come; for a rollback empty means the previous one, type: str}
  pending:
    description: When giving the lease back, leave the rollout to the next one, to be undone or written down.
    type: bool
    default: false
author: [The maintainers (@maintainers)]
"""

EXAMPLES = r"""
- rollout_lease: {root: /srv/shop, owner: abebe, version: 20261123-052500-0123456789ab}
  register: rollout_lease
"""

RETURN = r"""
number: {description: The fencing number; also when a rollback has nowhere to go, type: int, returned: when held}
version: {description: The release to come, type: str, returned: when held}
killed: {description: The rollout that a dead owner left unfinished, type: dict, returned: when there was one}
"""

import time
from datetime import datetime
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.rollout.errors import RolloutError, line_of
from ansible.module_utils.rollout.lease import Lease, LeaseHeld
from ansible.module_utils.rollout.place import Place


def hold(place: Place, parameters: dict[str, Any]) -> dict[str, Any]:
    """Take the lease and begin the rollout's journal. A rollback without a version goes to the previous release."""
    lease, owner, seconds = Lease(place.root), parameters["owner"], parameters["lease_seconds"]
    if parameters["state"] == "followed":
        lease.follow(parameters["number"], owner, seconds)
    else:
        lease.acquire(owner, seconds, parameters["above"])
    try:
        with lease.act():
            left, current = place.rollout, place.current or {}
            rollout = {
                "number": lease.number,
                "kind": parameters["kind"],
                "version": parameters["version"]
                or (parameters["kind"] == "rollback" and current.get("previous"))
                or "",
                "owner": parameters["owner"],
                "from": current.get("version"),
                "at": f"{datetime.now().astimezone():%Y-%m-%d %H:%M:%S}",
                "step": "lock",
                "steps": {"lock": time.time()},
                "killed": left.get("killed") or left if left else None,
            }
            place.begin(rollout)
    except (RolloutError, OSError):
        lease.release()  # nothing was begun
        raise
    return {key: rollout[key] for key in ("number", "version", "killed")}


def nowhere(place: Place, version: str) -> RolloutError | None:
    """Why a rollback cannot go to a release, if so: none came before, or that one never served here."""
    current = place.current or {}
    served = {line["to"] for line in place.history if line["outcome"] == "done"}
    if not version:
        return RolloutError(
            "no release ran here before this one",
            "name one: make rollback VERSION=..., `make releases` lists them",
        )
    if version not in served | {current.get("version"), current.get("previous")}:
        return RolloutError(
            f"{version} never served here",
            "`make deploy VERSION=...` rolls it out if `make releases` lists it",
        )
    return None


def give_back(place: Place, pending: bool) -> None:
    """Forget what was under way, but not what the next rollout has to undo and to write down.

    :param pending: this rollout is such a one.
    """
    rollout = place.rollout or {}
    if killed := rollout.get("killed"):
        place.begin(killed)
    elif not pending:
        place.forget_rollout()


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "path", "required": True},
            "state": {"choices": ["looked", "held", "followed", "free"], "default": "held"},
            "number": {"type": "int"},
            "above": {"type": "int", "default": 0},
            "owner": {"type": "str"},
            "lease_seconds": {"type": "float", "default": 30.0},
            "kind": {"choices": ["deploy", "rollback", "down"], "default": "deploy"},
            "version": {"type": "str"},
            "pending": {"type": "bool", "default": False},
        },
        required_if=[
            ("state", "held", ["owner"]),
            ("state", "followed", ["owner", "number"]),
            ("state", "free", ["number"]),
        ],
        supports_check_mode=True,
    )
    place = Place(Path(module.params["root"]))
    try:
        if module.check_mode:
            holder = Lease(place.root).holder()
            module.exit_json(changed=True, msg=f"held by {holder}" if holder else "free", number=0)
        if module.params["state"] == "looked":
            module.exit_json(changed=False, number=Lease(place.root).require_free())
        place.root.mkdir(parents=True, exist_ok=True)
        if module.params["state"] == "free":
            lease = Lease(place.root, module.params["number"])
            try:
                with lease.act():
                    give_back(place, module.params["pending"])
            finally:
                lease.release()
            module.exit_json(changed=True)
        result = hold(place, module.params)
        first = module.params["state"] == "held"
        if first and module.params["kind"] == "rollback" and (why := nowhere(place, result["version"])):
            module.fail_json(msg=str(why), held=False, **result)
        note = f"number {result['number']}"
        if result["killed"]:
            note += f", taken over from {result['killed']['owner']}, who died in step {result['killed'].get('step')}"
        module.exit_json(changed=True, msg=note, **result)
    except LeaseHeld as error:
        module.fail_json(msg=str(error), held=True)
    except (RolloutError, OSError) as error:
        module.fail_json(msg=line_of(error, place.root), held=False)


if __name__ == "__main__":
    main()
