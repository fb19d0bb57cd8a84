"""The service manager of the process engine: circus owns the sockets, slots come and go behind them.

circusd runs from a virtual environment of its own beside the environment's data, so neither a release nor the
checkout that deployed it can pull it away.
"""

from __future__ import annotations

import os
import pkgutil
import shlex
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext, suppress
from errno import ECONNREFUSED, ENOENT
from pathlib import Path
from typing import Any

from circus.client import CircusClient
from circus.exc import CallError

from . import bundle, launch, logs  # noqa: F401  # so that Ansible sends it along
from .errors import RolloutError, counted
from .files import read_json, sha256, write_atomically, write_json
from .place import SLOTS, Place
from .service import WEB

STOP_SECONDS = 30
ANSWER_SECONDS = 5.0  # circus answers within milliseconds, unless the machine has no time for it
PATIENCE_SECONDS = 60.0  # longer than a stop, which circus may be busy with
OPTIONS: dict[str, Any] = {
    "numprocesses": 1,
    "copy_env": False,
    "graceful_timeout": STOP_SECONDS,
    "max_retry": -1,
    "respawn": True,
}
LONGEST_SOCKET_PATH = 100  # Linux allows 107 bytes


class NoAnswer(RolloutError):
    """circusd is there and says nothing."""


