"""Where everything of an environment stands on a host, and what was written there about its rollouts.

releases/VERSION/   a release, unpacked: app, venv, static, manifest.json, contents.json, service.yml
slots/SLOT/         what a slot runs: slot.json and env (settings and secrets, readable by the owner only)
settings/           next.env: those of the rollout under way; VERSION.env: those with which a release served last
secrets.env         what no settings file may hold, readable by the owner only
data/               the service's own: it outlives every release
static/             the union of the kept releases' hashed static files
run/ log/           sockets, scratch folders, the service manager; logs
backups/            of the database, one before each migration
current.json        the release that serves, and in which slot. It changes in the last step only
rollout.json        the rollout under way, with its step; one whose lease is gone was killed
history.jsonl       a line for each rollout that ended
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import service
from .errors import RolloutError
from .files import read_env, read_json, write_json

SLOTS = ("blue", "green")


@dataclass(frozen=True)
class Place:
    """An environment's folder on this host."""

    root: Path

    @property
    def current(self) -> dict[str, Any] | None:
        return read_json(self.root / "current.json")  # type: ignore[no-any-return]

    @property
    def serving(self) -> str:
        """The slot that serves, or "" before the first rollout."""
        return str(self.current["slot"]) if self.current else ""

    @property
    def idle(self) -> str:
        """The slot that the next release goes to."""
        return SLOTS[1] if self.serving == SLOTS[0] else SLOTS[0]

    @property
    def rollout(self) -> dict[str, Any] | None:
        """The rollout under way (or killed), as `begin` wrote it."""
        return read_json(self.root / "rollout.json")  # type: ignore[no-any-return]

    def note(self, **changes: Any) -> dict[str, Any]:
        """Add to what is written about the rollout under way."""
        return self.begin((self.rollout or {}) | changes)

    def begin(self, rollout: dict[str, Any]) -> dict[str, Any]:
        """Write down what is under way in place of what stood there."""
        write_json(self.root / "rollout.json", rollout)
        return rollout

    def forget_rollout(self) -> None:
        (self.root / "rollout.json").unlink(missing_ok=True)

    @property
    def history(self) -> list[dict[str, Any]]:
        """Every rollout that ended, oldest first. A line cut short by a full disk is left out."""
        try:
            lines = (self.root / "history.jsonl").read_text().splitlines()
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in lines if line.endswith("}")]

    def release(self, version: str) -> Path:
        return self.root / "releases" / version

    def service(self, version: str) -> service.Service:
        """The service file of an unpacked release."""
        return service.load(self.release(version) / "service.yml")

    def slot(self, slot: str) -> dict[str, Any]:
        """What stands in a slot: {"version", "private_only", "processes"}."""
        placed = read_json(self.root / "slots" / slot / "slot.json")
        if not placed:
            raise RolloutError(f"slot {slot} of {self.root} is empty", "run `make deploy`")
        return placed  # type: ignore[no-any-return]

    def environment(self, version: str, settings: dict[str, str], environment: str) -> dict[str, str]:
        """All that a process of a release is told, except what differs per process."""
        release = self.release(version)
        manifest = read_json(release / "manifest.json")
        return settings | {
            "RELEASE_VERSION": version,
            "RELEASE_COMMIT": manifest["commit"],
            "ENVIRONMENT": environment,
            "DJANGO_SETTINGS_MODULE": self.service(version).settings_module,
            "DATA_DIR": str(self.root / "data"),
            "STATIC_ROOT": str(release / "static"),
            "STATIC_SHARED": str(self.root / "static"),
            "RUN_DIR": str(self.root / "run" / "command"),
            "PATH": f"{release}/venv/bin:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.root / "data"),
            "LANG": "C.UTF-8",
        }

    def settings_file(self, name: str) -> Path:
        """The settings of a release that served, or of the rollout under way ("next"); without the secrets."""
        return self.root / "settings" / f"{name}.env"

    def told(self) -> dict[str, str]:
        """Settings and secrets of the rollout under way."""
        return self.settings(self.settings_file("next"))

    def settings(self, file: Path) -> dict[str, str]:
        """An environment's settings, with the secrets of this host."""
        secrets = self.root / "secrets.env"
        return read_env(file) | (read_env(secrets) if secrets.exists() else {})
