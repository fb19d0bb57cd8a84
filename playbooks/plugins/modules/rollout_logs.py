#!/usr/bin/python
"""Ansible module: what the processes of a service said lately on a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: rollout_logs
short_description: Read the newest lines of a service's logs
description: [Changes nothing. At most 1000 lines; a line in their place says that older ones are left out.]
options:
  root: {description: The environment's folder, type: path, required: true}
  engine: {description: What runs the slots, choices: [process, systemd], required: true}
  name: {description: The service's name, type: str, required: true}
  processes: {description: Whose lines, type: list, elements: str, required: true}
  since: {description: How long ago the oldest may be (90s, 10m, 2h or 1d), type: str, default: 10m}
author: [The maintainers (@maintainers)]
"""

EXAMPLES = r"""
- rollout_logs: {engine: systemd, root: /srv/shop, name: shop, processes: [web], since: 2h}
"""

RETURN = r"""
said: {description: The lines by time - seconds since 1970, process and slot, text, type: list, returned: success}
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.rollout.errors import RolloutError, line_of
from ansible.module_utils.rollout.logs import newest
from ansible.module_utils.rollout.manager import manager_of
from ansible.module_utils.rollout.place import Place


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "path", "required": True},
            "engine": {"choices": ["process", "systemd"], "required": True},
            "name": {"type": "str", "required": True},
            "processes": {"type": "list", "elements": "str", "required": True},
            "since": {"type": "str", "default": "10m"},
        },
        supports_check_mode=True,
    )
    told, place = module.params, Place(Path(module.params["root"]))
    try:
        said = newest(manager_of(told["engine"], place, told["name"]), told["processes"], told["since"])
    except (RolloutError, OSError) as error:
        module.fail_json(msg=line_of(error, place.root))
    module.exit_json(changed=False, said=said, report=[])


if __name__ == "__main__":
    main()
