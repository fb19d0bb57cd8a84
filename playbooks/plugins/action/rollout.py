"""Runs the modules named rollout_*; that its host cannot be reached is a failure of the module's like any other.

To Ansible an unreachable host has neither failed nor can it be rescued: it silently leaves the plays. A rollout takes
one verdict for all hosts, so it has to hear of it.
"""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Returns what the module returns, with `away` where the host could not be reached."""
        super().run(tmp, task_vars)
        told = task_vars or {}
        try:
            result: dict[str, Any] = self._execute_module(task_vars=told)
        except AnsibleConnectionFailure as error:
            why = " ".join(str(error).split()).rpartition("over ssh: ")[2]  # Ansible's own words add nothing
            return {
                "failed": True,
                "away": True,
                "msg": f"{told['inventory_hostname']} cannot be reached: {why}",
            }
        if "No module named 'yaml'" in str(result.get("module_stderr", "")) + str(result.get("msg", "")):
            result["msg"] = f"{told['inventory_hostname']} was never set up; run `make site` first"
        return result
