#!/usr/bin/python
"""Ansible module: a release on a host, ready to be started."""

from __future__ import annotations

DOCUMENTATION = r"""
module: rollout_release
short_description: Unpack a release, complete its settings, run its check
description:
  - Verifies the bundle's checksum, its signature where there are signers, and each file's checksum.
  - Unpacks it beside the others and installs its wheels offline.
  - One that is unpacked already is compared with what it was, file by file.
  - Fails when the disk has no room, the Python is not one that the release was built for, or its check fails.
options:
  root: {description: The environment's folder, type: path, required: true}
  number: {description: The fencing number of the lease, type: int, required: true}
  lease_seconds: {description: Seconds until the lease expires unless renewed, type: float, default: 30}
  step: {description: The step that this belongs to, type: str}
  store: {description: The folder that keeps bundles, type: path, required: true}
  name: {description: The service's name, type: str, required: true}
  environment: {description: dev, staging or production, type: str, required: true}
  settings: {description: The text of the environment's settings file, type: str, required: true}
  secrets: {description: The environment's secrets, type: dict, default: {}}
  signers: {description: The text that says who may sign; without it nobody has to, type: str}
  generate: {description: Secrets to invent when they are missing, type: list, elements: str, default: []}
  mend: {description: Give back what was changed in a release that is unpacked already, type: bool, default: true}
author: [The maintainers (@maintainers)]
"""

EXAMPLES = r"""
- rollout_release: {root: /srv/shop, number: 7, store: /srv/bundles, name: shop, environment: dev, settings: A=1}
"""

RETURN = r"""
change: {description: What serves and what would, type: str, returned: success}
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.rollout import act, bundle, release, signature
from ansible.module_utils.rollout.lease import Lease
from ansible.module_utils.rollout.place import Place


def work(place: Place, lease: Lease, parameters: dict[str, Any]) -> dict[str, Any]:
    rollout = place.rollout or {}
    version, environment = rollout["version"], parameters["environment"]
    store, name, signers = Path(parameters["store"]), parameters["name"], parameters["signers"]
    release.fit_for(version, environment)
    signed = "nobody has to sign it, " if environment != "dev" else ""
    if signers is not None:
        who = signature.verify(bundle.path_of(store, name, version), signers, name, environment)
        signed = f"signed by {who}, "
    done = release.unpack(place, store, name, version, mend=parameters["mend"])
    with lease.act():
        release.keep_secrets(place, parameters["secrets"], parameters["generate"])
        release.tell(place, version, parameters["settings"], rollout["kind"])
        settings = place.told()
        place.note(settings=release.digest_of(settings))
    release.check(place, version, settings | {"ENVIRONMENT": environment})
    digest, current = release.digest_of(settings), place.current or {}
    told = "other settings" if digest != current.get("settings") else "the same settings"
    return {
        "changed": done != "is here",
        "change": f"{current.get('version', 'nothing')} -> {version} with {told}",
        "msg": f"{version} {done}, {signed}its check passed",
    }


def main() -> None:
    act.run(
        {
            "store": {"type": "path", "required": True},
            "name": {"type": "str", "required": True},
            "environment": {"type": "str", "required": True},
            "settings": {"type": "str", "required": True},
            "secrets": {"type": "dict", "default": {}, "no_log": True},
            "mend": {"type": "bool", "default": True},
            "signers": {"type": "str"},
            "generate": {"type": "list", "elements": "str", "default": [], "no_log": False},
        },
        work,
    )


if __name__ == "__main__":
    main()
