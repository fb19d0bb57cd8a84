#!/usr/bin/python
"""Ansible module: what the process engine runs, and whether it is well."""

from __future__ import annotations

DOCUMENTATION = r"""
module: process_status
short_description: Look at the release that serves
description: [Changes nothing. Fails when O(smoke) is set and an answer is not as it should be.]
options:
  root: {description: The environment's folder, type: path, required: true}
  smoke: {description: Ask every path instead of reporting, type: bool, default: false}
  version: {description: The release that ought to answer; empty for the recorded one, type: str, default: ""}
author: [The maintainers (@maintainers)]
"""

EXAMPLES = r"""
- process_status: {root: /srv/shop, smoke: true}
"""

RETURN = r"""
report: {description: What a person reads, type: list, returned: success}
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.rollout.errors import RolloutError, line_of
from ansible.module_utils.rollout.place import Place
from ansible.module_utils.rollout.status import report, smoke


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "path", "required": True},
            "smoke": {"type": "bool", "default": False},
            "version": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    place = Place(Path(module.params["root"]))
    try:
        lines = smoke(place, module.params["version"]) if module.params["smoke"] else report(place)
    except (RolloutError, OSError) as error:
        module.fail_json(msg=line_of(error, place.root))
    module.exit_json(changed=False, report=lines)


if __name__ == "__main__":
    main()
