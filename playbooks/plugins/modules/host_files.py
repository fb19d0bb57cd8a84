#!/usr/bin/python
"""Ansible module: the files that a role keeps on a host, all in one visit."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_files
short_description: Write the files of a role, and take those away that it no longer has
description:
  - Each file is replaced atomically, folders above it are made, and owner and mode are mended.
  - Supports check mode and C(--diff).
options:
  files:
    description:
      - C(path), and C(content), a C(template) or a C(copy) of a file of the role; C(mode), C(owner), C(group).
      - An entry with C(each), a list, is repeated; C(EACH) in its path and C(each) in its template is the item.
      - An entry without any content is a folder.
    type: list
    elements: dict
    required: true
  only:
    description:
      - Patterns of files that are removed unless they are among O(files). C(*) stands for letters, digits and C(_),
        so that what belongs to C(shop) is not what belongs to C(shop-admin).
    type: list
    elements: str
    default: []
author: [The maintainers (@maintainers)]
"""

EXAMPLES = r"""
- host_files:
    files:
      - {path: /etc/shop, mode: "0755"}
      - {path: /etc/shop/shop.conf, template: shop.conf.j2}
    only: ["/etc/systemd/system/shop-*@.service"]
"""

RETURN = r"""
paths: {description: What was changed, type: list, returned: success}
"""

import grp
import os
import pwd
import re
import stat
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule


class Files:
    """Brings one file after the other to what it should be, and remembers what differed."""

    def __init__(self, *, check: bool) -> None:
        self._check = check
        self.paths: list[str] = []
        self.diffs: list[dict[str, str]] = []

    def put(self, file: dict[str, Any]) -> None:
        """Write a file, or make a folder when there is no content."""
        path, folder = Path(file["path"]), file.get("content") is None
        mode = int(str(file.get("mode", "0755" if folder else "0644")), 8)
        owner, group = str(file.get("owner", "root")), str(file.get("group", file.get("owner", "root")))
        before, after = _seen(path), "" if folder else str(file["content"])
        wanted = f"{stat.filemode((stat.S_IFDIR if folder else stat.S_IFREG) | mode)} {owner}:{group}"
        if before == (wanted, after):
            return
        self._differs(str(path), *(before or ("absent", "")), wanted, after)
        if self._check:
            return
        (path if folder else path.parent).mkdir(parents=True, exist_ok=True)
        target = path
        if not folder and (before is None or before[1] != after):
            target = path.with_name(f".{path.name}.new")
            target.write_text(after)
        os.chown(target, pwd.getpwnam(owner).pw_uid, grp.getgrnam(group).gr_gid)
        target.chmod(mode)
        target.replace(path)

    def remove(self, path: str) -> None:
        """Take a file away that no role has."""
        self._differs(path, *(_seen(Path(path)) or ("", "")), "absent", "")
        if not self._check:
            Path(path).unlink()

    def _differs(self, path: str, old: str, before: str, new: str, after: str) -> None:
        self.paths.append(path)
        if old != new:  # mode and owner are a line of their own
            before, after = f"{old}\n{before}", f"{new}\n{after}"
        self.diffs.append({"before": before, "after": after, "before_header": path, "after_header": path})


def _seen(path: Path) -> tuple[str, str] | None:
    """Mode and owner, and content, of what is there."""
    try:
        info = path.lstat()
    except FileNotFoundError:
        return None
    owners = f"{_name(pwd.getpwuid, info.st_uid)}:{_name(grp.getgrgid, info.st_gid)}"
    text = path.read_text(errors="replace") if stat.S_ISREG(info.st_mode) else ""
    return f"{stat.filemode(info.st_mode)} {owners}", text


def matching(pattern: Path) -> set[str]:
    """The files that a pattern of O(only) stands for."""
    name = re.compile(re.escape(pattern.name).replace(r"\*", r"\w*"))
    return {str(path) for path in pattern.parent.glob("*") if name.fullmatch(path.name)}


def _name(find: Any, number: int) -> str:
    try:
        return str(find(number)[0])
    except KeyError:
        return str(number)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "files": {"type": "list", "elements": "dict", "required": True},
            "only": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    files = Files(check=module.check_mode)
    try:
        for file in module.params["files"]:
            files.put(file)
        known = {file["path"] for file in module.params["files"]}
        for pattern in module.params["only"]:
            for path in sorted(matching(Path(pattern)) - known):
                files.remove(path)
    except (OSError, KeyError) as error:
        module.fail_json(msg=f"{files.paths[-1]} cannot be written: {error}", paths=files.paths)
    module.exit_json(changed=bool(files.paths), paths=files.paths, diff=files.diffs)


if __name__ == "__main__":
    main()
