#!/usr/bin/python
"""Ansible module: what was changed by hand on a host since its set-up."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_drift
short_description: Record what a set-up left behind, and name what differs since
description:
  - O(state=begun) says that the service's set-up is under way, unless it has been recorded before.
  - O(state=recorded) keeps the hash, mode and owner of each path that matches, and which packages are there.
  - O(state=compared) names an edited, missing or stray file, a changed mode or owner, and a removed package.
  - Several services record on one host. What another one recorded later, or calls its own, is no drift.
options:
  state: {description: What to do, choices: [begun, recorded, compared], required: true}
  name: {description: The service, type: str, required: true}
  paths: {description: Patterns of files and folders (as in a shell), type: list, elements: str, default: []}
  closed: {description: Patterns under which nothing else belongs, type: list, elements: str, default: []}
  packages: {description: Debian's packages, type: list, elements: str, default: []}
author: [The maintainers (@maintainers)]
"""

EXAMPLES = r"""
- host_drift: {state: recorded, name: shop, paths: [/etc/shop/shop.conf], closed: [/etc/shop/*], packages: [cron]}
- host_drift: {state: compared, name: shop}
"""

RETURN = r"""
drift: {description: A line for each difference, type: list, returned: when compared}
report: {description: The same for a person, with the remedy, type: list, returned: when compared}
"""

import glob
import grp
import hashlib
import json
import os
import pwd
import stat
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

STRAY = "does not belong there"
CUT_SHORT = "did not come to its end"
RECORDS = Path("/var/lib/host-drift")
Seen = dict[str, str]


def look(path: str) -> Seen:
    """What of a path is compared."""
    info = os.lstat(path)
    kind = stat.S_IFMT(info.st_mode)
    seen = {"mode": stat.filemode(info.st_mode), "owner": f"{_user(info.st_uid)}:{_group(info.st_gid)}"}
    if kind == stat.S_IFREG:
        seen["content"] = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    elif kind == stat.S_IFLNK:
        seen["content"] = os.readlink(path)
    return seen


def matching(patterns: list[str]) -> set[str]:
    return {path for pattern in patterns for path in glob.glob(pattern, include_hidden=True)}


def installed(module: AnsibleModule, packages: list[str]) -> set[str]:
    """Those of the packages that are installed."""
    command = ["dpkg-query", "--show", "--showformat", "${db:Status-Status} ${Package}\n", *packages]
    lines = module.run_command(command)[1].splitlines() if packages else []
    return {line.split()[1] for line in lines if line.startswith("installed ")}


def compare(name: str, module: AnsibleModule) -> list[str]:
    """A line for each difference."""
    records = [json.loads(file.read_text()) for file in sorted(RECORDS.glob("*.json"), key=os.path.getmtime)]
    mine = next((record for record in records if record["name"] == name), None)
    if mine is None:
        return ["it has not been set up for this service"]
    if mine.get("begun"):
        return [f"its set-up {CUT_SHORT}"]
    expected: dict[str, Seen] = {}
    for record in records:  # oldest first: the last word is the newest
        expected |= record["paths"]
    lines = []
    for path in sorted(mine["paths"]):
        try:
            found = look(path)
        except FileNotFoundError:
            lines.append(f"{path} is gone")
            continue
        lines += [line for line in _differences(path, expected[path], found) if line]
    begun = [record["name"] for record in records if record.get("begun")]
    strays = sorted(matching(mine["closed"]) - expected.keys())
    lines += [f"{path} {STRAY}" for path in strays if not any(_named(path, other) for other in begun)]
    lines += [f"the set-up of {other} {CUT_SHORT}" for other in begun]
    missing = set(mine["packages"]) - installed(module, mine["packages"])
    return lines + [f"the package {package} is not installed" for package in sorted(missing)]


def _named(path: str, service: str) -> bool:
    """Whether a file is named after a service."""
    return Path(path).name.partition(".")[0] == service


def _differences(path: str, expected: Seen, found: Seen) -> list[str]:
    return [
        f"{path} was edited" if found.get("content") != expected.get("content") else "",
        f"{path} has mode {found['mode']}, not {expected['mode']}"
        if found["mode"] != expected["mode"]
        else "",
        f"{path} belongs to {found['owner']}, not {expected['owner']}"
        if found["owner"] != expected["owner"]
        else "",
    ]


def remedied(line: str) -> str:
    """The line with what mends it."""
    stray = line.endswith(STRAY)  # of whom it is, only a person knows
    return f"{line}; {'remove it by hand' if stray else '`make site` mends it'}"


def record(told: dict[str, Any]) -> str:
    """The text of a record."""
    kept = {key: told[key] for key in ("name", "packages", "closed")}
    return json.dumps(
        kept | {"paths": {path: look(path) for path in sorted(matching(told["paths"]))}}, indent=1
    )


def write(file: Path, text: str) -> None:
    """Write a record, readable by root only."""
    RECORDS.mkdir(mode=0o700, exist_ok=True)
    new = file.with_suffix(".new")
    new.write_text(text)
    new.chmod(0o600)
    new.replace(file)


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"choices": ["begun", "recorded", "compared"], "required": True},
            "name": {"type": "str", "required": True},
            "paths": {"type": "list", "elements": "str", "default": []},
            "closed": {"type": "list", "elements": "str", "default": []},
            "packages": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    told: dict[str, Any] = module.params
    if told["state"] == "compared":
        drift = compare(told["name"], module)
        module.exit_json(changed=False, drift=drift, report=[remedied(line) for line in drift])
    if module.check_mode:
        module.exit_json(changed=False, msg="a check records nothing")
    file = RECORDS / f"{told['name']}.json"
    if told["state"] == "begun":
        if changed := not file.exists():
            write(file, json.dumps({"name": told["name"], "begun": True, "paths": {}}))
        module.exit_json(changed=changed)
    missing = set(told["packages"]) - installed(module, told["packages"])
    if missing:
        module.fail_json(
            msg=f"the package {min(missing)} is not installed; a role has to, or must not declare it"
        )
    text = record(told)
    changed = not file.exists() or file.read_text() != text
    if changed:
        write(file, text)
    else:
        os.utime(file)  # the newest word on what it shares with other services
    module.exit_json(changed=changed)


if __name__ == "__main__":
    main()
