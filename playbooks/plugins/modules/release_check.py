#!/usr/bin/python
"""Ansible module: the check of the release that serves, on another database than its own."""

from __future__ import annotations

DOCUMENTATION = r"""
module: release_check
short_description: Have the release that serves check a database
description:
  - Runs the service file's C(check) with the settings that serve, except that DATABASE_URL, or PGPORT for who has none,
    names another port.
  - Does nothing where no release serves yet.
options:
  root: {description: The environment's folder, type: path, required: true}
  port: {description: The port of the database to check, type: int, required: true}
  seconds: {description: The longest that it may take, type: float, default: 120}
author: [The maintainers (@maintainers)]
"""

EXAMPLES = r"""
- release_check: {root: /srv/shop, port: 5499}
"""

RETURN = r"""
checked: {description: The release that checked it, type: str, returned: success}
"""

import re
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.rollout.database import complaint, in_release
from ansible.module_utils.rollout.errors import RolloutError, line_of
from ansible.module_utils.rollout.files import read_env
from ansible.module_utils.rollout.place import Place


def check(place: Place, port: int, seconds: float) -> str:
    """Returns the release's version, "" where none serves. Raises RolloutError with its last words."""
    if not place.current:
        return ""
    version = str(place.current["version"])
    told = read_env(place.root / "slots" / place.serving / "env")
    told["PGPORT"] = str(port)
    if url := told.get("DATABASE_URL"):
        told["DATABASE_URL"] = re.sub(r"^(\w+://[^/]*?)(:\d+)?/", rf"\1:{port}/", url)
    done = in_release(place, version, ["/bin/sh", "-c", place.service(version).check], told, seconds)
    if done.returncode:
        raise RolloutError(f"the check of {version} failed on what was restored: {complaint(done)}")
    return version


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "path", "required": True},
            "port": {"type": "int", "required": True},
            "seconds": {"type": "float", "default": 120.0},
        },
        supports_check_mode=True,
    )
    place = Place(Path(module.params["root"]))
    try:
        version = check(place, module.params["port"], module.params["seconds"])
    except (RolloutError, OSError) as error:
        module.fail_json(msg=line_of(error, place.root))
    words = (
        f"the check of {version} passed on what was restored"
        if version
        else "no release serves that could check it"
    )
    module.exit_json(changed=False, checked=version, msg=words)


if __name__ == "__main__":
    main()
