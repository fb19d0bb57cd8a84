#!/usr/bin/python
"""Ansible module: the last step of a rollout."""

from __future__ import annotations

DOCUMENTATION = r"""
module: rollout_record
short_description: Write down how a rollout ended
description:
  - After a success, makes the new release the one that serves and prunes old ones by count.
  - After a failure, which has to be undone already, only writes the line of history.
options:
  root: {description: The environment's folder, type: path, required: true}
  number: {description: The fencing number of the lease, type: int, required: true}
  lease_seconds: {description: Seconds until the lease expires unless renewed, type: float, default: 30}
  step: {description: The step that this belongs to, type: str}
  reason: {description: Why it failed; empty for a success, type: str, default: ""}
  settings: {description: The settings file that the release serves with, type: path}
  digest: {description: What identifies its settings, type: str}
  store: {description: The folder that keeps bundles, type: path, required: true}
  keep: {description: How many releases are kept, type: int, default: 5}
author: [The maintainers (@maintainers)]
"""

EXAMPLES = r"""
- rollout_record: {root: /srv/shop, number: 7, store: /srv/bundles, reason: /readyz answered 503}
"""

RETURN = r"""
line: {description: The line of history, type: dict, returned: success}
"""

from pathlib import Path

from ansible.module_utils.rollout import act, record


def work(place, lease, parameters):
    rollout = place.rollout
    pruned = []
    with lease.act():
        if not parameters["reason"]:
            record.settle(place, digest=parameters["digest"])
            record.keep_settings(place, Path(parameters["settings"]))
            pruned = record.forget_old(place, Path(parameters["store"]), parameters["keep"])
        line = record.remember(place, rollout, "failed" if parameters["reason"] else "done", parameters["reason"])
    return {"line": line, "msg": f"{len(pruned)} old releases pruned" if pruned else "written down"}


def main():
    act.run(
        {
            "reason": {"type": "str", "default": ""},
            "settings": {"type": "path"},
            "digest": {"type": "str"},
            "store": {"type": "path", "required": True},
            "keep": {"type": "int", "default": 5},
        },
        work,
    )


if __name__ == "__main__":
    main()
