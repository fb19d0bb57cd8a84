"""Renders the files of a role on the control machine and hands them to the module of the same name, all at once."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.plugins.loader import lookup_loader

KEYS = {"path", "content", "template", "copy", "each", "mode", "owner", "group"}


class ActionModule(ActionBase):
    """One trip to the host, however many files a role has."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        variables = task_vars or {}
        result: dict[str, Any] = super().run(tmp, variables)
        files = [
            self._file(item, each, variables)
            for item in self._task.args.get("files", [])
            for each in item.get("each", [""])
        ]
        arguments = dict(self._task.args) | {"files": files}
        # Files may hold secrets, and what a module is told goes to its host's journal.
        unlogged = variables | {"ansible_no_target_syslog": True}
        result |= self._execute_module("host_files", module_args=arguments, task_vars=unlogged)
        return result

    def _file(self, item: dict[str, Any], each: str, variables: dict[str, Any]) -> dict[str, Any]:
        if unknown := item.keys() - KEYS:
            raise AnsibleActionFail(
                f"host_files knows no {', '.join(sorted(unknown))}; known are {sorted(KEYS)}"
            )
        kept = {key: item[key] for key in ("content", "mode", "owner", "group") if key in item}
        if "template" in item:
            kept["content"] = self._look_up(
                "template", item["template"], variables, template_vars={"each": each}
            )
        elif "copy" in item:
            kept["content"] = self._look_up("file", item["copy"], variables, rstrip=False)
        return kept | {"path": item["path"].replace("EACH", each)}

    def _look_up(self, kind: str, name: str, variables: dict[str, Any], **options: Any) -> str:
        plugin = lookup_loader.get(f"ansible.builtin.{kind}", loader=self._loader, templar=self._templar)
        return str(plugin.run([name], variables=variables, **options)[0])
