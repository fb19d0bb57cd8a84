#!/usr/bin/python
"""Ansible module: can this host be set up? Looked at on every host before any of them is changed."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_ready
short_description: What stands in the way of setting up a host
description: [Changes nothing and never fails, for one verdict is taken for all hosts.]
options:
  name: {description: The service, type: str, required: true}
  megabytes: {description: How much has to be free on each disk that is written to, type: int, default: 1024}
author: [The maintainers (@maintainers)]
"""

EXAMPLES = r"""
- host_ready: {name: shop}
  register: site_ready
"""

RETURN = r"""
problem: {description: What stands in the way with its remedy, or nothing, type: str, returned: always}
"""

import os
import platform
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DISKS = ("/", "/etc", "/srv", "/usr", "/var", "/var/cache/apt")
RECORDS = Path("/var/lib/host-drift")


def problem(name: str, megabytes: int, *, check: bool) -> str:
    """The first thing that stands in the way, or ""."""
    system = platform.freedesktop_os_release()
    if (system.get("ID"), system.get("VERSION_ID")) != ("debian", "13"):
        return f"runs {system.get('PRETTY_NAME')}; install Debian 13"
    if os.geteuid() != 0:
        return "is not ours to change; let the user of the inventory sudo"
    for disk in DISKS:
        if os.path.exists(disk):
            about = os.statvfs(disk)
            free = about.f_bavail * about.f_frsize // 2**20
            if free < megabytes:
                return f"has {free} MB free on {disk}, and {megabytes} MB are needed; free space there"
    if check and not (RECORDS / f"{name}.json").exists():
        return "has not been set up yet, so there is nothing to compare; run it once without --check"
    return ""


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "megabytes": {"type": "int", "default": 1024},
        },
        supports_check_mode=True,
    )
    found = problem(module.params["name"], module.params["megabytes"], check=module.check_mode)
    module.exit_json(changed=False, problem=found)


if __name__ == "__main__":
    main()
