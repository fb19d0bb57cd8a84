"""The service manager of the systemd engine: units that the role `service` has put onto the host.

NAME.socket holds the port and NAME@SLOT.socket a slot's private socket; NAME-PROCESS@SLOT.service runs a process.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from . import logs
from .errors import RolloutError
from .files import read_json
from .place import SLOTS, Place
from .service import PROCESS, WEB

STOP_SECONDS = 60.0  # a unit has half of that before it is killed
LIVING = {"active", "activating", "deactivating", "reloading"}


class Manager:
    """systemd's units of one service on this host.

    :param act: entered for each command that changes something, and only while it is sent (a lease's `act`).
    """

    name = "systemd"

    def __init__(
        self, place: Place, service: str, act: Callable[[], AbstractContextManager[None]] = nullcontext
    ) -> None:
        self._place = place
        self._service = service
        self._act = act
        self._at_boot = [f"{service}.socket", f"{service}.service"]
        self._sockets = [f"{service}.socket", *(f"{service}@{slot}.socket" for slot in SLOTS)]

    @property
    def address(self) -> tuple[str, int]:
        listens = self._show(f"{self._service}.socket", "Listen")
        host, _, port = listens.partition(" ")[0].rpartition(":")
        return host.strip("[]"), int(port)

    def possible(self, port: int) -> str:
        for unit in self._sockets:
            if self._show(unit, "LoadState") != "loaded":
                raise RolloutError(f"there is no unit {unit} on this host", "run `make site` first")
        if self.address[1] != port:
            raise RolloutError(
                f"{self._service}.socket listens on port {self.address[1]}, not {port}", "run `make site`"
            )
        return "its sockets are held" if self.runs() else "its sockets are free"

    def prepare(self) -> None:
        """The role has done it."""

    def runs(self) -> bool:
        return all(self._state(unit) == "active" for unit in self._sockets)

    def start(self, port: int) -> bool:
        if self.runs():
            return False
        self._ctl("enable", *self._at_boot)
        self._ctl("start", *self._sockets)
        return True

    def end(self) -> None:
        # The sockets first: whoever knocks, as a proxy does all the time, would have a slot started again.
        with self._act():
            self._ctl("disable", *self._at_boot)
            self._ctl("stop", *self._sockets, *self._at_boot)
        for slot in SLOTS:
            self.stop(slot)

    def orphans(self) -> list[int]:
        return []  # systemd knows each by its control group

    def end_orphans(self) -> None:
        """There are none."""

    def begin(self, slot: str, processes: Iterable[str]) -> None:
        units = [self._unit(slot, process) for process in processes]
        with self._act():
            self._ctl("start", "--no-block", *units)

    def stop(self, slot: str) -> None:
        units = [self._unit(slot, process) for process in self.active(slot)]
        if units:
            with self._act():
                self._ctl("stop", "--no-block", *units)
            self._ctl("stop", *units)
        if left := self.active(slot):
            raise RolloutError(f"{', '.join(sorted(left))} in slot {slot} came back", "look at the journal")

    def active(self, slot: str) -> set[str]:
        listed = self._ctl("list-units", "--plain", "--no-legend", f"{self._service}-*@{slot}.service")
        rows = [line.split() for line in listed.splitlines()]
        end = f"@{slot}.service"
        names = {
            row[0].removeprefix(f"{self._service}-").removesuffix(end) for row in rows if row[2] in LIVING
        }
        return {name for name in names if PROCESS.fullmatch(name)}

    def public(self) -> set[str]:
        placed = {slot: read_json(self._place.root / "slots" / slot / "slot.json") or {} for slot in SLOTS}
        return {slot for slot in SLOTS if WEB in self.active(slot) and not placed[slot].get("private_only")}

    def pid(self, slot: str, process: str) -> int:
        return int(self._show(self._unit(slot, process), "MainPID") or 0)

    def private(self, slot: str) -> Path:
        return Path("/run") / self._service / f"{slot}.sock"

    def scratch(self, process: str, slot: str) -> Path:
        return Path("/run") / self._service / f"{process}-{slot}"

    def log(self, process: str, slot: str) -> str:
        return f"journalctl -u {self._unit(slot, process)}"

    def last_words(self, process: str, slot: str, since: float) -> str:
        unit = f"_SYSTEMD_UNIT={self._unit(slot, process)}"
        return self._journal("--output=cat", f"--since=@{since:.0f}", "--lines=1", unit).strip()

    def said(self, process: str, slot: str, since: float, most: int) -> list[tuple[float, str]]:
        unit = f"--unit={self._unit(slot, process)}"  # with what systemd says of it
        told = ("--output=json", "--all", f"--since=@{int(since)}", f"--lines={most}", unit)
        return logs.of_journal(self._journal(*told))[-most:]

    def _journal(self, *words: str) -> str:
        command = ["journalctl", "--quiet", *words]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout

    def _unit(self, slot: str, process: str) -> str:
        return f"{self._service}-{process}@{slot}.service"

    def _state(self, unit: str) -> str:
        return self._show(unit, "ActiveState")

    def _show(self, unit: str, name: str) -> str:
        return self._ctl("show", "--value", f"--property={name}", unit).strip()

    def _ctl(self, *words: str) -> str:
        try:
            done = subprocess.run(
                ["systemctl", "--no-pager", *words],
                capture_output=True,
                text=True,
                check=False,
                timeout=STOP_SECONDS,
            )
        except subprocess.TimeoutExpired as error:
            raise RolloutError(
                f"`systemctl {' '.join(words)}` did not end in {STOP_SECONDS:.0f} s", "look at the journal"
            ) from error
        if done.returncode:
            raise RolloutError(
                f"`systemctl {' '.join(words)}`: {(done.stderr or done.stdout).strip()}",
                "look at the journal",
            )
        return done.stdout
