"""What scripts/secrets does: an environment's secrets in an encrypted file, and the ones before them.

The file is a mapping, given to every playbook as it is: `secrets`, and `secrets_previous` with those that were rotated
and still work. A new PGPASSWORD comes with another PGUSER (roles/postgresql/meta/argument_specs.yml says why).
"""

from __future__ import annotations

import getpass
import os
import re
import secrets
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import VaultLib, VaultSecret, get_file_vault_secret

ROOT = Path(__file__).parents[1]
WANTED = ("SECRET_KEY", "PGPASSWORD", "BROKER_PASSWORD", "BACKUP_PASSWORD")  # pragma: allowlist secret
FOR_GOOD = {"BACKUP_PASSWORD": "the backups that exist can be read with no other"}  # pragma: allowlist secret
BYTES = 36
# Whoever reads it, no shell and no file gets it wrong.
VALUE = re.compile(r"[!#%&()*+,./0-9:;<=>?@A-Z\[\]^_a-z{|}~-]+")
Kept = dict[str, dict[str, str]]


class SecretsError(Exception):
    """One line: what is wrong, then the remedy."""


class Vault:
    """One environment's file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lib: Any = None

    def load(self) -> Kept:
        """What is kept, or nothing yet. Raises SecretsError when it cannot be read."""
        if not self.path.exists():
            return {"secrets": {}, "secrets_previous": {}}
        try:
            kept = yaml.safe_load(self.lib.decrypt(self.path.read_bytes()))
        except AnsibleError as error:
            raise SecretsError(
                f"{self.path} cannot be opened with this vault password; "
                "is ANSIBLE_VAULT_PASSWORD_FILE that of this environment?"
            ) from error
        return {"secrets": kept["secrets"], "secrets_previous": kept.get("secrets_previous", {})}

    def save(self, kept: Kept) -> None:
        """Encrypt and replace the file at once."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = self.path.with_suffix(".new")
        new.touch(mode=0o600)
        new.write_bytes(self.lib.encrypt(yaml.safe_dump(kept)))
        new.rename(self.path)

    @property
    def lib(self) -> Any:
        if self._lib is None:
            self._lib = VaultLib([("default", self._password())])
        return self._lib

    def _password(self) -> Any:
        named = os.environ.get("ANSIBLE_VAULT_PASSWORD_FILE")
        if named:
            try:
                secret = get_file_vault_secret(filename=named, loader=DataLoader())
                secret.load()
            except AnsibleError as error:
                raise SecretsError(
                    f"the vault password in {named} cannot be read; write it there or name another file"
                ) from error
            return secret
        if not sys.stdin.isatty():
            raise SecretsError("nobody can be asked for the vault password; set ANSIBLE_VAULT_PASSWORD_FILE")
        given = getpass.getpass(f"Vault password for {self.path.name}: ")
        if not self.path.exists() and getpass.getpass("Again: ") != given:
            raise SecretsError("these two differ; try again")
        return VaultSecret(given.encode())


def service() -> str:
    return str(yaml.safe_load((ROOT / "infra/service.yml").read_text())["name"])


def invent(kept: Kept, name: str) -> None:
    """Put a new value there. It survives env files, URLs and shells: letters, digits, - and _."""
    kept["secrets"][name] = secrets.token_urlsafe(BYTES)
    if name == "PGPASSWORD":
        first, second = f"{service()}_a", f"{service()}_b"
        kept["secrets"]["PGUSER"] = second if kept["secrets"].get("PGUSER") == first else first


def pair(name: str) -> list[str]:
    """The names that change together."""
    return [name, "PGUSER"] if name == "PGPASSWORD" else [name]


def create(vault: Vault, names: Sequence[str]) -> str:
    kept = vault.load()
    missing = [name for name in names or WANTED if name not in kept["secrets"]]
    for name in missing:
        invent(kept, _name(name))
    if missing:
        vault.save(kept)
    return f"{vault.path}: invented {', '.join(missing)}" if missing else f"{vault.path}: nothing was missing"


def put(vault: Vault, names: Sequence[str]) -> str:
    if len(names) != 1:
        raise SecretsError("put takes one name; the value is read from standard input")
    name = _name(names[0])
    if name in WANTED or name == "PGUSER":
        raise SecretsError(f"{name} is invented here; use create or rotate")
    value = getpass.getpass(f"{name}: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    if not VALUE.fullmatch(value):
        raise SecretsError(f"that is no value of {name}: one word of letters, digits and signs but no quotes")
    kept = vault.load()
    kept["secrets"][name] = value
    vault.save(kept)
    return f"{vault.path}: {name} is what you gave; the next deploy uses it"


def rotate(vault: Vault, names: Sequence[str]) -> str:
    kept, name = vault.load(), _known(vault, names)
    if name in FOR_GOOD:
        raise SecretsError(f"{name} cannot be rotated: {FOR_GOOD[name]}; start a new repository with another")
    if name in kept["secrets_previous"]:
        raise SecretsError(
            f"the {name} before this one still works; deploy, then `scripts/secrets retire {name}`"
        )
    kept["secrets_previous"] |= {each: kept["secrets"][each] for each in pair(name)}
    invent(kept, name)
    vault.save(kept)
    return f"{vault.path}: {name} is new; run site, then deploy, then `scripts/secrets retire {name}`"


def retire(vault: Vault, names: Sequence[str]) -> str:
    kept, name = vault.load(), _known(vault, names)
    if name not in kept["secrets_previous"]:
        return f"{vault.path}: no {name} before this one works"
    for each in pair(name):
        del kept["secrets_previous"][each]
    vault.save(kept)
    return f"{vault.path}: the {name} before this one is forgotten; run site, and it is refused"


def show(vault: Vault, options: Sequence[str]) -> str:
    if options not in ([], ["--values"]):
        raise SecretsError(f"show does not know {' '.join(options)}; see scripts/secrets --help")
    kept = vault.load()
    lines = []
    for name, value in sorted(kept["secrets"].items()):
        before = kept["secrets_previous"].get(name)
        if options:
            lines.append(f"{name}={value}" + (f" (before: {before})" if before else ""))
        else:
            lines.append(name + (" (the one before it works, too)" if before else ""))
    return "\n".join(lines) or f"{vault.path}: no secrets yet; `make secrets` invents them"


def _name(given: str) -> str:
    if not given.isidentifier() or not given.isupper():
        raise SecretsError(f"{given} is no name of a secret; give capitals as in SECRET_KEY")
    return given


def _known(vault: Vault, names: Sequence[str]) -> str:
    known = [name for name in vault.load()["secrets"] if name != "PGUSER"]
    if len(names) != 1 or names[0] not in known:
        raise SecretsError(f"give one of {', '.join(known) or 'none: nothing was created yet'}")
    return names[0]


COMMANDS: dict[str, Callable[[Vault, Sequence[str]], str]] = {
    "create": create,
    "put": put,
    "rotate": rotate,
    "retire": retire,
    "show": show,
}


def main(arguments: Sequence[str]) -> int:
    environment, command, *rest = arguments
    try:
        if not (ROOT / "infra/inventories" / environment).is_dir():
            raise SecretsError(f"there is no environment {environment} here; see infra/inventories")
        if command not in COMMANDS:
            raise SecretsError(f"unknown command {command}; see scripts/secrets --help")
        print(COMMANDS[command](Vault(ROOT / "infra/secrets" / f"{environment}.yml"), rest))
    except SecretsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
