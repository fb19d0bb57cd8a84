"""Judges the inventory on the control machine, before any host is touched; a problem is one line with its remedy."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.action import ActionBase
from ansible.vars.plugins import get_vars_from_inventory_sources
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

# What Ansible itself reads of a host.
CONNECTION = """
ansible_become ansible_become_exe ansible_become_flags ansible_become_method ansible_become_password ansible_become_user
ansible_connection ansible_host ansible_password ansible_pipelining ansible_port ansible_python_interpreter
ansible_ssh_args ansible_ssh_common_args ansible_ssh_executable ansible_ssh_extra_args ansible_ssh_private_key_file
ansible_ssh_retries ansible_ssh_timeout ansible_user
"""


class ActionModule(ActionBase):
    """`groups`, `known` and `secrets` are names, `removed` says what took a variable's place.

    `required` has variables by group, `certificates` the variable with the names by that with the file.
    """

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        variables = task_vars or {}
        result: dict[str, Any] = super().run(tmp, variables)
        problems = [
            *self._environment(variables),
            *self._groups(variables["groups"]),
            *self._hosts(variables),
            *self._required(variables),
            *self._certificates(variables),
            *self._names(Path(variables["playbook_dir"])),
            *self._secrets(variables),
        ]
        if problems:
            return result | {"failed": True, "msg": "\n".join(dict.fromkeys(problems))}
        return result | {"msg": f"{len(variables['groups']['all'])} hosts"}

    def _environment(self, variables: dict[str, Any]) -> Iterator[str]:
        """ENV says whose secrets and runtime files a playbook takes, whatever the inventory."""
        said = os.environ.get("ENV") or "dev"
        for host in variables["groups"]["all"]:
            its = variables["hostvars"][host].get("rollout_environment") or said
            if not f"{said}-".startswith(f"{its}-"):  # staging-eu is a staging
                yield f"the inventory is of {its}, and ENV says {said}; set ENV={its}"

    def _groups(self, groups: dict[str, list[str]]) -> Iterator[str]:
        for group in self._task.args["groups"]:
            if not groups.get(group):
                near = _near(group, set(groups) - {"all", "ungrouped"})
                yield f"the inventory has no host in group {group}{near}; add one, or the group of that name"

    def _hosts(self, variables: dict[str, Any]) -> Iterator[str]:
        for host in self._of_groups(variables):
            about = variables["hostvars"][host]
            if "ansible_host" not in about:
                yield f"{host} has no address; set ansible_host, which its neighbours and firewalls go by"
            if about.get("ansible_user") == "root":
                yield f"{host} is entered as root, which ends there; set ansible_user to one who may sudo"

    def _required(self, variables: dict[str, Any]) -> Iterator[str]:
        for group, wanted in self._task.args.get("required", {}).items():
            for host in variables["groups"].get(group, []) if group in self._task.args["groups"] else []:
                for choice in wanted:
                    if not any(variables["hostvars"][host].get(name) for name in choice.split(" or ")):
                        yield f"{choice} is not set for group {group}; the inventories in infra/inventories do"

    def _certificates(self, variables: dict[str, Any]) -> Iterator[str]:
        for name, names in self._task.args.get("certificates", {}).items():
            for host in self._of_groups(variables):
                about = variables["hostvars"][host]
                if about.get(name) and (fault := _fault(Path(about[name]), about.get(names) or [])):
                    yield f"{name}: {fault}"

    def _of_groups(self, variables: dict[str, Any]) -> list[str]:
        groups = self._task.args["groups"]
        return sorted({host for group in groups for host in variables["groups"].get(group, [])})

    def _names(self, playbooks: Path) -> Iterator[str]:
        types = _specified(playbooks)
        removed = self._task.args.get("removed", {})
        known = {*CONNECTION.split(), *self._task.args["known"]} | types.keys()
        for owner, name, value in self._given():
            if name in removed:
                yield f"{name} of {owner} was removed; set {removed[name]} in its place"
            elif name not in known:
                yield f"{owner} sets {name}, which nothing reads{_near(name, known)}; correct or remove it"
            elif types.get(name) and "{{" not in str(value):
                spec = {name: {"type": types[name]}}
                if errors := ArgumentSpecValidator(spec).validate({name: value}).error_messages:
                    yield f"{owner}: {errors[0]}; correct it"

    def _given(self) -> Iterator[tuple[str, str, Any]]:
        """Who sets which variable to what, in the inventory itself and in its host_vars and group_vars."""
        inventory = self._task.get_variable_manager()._inventory
        loader, sources = self._loader, inventory._sources
        for kind, entities in (("group", inventory.groups), ("host", inventory.hosts)):
            for name, entity in entities.items():
                beside = get_vars_from_inventory_sources(loader, sources, [entity], "task")
                for variable, value in {**beside, **entity.vars}.items():
                    if variable not in ("inventory_file", "inventory_dir"):
                        yield f"{kind} {name}", str(variable), value

    def _secrets(self, variables: dict[str, Any]) -> Iterator[str]:
        secrets = variables.get("secrets") or {}
        environment = variables["hostvars"][variables["groups"]["all"][0]].get("rollout_environment", "ENV")
        for name in self._task.args["secrets"]:
            if not secrets.get(name):
                remedy = f"add it: `ansible-vault edit infra/secrets/{environment}.yml`"
                yield f"the secret {name} is missing{_near(name, set(secrets))}; {remedy}"


def _specified(playbooks: Path) -> dict[str, str]:
    """Every variable that a role or a playbook reads, and its type where one is specified."""
    types: dict[str, str] = {}
    for file in [*playbooks.glob("roles/*/defaults/main.yml"), *playbooks.glob("group_vars/*.yml")]:
        types |= dict.fromkeys(yaml.safe_load(file.read_text()) or {}, "")
    for file in playbooks.glob("roles/*/meta/argument_specs.yml"):
        for entry in yaml.safe_load(file.read_text())["argument_specs"].values():
            types |= {name: option.get("type", "str") for name, option in entry.get("options", {}).items()}
    return types


def _fault(path: Path, names: list[str] | str) -> str:
    """Why a proxy cannot serve these host names with a file (certificate, chain and key in PEM), or ""."""
    try:
        data = path.read_bytes()
        own = x509.load_pem_x509_certificate(data)
        fits = load_pem_private_key(data, password=None).public_key() == own.public_key()
    except OSError as error:
        return f"{path} cannot be read ({error.strerror}); name a file of this machine"
    except (ValueError, TypeError):
        return (
            f"{path} is no PEM file of a certificate, its chain and its key without a password; make it one"
        )
    if not fits:
        return f"the key in {path} is not that of its first certificate; put the right one there"
    if own.not_valid_after_utc < datetime.now(UTC):
        return f"the certificate in {path} expired on {own.not_valid_after_utc:%Y-%m-%d}; renew it"
    try:
        its = own.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        covered = [*its.get_values_for_type(x509.DNSName), *map(str, its.get_values_for_type(x509.IPAddress))]
    except x509.ExtensionNotFound:
        covered = []
    for name in [names] if isinstance(names, str) else names:
        # A `*` stands for one part of a name.
        if not any(fnmatchcase(name, each) and name.count(".") == each.count(".") for each in covered):
            return f"the certificate in {path} is not for {name}; it is for {', '.join(covered) or 'no name'}"
    return ""


def _near(name: str, known: set[str]) -> str:
    near = get_close_matches(name, sorted(known), 1, 0.7)
    return f" (there is {near[0]})" if near else ""
