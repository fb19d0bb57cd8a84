#!/usr/bin/python
"""Ansible module: the files of the release that serves, as they were unpacked."""

from __future__ import annotations

DOCUMENTATION = r"""
module: release_whole
short_description: Mend the files of the release that serves
description:
  - What was edited or deleted comes from the bundle that was sent to this host; what does not belong there is removed.
  - Does nothing where no release serves, or while a rollout is under way, which looks itself.
options:
  root: {description: The environment's folder, type: path, required: true}
  name: {description: The service's name, type: str, required: true}
author: [The maintainers (@maintainers)]
"""

EXAMPLES = r"""
- release_whole: {root: /srv/shop, name: shop}
"""

RETURN = r"""
msg: {description: What was found, type: str, returned: success}
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.rollout.errors import RolloutError, line_of
from ansible.module_utils.rollout.place import Place
from ansible.module_utils.rollout.release import unpack


def main() -> None:
    module = AnsibleModule(
        argument_spec={"root": {"type": "path", "required": True}, "name": {"type": "str", "required": True}},
        supports_check_mode=True,
    )
    place = Place(Path(module.params["root"]))
    if not place.current or place.rollout:
        module.exit_json(changed=False, msg="")
    version = str(place.current["version"])
    try:
        found = unpack(
            place, place.root / "bundles", module.params["name"], version, mend=not module.check_mode
        )
    except (RolloutError, OSError) as error:
        module.fail_json(msg=line_of(error, place.root))
    module.exit_json(changed=found != "is here", msg=f"{version} {found}")


if __name__ == "__main__":
    main()
