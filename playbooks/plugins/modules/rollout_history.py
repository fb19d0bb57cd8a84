#!/usr/bin/python
"""Ansible module: every rollout of an environment that ended."""

from __future__ import annotations

DOCUMENTATION = r"""
module: rollout_history
short_description: Tell the rollouts of an environment
description: [A line for each rollout that ended, oldest first.]
options:
  root: {description: The environment's folder, type: path, required: true}
  last: {description: How many of them, type: int, default: 20}
author: [The maintainers (@maintainers)]
"""

EXAMPLES = r"""
- rollout_history: {root: /srv/shop}
"""

RETURN = r"""
report: {description: What a person reads, type: list, returned: success}
rollouts: {description: The same as data, type: list, returned: success}
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.rollout.errors import RolloutError, counted, line_of
from ansible.module_utils.rollout.place import Place


def in_a_line(rollout: dict[str, Any]) -> str:
    """One rollout in one line."""
    seconds = " ".join(f"{step} {took:.1f}" for step, took in rollout["seconds"].items())
    migrations = f", {counted(len(rollout['migrations']), 'migration')}" if rollout["migrations"] else ""
    why = f": {rollout['reason']}" if rollout["reason"] else ""
    what = f"{rollout['from'] or 'nothing'} -> {rollout['to'] or 'nothing'}"
    return (
        f"{rollout['number']:>4}  {rollout['at']}  {rollout['kind']:<8}  {rollout['outcome']:<6}  "
        f"{what}  by {rollout['who']}{migrations} ({seconds} s){why}"
    )


def main() -> None:
    module = AnsibleModule(
        argument_spec={"root": {"type": "path", "required": True}, "last": {"type": "int", "default": 20}},
        supports_check_mode=True,
    )
    try:
        rollouts = Place(Path(module.params["root"])).history[-module.params["last"] :]
    except (RolloutError, OSError, ValueError) as error:
        module.fail_json(msg=line_of(error, module.params["root"]))
    report = [in_a_line(rollout) for rollout in rollouts] or ["no rollout ended here yet"]
    module.exit_json(changed=False, rollouts=rollouts, report=report)


if __name__ == "__main__":
    main()
