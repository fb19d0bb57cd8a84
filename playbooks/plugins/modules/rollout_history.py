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

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.rollout import record
from ansible.module_utils.rollout.errors import RolloutError, line_of
from ansible.module_utils.rollout.place import Place


def main() -> None:
    module = AnsibleModule(
        argument_spec={"root": {"type": "path", "required": True}, "last": {"type": "int", "default": 20}},
        supports_check_mode=True,
    )
    try:
        rollouts = Place(Path(module.params["root"])).history[-module.params["last"] :]
    except (RolloutError, OSError, ValueError) as error:
        module.fail_json(msg=line_of(error, module.params["root"]))
    report = [record.in_a_line(rollout) for rollout in rollouts] or ["no rollout ended here yet"]
    module.exit_json(changed=False, rollouts=rollouts, report=report)


if __name__ == "__main__":
    main()
