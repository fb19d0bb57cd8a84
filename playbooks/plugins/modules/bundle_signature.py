#!/usr/bin/python
"""Ansible module: whether a bundle is signed by who may sign it, asked where it lies before it is sent."""

from __future__ import annotations

DOCUMENTATION = r"""
module: bundle_signature
short_description: Verify a bundle's signature
description:
  - Verifies the bundle's checksum, and the signature beside it with C(ssh-keygen).
options:
  bundle: {description: The bundle, type: path, required: true}
  signers: {description: The text that says who may sign, type: str, required: true}
  name: {description: The service's name, type: str, required: true}
  environment: {description: Whose signers they are, type: str, required: true}
author: [The maintainers (@maintainers)]
"""

EXAMPLES = r"""
- bundle_signature:
    bundle: /srv/bundles/shop-7.tar
    signers: "{{ lookup('file', 'signers') }}"
    name: shop
    environment: staging
"""

RETURN = r"""
signer: {description: Who signed it, type: str, returned: success}
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.rollout import signature
from ansible.module_utils.rollout.errors import RolloutError, line_of


def main() -> None:
    needed = {"type": "str", "required": True}
    module = AnsibleModule(
        argument_spec={
            "bundle": {"type": "path", "required": True},
            "signers": needed,
            "name": needed,
            "environment": needed,
        },
        supports_check_mode=True,
    )
    told = module.params
    try:
        who = signature.verify(Path(told["bundle"]), told["signers"], told["name"], told["environment"])
    except (RolloutError, OSError) as error:
        module.fail_json(msg=line_of(error, told["bundle"]))
    module.exit_json(changed=False, signer=who, msg=f"signed by {who}")


if __name__ == "__main__":
    main()
