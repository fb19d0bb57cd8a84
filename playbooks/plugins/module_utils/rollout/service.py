"""The service file: all that a rollout knows of the service that it rolls out (docs/service-file.md)."""

from __future__ import annotations

import re
import shlex
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from .errors import RolloutError

FILE = "infra/service.yml"
WEB = "web"  # the process that serves the port
# A service's name is also that of its user, database, folders and units; the name of a process follows it after a dash,
# and has none of its own: a service `shop` is not to take `shop-admin-web` for a process of its own.
NAME = re.compile(r"(?=.{1,30}$)[a-z][a-z0-9]*(-[a-z][a-z0-9]*)*")
PROCESS = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class Process:
    """One of the service's processes. `command` is split as a shell would, and run without one."""

    command: str
    ready_file: bool = False


@dataclass(frozen=True)
class Health:
    """Paths that are asked for over HTTP; each has to answer 200. `version` may be left out."""

    ready: str
    version: str = ""
    smoke: tuple[str, ...] = ()
    host: str = "localhost"


@dataclass(frozen=True)
class Service:
    """The service file, checked: an unknown, missing or mistyped key is an error that names it."""

    name: str
    port: int
    app: str
    requirements: str
    pythons: tuple[str, ...]
    settings_module: str
    processes: dict[str, Process]
    health: Health
    migrate: str
    check: str
    static: str = ""
    tests: str = ""
    demo: str = ""
    demo_login: str = ""
    state: tuple[str, ...] = ()
    urls: dict[str, str] = field(default_factory=dict)

    def argv(self, process: str) -> list[str]:
        """The command of a process as a list of words."""
        return shlex.split(self.processes[process].command)


def load(path: Path) -> Service:
    """Read and check a service file."""
    try:
        data = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise RolloutError(
            f"{path} cannot be read: {error}", "write one as docs/service-file.md shows"
        ) from error
    service: Service = _typed(Service, data, path, "")
    if not NAME.fullmatch(service.name):
        raise _wrong(
            path,
            "name",
            "has to be at most 30 small letters and digits, in parts with a dash between",
        )
    for process in service.processes:
        if not PROCESS.fullmatch(process):
            raise _wrong(path, f"processes.{process}", "a process is named by small letters, digits and _")
    if WEB not in service.processes:
        raise _wrong(path, "processes", f"`{WEB}`, the one that serves the port, is missing")
    return service


def _wrong(path: Path, key: str, what: str) -> RolloutError:
    return RolloutError(f"{path}: {key}: {what}", "docs/service-file.md explains each key")


def _typed(kind: type[Any], data: Any, path: Path, prefix: str) -> Any:
    if not isinstance(data, dict):
        raise _wrong(path, prefix or "the file", "has to be a mapping")
    known = {each.name: each for each in fields(kind)}
    for key in data:
        if key not in known:
            raise _wrong(path, f"{prefix}{key}", f"unknown key; known are {', '.join(known)}")
    values = {}
    for name, each in known.items():
        if name not in data:
            if known[name].default is MISSING and known[name].default_factory is MISSING:
                raise _wrong(path, f"{prefix}{name}", "is missing")
            continue
        values[name] = _value(str(each.type), data[name], path, f"{prefix}{name}")
    return kind(**values)


def _value(kind: str, value: Any, path: Path, key: str) -> Any:
    if kind == "Health":
        return _typed(Health, value, path, f"{key}.")
    if kind == "dict[str, Process]":
        if not isinstance(value, dict) or not value:
            raise _wrong(path, key, "has to be a mapping of at least one process")
        return {name: _typed(Process, process, path, f"{key}.{name}.") for name, process in value.items()}
    if kind == "dict[str, str]" and isinstance(value, dict):
        return {str(name): str(text) for name, text in value.items()}
    if kind == "tuple[str, ...]" and isinstance(value, list):
        return tuple(str(item) for item in value)
    if kind in ("str", "int", "bool") and type(value).__name__ == kind and value != "":
        return value
    raise _wrong(path, key, f"has to be {kind.replace('tuple[str, ...]', 'a list')}, not {value!r}")