class Manager:
    """circusd of one environment on this host.

    :param act: entered for each command that changes something, and only while it is sent (a lease's `act`).
    :param lock: the hashed requirements of circus; only `prepare` needs them.
    """

    name = "circus"

    def __init__(
        self,
        place: Place,
        act: Callable[[], AbstractContextManager[None]] = nullcontext,
        lock: Path | None = None,
    ) -> None:
        self._place = place
        self._act = act
        self._lock = lock
        self._run = place.root / "run"
        self._control = self._run / "circus.sock"

    @property
    def port(self) -> int:
        """The port that the running circusd holds, 0 when none runs."""
        return int(read_json(self._run / "port.json")["port"]) if self.runs() else 0

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.port

    def possible(self, port: int) -> str:
        """Preflight: the port is ours or free, the sockets' paths are short enough."""
        self.require_short_paths()
        if self.runs():
            self._require_port(port)
            return "the service manager runs"
        if left := self.orphans():
            return f"{counted(len(left), 'process', 'processes')} of a service manager that died will be replaced"
        require_free(port)
        return f"port {port} is free"

    def _require_port(self, port: int) -> None:
        if self.port != port:
            raise RolloutError(
                f"the service runs on port {self.port}, not {port}",
                "run `make down` first to change the port",
            )

    def runs(self) -> bool:
        """Whether circusd runs. One that is slow is waited for: taken for dead, what it serves would be ended.

        :raises NoAnswer: it is there, but does not answer.
        """
        end = time.monotonic() + PATIENCE_SECONDS
        while self._pid and self._listens():
            try:
                return bool(self._call("status", ANSWER_SECONDS))
            except NoAnswer:
                if time.monotonic() > end:
                    raise
        return False

    @property
    def _pid(self) -> int:
        """circusd's process id, 0 when that process is gone."""
        try:
            pid = int((self._run / "circus.pid").read_text())
            return pid if b"circusd" in Path(f"/proc/{pid}/cmdline").read_bytes() else 0
        except (OSError, ValueError):
            return 0

    def _listens(self) -> bool:
        """Whether somebody holds the control socket: after a restart of the machine, any process may have the pid."""
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(ANSWER_SECONDS)
            return probe.connect_ex(str(self._control)) not in (ENOENT, ECONNREFUSED)

    def require_short_paths(self) -> None:
        """Fail when the sockets' paths are longer than Linux allows."""
        if len(str(self._control)) > LONGEST_SOCKET_PATH:
            raise RolloutError(
                f"{self._run} is too long a path for a Unix socket", "set ROLLOUT_ROOT to a shorter one"
            )

    def orphans(self) -> list[int]:
        """What outlived a killed circusd and still holds the port, or a circusd whose files were deleted."""
        if self.runs():
            return []
        service, manager = f"\0RUN_DIR={self._run}/".encode(), f"\0{self._run}/circus.ini".encode()
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # another user's, or gone meanwhile
                command = (process / "cmdline").read_bytes()
                if service in b"\0" + (process / "environ").read_bytes() or (
                    b"circusd" in command and manager in command
                ):
                    found.append(int(process.name))
        return found

    def end_orphans(self) -> None:
        """End gracefully what a killed circusd left."""
        end = time.monotonic() + STOP_SECONDS
        for pid in self.orphans():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        while left := self.orphans():
            if time.monotonic() > end:
                raise RolloutError(
                    f"processes {left} do not end", f"end them: kill -9 {' '.join(map(str, left))}"
                )
            time.sleep(0.1)

    def private(self, slot: str) -> Path:
        """The socket on which one slot alone answers."""
        return self._run / f"{slot}.sock"

    def start(self, port: int) -> bool:
        """Start circusd unless it runs, with the sockets that it will own. Returns whether it had to be started.

        :param port: the service's port on 127.0.0.1.
        """
        if self.runs():
            self._require_port(port)
            return False
        self.end_orphans()
        require_free(port)
        for folder in (self._run, self._place.root / "log"):
            folder.mkdir(parents=True, exist_ok=True)
        for path in self._run.glob("*.sock"):
            path.unlink()
        write_atomically(self._run / "circus.ini", self._configuration(port))
        write_json(self._run / "port.json", {"port": port})
        subprocess.run(
            [
                self._manager / "bin/circusd",
                "--daemon",
                "--pidfile",
                self._run / "circus.pid",
                "--log-output",
                self._place.root / "log/circus.log",
                self._run / "circus.ini",
            ],
            cwd=self._place.root,
            check=True,
            capture_output=True,
            env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
        )
        end = time.monotonic() + 30
        while not self.runs():
            if time.monotonic() > end:
                raise RolloutError(
                    "the service manager did not start", f"look at {self._place.root}/log/circus.log"
                )
            time.sleep(0.05)
        return True

    def end(self) -> None:
        """Stop every process, then circusd itself, and wait until it is gone."""
        if not self.runs():
            return
        for slot in SLOTS:
            self.stop(slot)
        self._ask("quit", self._act, waiting=True)
        end = time.monotonic() + PATIENCE_SECONDS
        while pid := self._pid:
            if time.monotonic() > end:
                raise RolloutError(
                    f"the service manager (process {pid}) does not end", f"end it: kill -9 {pid}"
                )
            time.sleep(0.05)
        self._control.unlink(missing_ok=True)

    def begin(self, slot: str, processes: Iterable[str]) -> None:
        """Start processes of a slot; what runs already stays as it is."""
        for process in processes:
            name = f"{process}-{slot}"
            status = self._watchers().get(name, "")
            if status == "stopping":
                self._await(name, "stopped")
            if status != "active":
                with self._act():
                    shutil.rmtree(self._run / name, ignore_errors=True)  # with the ready file of another time
            if not status:
                self._change("add", name=name, cmd=self._command(slot, process), options=OPTIONS)
            self._change("start", name=name)

    def stop(self, slot: str) -> None:
        """Stop every process of a slot gracefully and at once, wait until they are gone, forget them."""
        names = sorted(name for name in self._watchers() if name.endswith(f"-{slot}"))
        self._change("stop", name=f"*-{slot}", match="glob")
        for name in names:
            self._await(name, "stopped")
            if name != f"{WEB}-{slot}":
                self._change("rm", name=name)
                self._await(name, "")

    def _await(self, name: str, status: str) -> None:
        """Wait until a watcher has a status; "" is that of one which circus does not know."""
        end = time.monotonic() + PATIENCE_SECONDS
        while (now := self._watchers().get(name, "")) != status:
            if time.monotonic() > end:
                raise RolloutError(f"{name} stays {now}", f"look at {self._place.root}/log")
            time.sleep(0.1)

    def active(self, slot: str) -> set[str]:
        """The processes of a slot that are meant to run."""
        return {
            name.removesuffix(f"-{slot}")
            for name, status in self._watchers().items()
            if name.endswith(f"-{slot}") and status == "active"
        }

    def public(self) -> set[str]:
        """The slots whose web is meant to run on the public socket."""
        placed = {slot: read_json(self._place.root / "slots" / slot / "slot.json") or {} for slot in SLOTS}
        return {slot for slot in SLOTS if WEB in self.active(slot) and not placed[slot].get("private_only")}

    def pid(self, slot: str, process: str) -> int:
        """The process id of a running process, 0 while there is none."""
        name = f"{process}-{slot}"
        pids = self._ask("list", name=name)["pids"] if name in self._watchers() else []
        return int(pids[0]) if pids else 0

    def scratch(self, process: str, slot: str) -> Path:
        return self._run / f"{process}-{slot}"

    def log(self, process: str, slot: str) -> str:
        return str(self._log(process, slot))

    def _log(self, process: str, slot: str) -> Path:
        return self._place.root / "log" / f"{process}-{slot}.log"

    def said(self, process: str, slot: str, since: float, most: int) -> list[tuple[float, str]]:
        log = self._log(process, slot)
        files = [*(log.with_name(f"{log.name}.{number}") for number in (3, 2, 1)), log]
        return [line for file in files for line in logs.of_file(file, since)][-most:]

    def last_words(self, process: str, slot: str, since: float) -> str:
        """The last line of its log, unless it was written earlier: that explains nothing."""
        log = self._log(process, slot)
        if not log.exists() or log.stat().st_mtime < since:
            return ""
        return "".join(log.read_text(errors="replace").strip().splitlines()[-1:])

    def _watchers(self) -> dict[str, str]:
        return dict(self._ask("status")["statuses"])

    def _change(self, command: str, **properties: Any) -> None:
        """Send a command that changes something."""
        self._ask(command, self._act, **properties)

    def _ask(
        self,
        command: str,
        act: Callable[[], AbstractContextManager[None]] = nullcontext,
        **properties: Any,
    ) -> dict[str, Any]:
        """Send a command again until circus does not refuse it: for long while it is busy with another one.

        :raises RolloutError: it goes on refusing. That it refuses says nothing of the processes.
        """
        begin = time.monotonic()
        while True:
            with act():
                answer = self._call(command, PATIENCE_SECONDS, **properties)
            if answer["status"] != "error":
                return answer
            reason = answer.get("reason", "")
            busy = "already running" in reason or "restarting" in reason
            if time.monotonic() - begin > (PATIENCE_SECONDS if busy else ANSWER_SECONDS):
                raise RolloutError(
                    f"the service manager refused {command} {properties.get('name', '')}: {reason}",
                    f"look at {self._place.root}/log/circus.log",
                )
            time.sleep(0.05)

    def _call(self, command: str, seconds: float, **properties: Any) -> dict[str, Any]:
        client = CircusClient(endpoint=f"ipc://{self._control}", timeout=seconds)
        try:
            answer: dict[str, Any] = client.send_message(command, **properties)
        except CallError as error:
            raise NoAnswer(
                f"the service manager (process {self._pid}) does not answer {command}: {str(error).rstrip('.')}; "
                "what serves goes on",
                f"kill -CONT {self._pid} if it was stopped; at worst kill -9 {self._pid}, then `make up`",
            ) from error
        finally:
            client.stop()
        return answer

    def _command(self, slot: str, process: str) -> str:
        python, launcher = self._manager / "bin/python", self._manager / "launch.py"
        return f"{shlex.join(map(str, (python, launcher, self._place.root, slot, process)))} " + (
            f"$(circus.sockets.public) $(circus.sockets.{slot})" if process == WEB else "0 0"
        )

    @property
    def _manager(self) -> Path:
        return self._place.root / "manager"

    def prepare(self) -> None:
        """Make circusd's own virtual environment unless it is there or circusd runs."""
        lock = self._lock
        if lock is None or self.runs():
            return
        done = self._manager / f".{sha256(lock)[:16]}"
        if not done.exists():
            shutil.rmtree(self._manager, ignore_errors=True)
            uv, quiet = bundle.uv(), ["--quiet", "--no-config"]
            python = ["--python", str(self._manager / "bin/python")]
            locked = ["--require-hashes", "--requirement", str(lock)]
            remedy = "check the network and run the command again"
            bundle.run([uv, "venv", *quiet, "--python", bundle.base_python(), str(self._manager)], remedy)
            bundle.run([uv, "pip", "install", *quiet, *python, *locked], remedy)
            done.touch()
        source = pkgutil.get_data(__package__, "launch.py") or b""
        write_atomically(self._manager / "launch.py", source.decode())

    def _configuration(self, port: int) -> str:
        """Sockets, and the two watchers that use them: circus cannot be told of such later."""
        parts = [
            f"[circus]\nendpoint = ipc://{self._control}\npubsub_endpoint = ipc://{self._run}/circus-events.sock",
            "statsd = False\ncheck_delay = 0.5\numask = 077\n",
            f"[socket:public]\nhost = 127.0.0.1\nport = {port}\nbacklog = 2048\n",
        ]
        for slot in SLOTS:
            options = "".join(f"{key} = {value}\n" for key, value in OPTIONS.items())
            parts += [
                f"[socket:{slot}]\npath = {self.private(slot)}\numask = 63\n",
                f"[watcher:{WEB}-{slot}]\ncmd = {self._command(slot, WEB)}\nuse_sockets = True\nautostart = False",
                options,
            ]
        return "\n".join(parts)


def require_free(port: int) -> None:
    """Fail when something else listens on the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise RolloutError(
                f"port {port} cannot be used: {error.strerror}",
                "stop what listens there, or choose another one: make up PORT=8001",
            ) from error
