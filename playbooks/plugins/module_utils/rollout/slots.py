"""A release's processes in one of two slots on this host, under circus or systemd."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from typing import Any

from . import probe
from .errors import RolloutError, StaleLease, counted, line_of
from .files import env_text, write_atomically, write_json
from .lease import Lease
from .manager import Manager
from .place import Place
from .service import WEB, Service

STARTS_ALLOWED = 3
UNDO_SECONDS = 300.0
"""How long an undo waits at least: what was ready before gets ready again, on a host that is busy just later."""
SLOWEST_SECONDS = 5.0
PROBE_EVERY_SECONDS = 0.1


class Slots:
    """One act of a rollout at a time; what it needs to know stands in the environment's folder."""

    def __init__(self, place: Place, lease: Lease, manager: Manager, ready_seconds: float) -> None:
        self._place = place
        self._act = lease.act
        self._manager = manager
        self._ready_seconds = ready_seconds

    def possible(self, port: int) -> str:
        """Preflight: the service manager can carry the service, and runs what is written down."""
        found = self._manager.possible(port)
        public = self._manager.public() if self._manager.runs() else set()
        if public and self._place.serving not in public:
            raise RolloutError(
                f"slot {public.pop()} serves, but {self._place.root}/current.json names "
                f"{self._place.serving or 'nothing'}",
                "`make down` and `make up` begin anew with the same data",
            )
        return found

    def prove(self, port: int, environment: str) -> str:
        """Boot the new release in the idle slot, on its private socket only, and ask it everything."""
        rollout, slot = self._rollout(), self._place.idle
        service = self._place.service(rollout["version"])
        self._manager.prepare()
        with self._act():
            self._manager.start(port)
        self._manager.stop(slot)
        self._put(slot, rollout["version"], environment, private_only=True)
        self._manager.begin(slot, [WEB])
        self._await_ready(slot, service, WEB)
        answer = self._ask_everything(slot, service, rollout["version"])
        self._manager.stop(slot)
        return answer

    def switch(self, environment: str) -> str:
        """Start the new slot on the public socket, then drain the old one."""
        rollout, new, old = self._rollout(), self._place.idle, self._place.serving
        service = self._place.service(rollout["version"])
        self._share_static(rollout["version"])
        self._put(new, rollout["version"], environment, private_only=False)
        for process in _web_first(service):
            self._manager.begin(new, [process])
        for process in _web_first(service):
            self._await_ready(new, service, process)
        if old:
            self._manager.stop(old)
        return f"{new} serves" + (f", {old} is drained" if old else "")

    def verify(self, seconds: float) -> str:
        """Watch the running version: every answer right and quick, no process restarted."""
        rollout, slot = self._rollout(), self._place.idle
        service = self._place.service(rollout["version"])
        before = self._pids(slot, service)
        self._ask_everything(slot, service, rollout["version"])
        slowest, asked, end = 0.0, 0, time.monotonic() + seconds
        while time.monotonic() < end:
            answer = probe.get(self._manager.address, service.health.ready, service.health.host)
            slowest, asked = max(slowest, answer.seconds), asked + 1
            if answer.status != 200 or answer.seconds > SLOWEST_SECONDS:
                raise RolloutError(
                    f"{service.health.ready} answered {answer} after {answer.seconds:.1f} s while watched",
                    f"look at {self._manager.log(WEB, slot)}",
                )
            time.sleep(PROBE_EVERY_SECONDS)
        for process, pid in self._pids(slot, service).items():
            if pid != before[process] or not pid:
                raise self._dead(slot, process, [before[process], pid])
        return f"{counted(asked, 'answer')} in {seconds:.0f} s, slowest {slowest * 1000:.0f} ms"

    def undo(self, at_least: float = UNDO_SECONDS) -> str:
        """Make the slot serve that served before, whatever has been done meanwhile, and empty the other one.

        :param at_least: seconds until it has to be ready, where a rollout has fewer.
        """
        old, new = self._place.serving, self._place.idle
        if not self._manager.runs():
            return "nothing runs"
        if not old:
            self.end()
            return "stopped: nothing served before"
        version = self._place.slot(old)["version"]
        service = self._place.service(version)
        for process in _web_first(service):
            self._manager.begin(old, [process])
        for process in _web_first(service):
            self._await_ready(old, service, process, at_least)
        self._manager.stop(new)
        return f"{version} serves from {old}"

    def clear(self) -> str:
        """Undo what a killed rollout left. What cannot be undone holds the next rollout up only while it serves.

        :raises RolloutError: the slot that served before cannot serve again, and the other one does.
        """
        try:
            return self.undo(at_least=0)
        except StaleLease:
            raise
        except (RolloutError, OSError) as error:
            line = line_of(error, self._place.root)
            if self._place.idle in self._manager.public():
                raise RolloutError(
                    line,
                    "where that cannot be mended, `make down` and `make deploy` begin anew with the same data",
                ) from error
            return f"it cannot, and this rollout goes on: {line}"

    def end(self) -> str:
        """Stop everything; what stands in the slots stays for the next start."""
        if not self._manager.runs():
            with self._act():
                self._manager.end_orphans()
            return "nothing runs"
        self._manager.end()
        return "stopped"

    def _rollout(self) -> dict[str, Any]:
        rollout = self._place.rollout
        if not rollout:
            raise RolloutError("no rollout is under way here", "run `make deploy`")
        return rollout

    def _put(self, slot: str, version: str, environment: str, *, private_only: bool) -> None:
        """Write what an idle slot is to run."""
        service, folder = self._place.service(version), self._place.root / "slots" / slot
        with self._act():
            folder.mkdir(parents=True, exist_ok=True)
            (self._place.root / "data").mkdir(exist_ok=True)
            told = self._place.environment(version, self._place.told(), environment)
            write_atomically(folder / "env", env_text(told), 0o600)
            write_json(
                folder / "slot.json",
                {
                    "version": version,
                    "private_only": private_only,
                    "processes": {name: service.argv(name) for name in service.processes},
                },
            )

    def _share_static(self, version: str) -> None:
        """Add the release's files to those that both slots serve; hashed names never change their content."""
        source, shared = self._place.release(version) / "static", self._place.root / "static"
        with self._act():
            shutil.copytree(
                source, shared, dirs_exist_ok=True, ignore=shutil.ignore_patterns("staticfiles.json")
            )

    def _pids(self, slot: str, service: Service) -> dict[str, int]:
        return {process: self._manager.pid(slot, process) for process in service.processes}

    def _ask_everything(self, slot: str, service: Service, version: str) -> str:
        private, health = self._manager.private(slot), service.health
        for path in health.smoke:
            answer = probe.get(private, path, health.host)
            if answer.status != 200:
                raise RolloutError(
                    f"{path} of {version} answered {answer}",
                    f"look at {self._manager.log(WEB, slot)}",
                )
        if health.version and (running := probe.version(private, health.version, health.host)) != version:
            raise RolloutError(
                f"{health.version} says {running}, not {version}", "the release has to report RELEASE_VERSION"
            )
        return f"{counted(len(health.smoke), 'path')} answered 200"

    def _await_ready(self, slot: str, service: Service, process: str, at_least: float = 0) -> None:
        """Wait until a process says that it is ready; fail early when it keeps dying."""
        patience = max(self._ready_seconds, at_least)
        ready = self._readiness(slot, service, process)
        seen: list[int] = []
        end = time.monotonic() + patience
        while answer := ready():
            pid = self._manager.pid(slot, process)
            if pid and pid not in seen:
                seen.append(pid)
            if len(seen) >= STARTS_ALLOWED:
                raise self._dead(slot, process, seen)
            if time.monotonic() > end:
                words = self._last_words(slot, process)
                raise RolloutError(
                    f"{process} in slot {slot} was not ready in {patience:.0f} s: {answer}; {words}",
                    f"look at {self._manager.log(process, slot)}",
                )
            time.sleep(PROBE_EVERY_SECONDS)

    def _readiness(self, slot: str, service: Service, process: str) -> Callable[[], str]:
        """A question to ask until its answer is empty; anything else says what is still missing."""
        if process == WEB:
            private, health = self._manager.private(slot), service.health

            def web() -> str:
                answer = probe.get(private, health.ready, health.host)
                return "" if answer.status == 200 else f"{health.ready} answered {answer}"

            return web
        if service.processes[process].ready_file:
            file = self._manager.scratch(process, slot) / "ready"
            return lambda: "" if file.exists() else f"{file} is not there"
        since, first = time.monotonic(), self._manager.pid(slot, process)
        return lambda: (
            ""
            if time.monotonic() - since > 2 and self._manager.pid(slot, process) == first
            else "it does not stay up"
        )

    def _dead(self, slot: str, process: str, pids: list[int]) -> RolloutError:
        """Say which processes it was one after the other (0 for none), and the last words."""
        one_by_one = ", then ".join(f"process {pid}" if pid else "none" for pid in pids)
        again = f" that {self._manager.name} started" if pids[-1] else ""
        return RolloutError(
            f"{process} in slot {slot} dies: {one_by_one}{again}; {self._last_words(slot, process)}",
            f"look at {self._manager.log(process, slot)}",
        )

    def _last_words(self, slot: str, process: str) -> str:
        """What a process said last in this rollout; what it said in another one explains nothing."""
        since = min((self._place.rollout or {}).get("steps", {}).values(), default=0.0)
        words = self._manager.last_words(process, slot, since)
        return f"it said: {words[:300]}" if words else "it said nothing"


def _web_first(service: Service) -> list[str]:
    return sorted(service.processes, key=lambda process: process != WEB)
