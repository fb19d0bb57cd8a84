"""The service as real processes, told what it needs as a rollout tells it."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.app import databases

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
WEB = ("gunicorn", "--config", "gunicorn.conf.py", "marefia.wsgi")


def environment(folder: Path) -> dict[str, str]:
    """Return what a process of the service gets, and make the folders that it names."""
    lines = (ROOT / "infra/environments/dev.env").read_text().splitlines()
    told = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    for name in ("DATA_DIR", "RUN_DIR", "STATIC_ROOT", "STATIC_SHARED"):
        told[name] = str(folder / name.lower())
        Path(told[name]).mkdir(parents=True, exist_ok=True)
    if databases.server():
        told["DATABASE_URL"] = databases.server()
    return told | {
        "ALLOWED_HOSTS": "testserver,localhost,127.0.0.1",
        "ENVIRONMENT": "dev",
        "RELEASE_VERSION": "20260101-abc",
        "RELEASE_COMMIT": "abc",
        "SECRET_KEY": "only-for-the-tests-" + "x" * 32,  # pragma: allowlist secret
        "HOME": str(folder),
        "PATH": f"{BIN}:/usr/bin:/bin",
        "LANG": "C.UTF-8",
    }


def wait_for(what: Callable[[], Any], seconds: float = 60) -> Any:
    """Ask until the answer is truthy and return it; fail when it is not within `seconds`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if answer := what():
            return answer
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s")


class Service:
    """Processes on one data folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.env = environment(folder)
        self.data = Path(self.env["DATA_DIR"])
        self.processes: list[subprocess.Popen[bytes]] = []
        self.database: databases.Database

    def with_database(self, like: databases.Database | None = None) -> Service:
        """Give it a database of its own, empty or a copy of another."""
        self.database = databases.new(self.data, like)
        self.env["DATABASE_URL"] = self.database.url
        return self

    def run(self, *command: str, **changes: str | None) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; `changes` change the environment, None takes a variable away."""
        env = {key: value for key, value in (self.env | changes).items() if value is not None}
        return subprocess.run(
            command, cwd=ROOT / "app", env=env, capture_output=True, text=True, timeout=60, check=False
        )

    def manage(self, *arguments: str, **changes: str | None) -> str:
        """Run a management command that has to succeed; return its output."""
        done = self.run(sys.executable, "manage.py", *arguments, **changes)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def python(self, code: str) -> subprocess.Popen[bytes]:
        """Start a Python program in which Django is set up."""
        return self.start(sys.executable, "-c", f"import django; django.setup()\n{code}")

    def start(self, *command: str, pass_fds: tuple[int, ...] = (), **changes: str) -> subprocess.Popen[bytes]:
        """Start a process; its output goes to `self.log(process)`."""
        log = self.folder / f"{len(self.processes)}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                command,
                cwd=ROOT / "app",
                env=self.env | {"DJANGO_SETTINGS_MODULE": "marefia.settings"} | changes,
                stdout=out,
                stderr=subprocess.STDOUT,
                pass_fds=pass_fds,
            )
        self.processes.append(process)
        return process

    def celery(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a worker or scheduler and wait until it is ready."""
        ready = self.folder / f"ready-{len(self.processes)}"
        process = self.start("celery", "--app", "marefia", *arguments, READY_FILE=str(ready))
        wait_for(lambda: ready.exists() or process.poll() is not None)
        assert process.poll() is None, self.log(process)
        return process

    def worker(self) -> subprocess.Popen[bytes]:
        """Start a worker."""
        return self.celery("worker", "--pool", "threads", "--concurrency", "2", "--loglevel", "INFO")

    def scheduler(self) -> subprocess.Popen[bytes]:
        """Start a scheduler."""
        return self.celery(
            "beat", "--scheduler", "marefia.ops.scheduler.LeasedScheduler", "--loglevel", "INFO"
        )

    def log(self, process: subprocess.Popen[bytes]) -> str:
        """Return what a process has said."""
        return (self.folder / f"{self.processes.index(process)}.log").read_text()

    def sql(self, query: str, *values: Any) -> list[Any]:
        """Return rows of the service's database, or write to it."""
        return self.database.sql(query, *values)

    def stop(self) -> None:
        """End what still runs."""
        for process in self.processes:
            if process.poll() is None:
                os.kill(process.pid, signal.SIGKILL)
            process.wait()
        self.database.drop()


class Web:
    """Gunicorn on a socket that is not its own, as a service manager hands it over."""

    def __init__(self, service: Service, listener: socket.socket, before: str = "", **changes: str) -> None:
        self.port = listener.getsockname()[1]
        # LISTEN_PID has to be the pid of the process itself, which only that process knows.
        hand_over = (
            f"import os; os.dup2({listener.fileno()}, 3); {before}\n"
            f"os.execvpe('gunicorn', {WEB}, os.environ | {{'LISTEN_FDS': '1', 'LISTEN_PID': str(os.getpid())}})"
        )
        self.process = service.start(
            sys.executable, "-c", hand_over, pass_fds=(listener.fileno(),), **changes
        )

    def get(self, path: str, connection: http.client.HTTPConnection | None = None) -> tuple[int, str]:
        """Return status and body."""
        used = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=40)
        used.request("GET", path)
        response = used.getresponse()
        body = response.read().decode()
        if connection is None:
            used.close()
        return response.status, body
