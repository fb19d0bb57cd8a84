#!/usr/bin/python
"""Ansible module: a bundle is taken from the folder that all who roll out share, or put there."""

from __future__ import annotations

DOCUMENTATION = r"""
module: bundle_published
short_description: Share a bundle with everybody who rolls out
description:
  - C(fetched) takes the bundle from the folder where the store has none. What the folder does not have changes nothing.
  - C(published) puts it there once. Another bundle of the same name is refused either way.
options:
  bundle: {description: The bundle in the store, type: path, required: true}
  folder: {description: The folder that is shared, type: path, required: true}
  state: {description: What to do, type: str, required: true, choices: [fetched, published]}
author: [The maintainers (@maintainers)]
"""

EXAMPLES = r"""
- bundle_published:
    bundle: /srv/bundles/shop-7.tar
    folder: /mnt/releases
    state: fetched
"""

RETURN = ""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.rollout import published
from ansible.module_utils.rollout.errors import RolloutError, line_of


def main() -> None:
    needed = {"type": "path", "required": True}
    states = {"fetched": published.fetch, "published": published.publish}
    module = AnsibleModule(
        argument_spec={
            "bundle": needed,
            "folder": needed,
            "state": {"type": "str", "required": True, "choices": list(states)},
        }
    )
    told = module.params
    try:
        states[told["state"]](Path(told["folder"]), Path(told["bundle"]))
    except (RolloutError, OSError) as error:
        module.fail_json(msg=line_of(error, told["bundle"]))
    module.exit_json(changed=False)


if __name__ == "__main__":
    main()
