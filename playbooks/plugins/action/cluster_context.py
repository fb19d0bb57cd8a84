"""Judges which cluster is about to be changed: the inventory's, and production's only when a person says so."""

from __future__ import annotations

import os
from typing import Any

import kubernetes
import yaml
from ansible.errors import AnsiblePromptInterrupt, AnsiblePromptNoninteractive
from ansible.plugins.action import ActionBase

ASKED = {"production"}
"""Environments whose name has to be typed, or given as CONFIRM."""
DEFAULT = "dev"
"""What ENV is where nobody says it: whose vault and runtime files a playbook takes, whatever the inventory."""
NO_KUBECONFIG = (
    kubernetes.config.ConfigException, yaml.YAMLError, OSError, ValueError, TypeError, AttributeError, KeyError,
)  # fmt: skip
"""How the client fails on a file that is no kubeconfig (module_utils are not at hand here)."""


class ActionModule(ActionBase):
    """`context` is the inventory's, `environment` its name, `confirmed` what the person said beforehand."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        told = self._task.args
        try:
            contexts, current = kubernetes.config.list_kube_config_contexts()  # type: ignore[no-untyped-call]
            names, here = [each["name"] for each in contexts], current["name"]
        except NO_KUBECONFIG as error:
            why = " ".join(str(error).split())[:200]
            return result | _no(
                f"no kubeconfig can be read: {why}; name the file of your cluster in KUBECONFIG"
            )
        if told["context"] and told["context"] not in names:
            known = ", ".join(names)
            return result | _no(
                f"the kubeconfig has no context {told['context']}, which the inventory names; it has {known}"
            )
        said = os.environ.get("ENV") or DEFAULT
        if not f"{said}-".startswith(f"{told['environment']}-"):  # staging-eu is a staging
            return result | _no(
                f"the inventory is of {told['environment']}, and ENV says {said}; set ENV={told['environment']}"
            )
        where, environment = told["context"] or here, told["environment"]
        words = f"This changes {environment} on the cluster {where}. Type {environment} to go on: "
        if environment in ASKED and told["confirmed"] != environment and self._ask(words) != environment:
            return result | _no(
                f"{environment} was not confirmed; type its name, or set CONFIRM={environment}"
            )
        return result | {"msg": f"context {where}"}

    def _ask(self, words: str) -> str:
        try:
            return str(self._display.prompt_until(words), "utf-8").strip()
        except (AnsiblePromptInterrupt, AnsiblePromptNoninteractive):  # nobody can be asked
            return ""


def _no(why: str) -> dict[str, Any]:
    return {"failed": True, "msg": why}
