#!/usr/bin/python
"""Ansible module: what runs on a host, and whether it is well."""

from __future__ import annotations

DOCUMENTATION = r"""
module: rollout_status
short_description: Look at the release that serves
description: [Changes nothing. Fails when O(smoke) is set and an answer is not as it should be.]
options:
  root: {description: The environment's folder, type: path, required: true}
  engine: {description: What runs the slots, choices: [process, systemd], required: true}
  name: {description: The service's name, type: str, required: true}
  smoke: {description: Ask every path instead of reporting, type: bool, default: false}
  version: {description: The release that ought to answer; empty for the recorded one, type: str, default: ""}
author: [The maintainers (@maintainers)]
"""

EXAMPLES = r"""
- rollout_status: {engine: systemd, root: /srv/shop, name: shop, smoke: true}
"""

RETURN = r"""
report: {description: What a person reads, type: list, returned: success}
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.rollout.errors import RolloutError, line_of
from ansible.module_utils.rollout.manager import manager_of
from ansible.module_utils.rollout.place import Place
from ansible.module_utils.rollout.status import report, smoke


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "path", "required": True},
            "engine": {"choices": ["process", "systemd"], "required": True},
            "name": {"type": "str", "required": True},
            "smoke": {"type": "bool", "default": False},
            "version": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    place = Place(Path(module.params["root"]))
    try:
        manager = manager_of(module.params["engine"], place, module.params["name"])
        lines = (
            smoke(place, manager, module.params["version"])
            if module.params["smoke"]
            else report(place, manager)
        )
    except (RolloutError, OSError) as error:
        module.fail_json(msg=line_of(error, place.root))
    module.exit_json(changed=False, report=lines)


if __name__ == "__main__":
    main()
