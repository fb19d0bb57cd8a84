"""What a service manager does for the slots of a host: it owns the sockets, and slots come and go behind them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Protocol

from .place import Place

Act = Callable[[], AbstractContextManager[None]]


class Manager(Protocol):
    """A process is named as in the service file, a slot is blue or green. What changes something acts in a lease."""

    name: str
    """The program, for people."""

    @property
    def address(self) -> tuple[str, int]:
        """Host and port on which users reach the service."""

    def possible(self, port: int) -> str:
        """Say in what state it is. Raises RolloutError where it could not carry the service on this port."""

    def prepare(self) -> None:
        """Install what it needs, unless it runs."""

    def runs(self) -> bool:
        """Whether it holds the sockets."""

    def start(self, port: int) -> bool:
        """Hold the sockets from now on. Returns whether it had not held them."""

    def end(self) -> None:
        """Stop every process and let the sockets go."""

    def orphans(self) -> list[int]:
        """Processes of the service that it does not know."""

    def end_orphans(self) -> None:
        """End them gracefully."""

    def begin(self, slot: str, processes: Iterable[str]) -> None:
        """Start processes of a slot; what runs already stays as it is."""

    def stop(self, slot: str) -> None:
        """Stop every process of a slot gracefully and at once, and wait until they are gone."""

    def active(self, slot: str) -> set[str]:
        """The processes of a slot that are meant to run."""

    def public(self) -> set[str]:
        """The slots whose web is meant to run on the public socket."""

    def pid(self, slot: str, process: str) -> int:
        """The process id of a running process, 0 while there is none."""

    def private(self, slot: str) -> Path:
        """The socket on which one slot alone answers."""

    def scratch(self, process: str, slot: str) -> Path:
        """The process's RUN_DIR."""

    def log(self, process: str, slot: str) -> str:
        """Where a person reads what a process said."""

    def said(self, process: str, slot: str, since: float, most: int) -> list[tuple[float, str]]:
        """What a process has said since a time, oldest first, the newest `most` lines: when, and the line."""

    def last_words(self, process: str, slot: str, since: float) -> str:
        """The last line that a process has said since a time (seconds since 1970), or ""."""


def manager_of(
    engine: str, place: Place, name: str, act: Act = nullcontext, lock: Path | None = None
) -> Manager:
    """The service manager of an engine. Each is imported where it is used: hosts know nothing of circus.

    :param name: the service's.
    :param lock: the hashed requirements of the process engine's manager.
    """
    if engine == "systemd":
        from . import systemd

        return systemd.Manager(place, name, act)
    from . import circusd

    return circusd.Manager(place, act, lock)
