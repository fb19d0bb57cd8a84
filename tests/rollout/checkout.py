"""A clone of this repository with an environment of its own: what a person at a fresh machine has.

The clone holds what is committed, never the working tree; its releases, data and port are its own, and
only the virtual environment of the tools is shared.
"""

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar
from urllib.request import urlopen

from tests.rollout.processes import Process, alive, kill_tree, processes, tree

REPOSITORY = Path(__file__).parents[2]
STEPS = ("lock", "preflight", "migrate", "prove", "switch", "verify", "record")
INHERITED = ("PATH", "HOME", "LANG", "TMPDIR", "INFRA_COVERAGE_DIR", "BASH_ENV")
"""What a person's shell says, and where it is recorded which tasks and lines were executed."""
GIVEN = ("RUN_DIR", "READY_FILE", "LISTEN_PID", "LISTEN_FDS")
PROCESSES = ("web", "worker", "scheduler")
Change = Callable[[Path], None]
"""Edits the files of a checkout."""


@dataclass(frozen=True)
class Run:
    """A make target under way or ended. Its output goes to a file: what outlives it blocks nobody."""

    process: "subprocess.Popen[bytes]"
    log: Path

    @property
    def output(self) -> str:
        """What it has said so far."""
        return self.log.read_text(errors="replace")

    @property
    def status(self) -> int | None:
        """Its exit status; None while it runs."""
        return self.process.poll()

    def wait(self, seconds: float) -> None:
        """Wait for its end; it and its session are killed when that takes too long."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            raise AssertionError(f"did not end in {seconds:.0f} s: {self.output[-6000:]}") from None

    def kill(self, *, with_children: bool) -> None:
        """SIGKILL the deployer: ansible-playbook alone, or everything that the target started."""
        if with_children:
            kill_tree(self.process.pid)
        else:
            next(one for one in tree(self.process.pid) if one.runs("ansible-playbook")).kill()
        self.wait(60)


@dataclass
class Checkout:
    """A clone in `folder`/checkout and its environment in `folder`/run."""

    folder: Path
    port: int = field(default_factory=lambda: free_port())
    COLUMNS: ClassVar[str] = "SELECT name FROM pragma_table_info('{table}')"

    def __post_init__(self) -> None:
        self.path = self.folder / "checkout"
        self.root = self.folder / "run"
        self.environment = {
            **{name: os.environ[name] for name in INHERITED if name in os.environ},
            **{name: value for name, value in os.environ.items() if name.startswith(("UV_", "PIP_", "SSL_"))},
            "VENV": os.environ.get("VENV", str(REPOSITORY / ".venv")),
            "ROLLOUT_ROOT": str(self.root),
            "RELEASES": str(self.folder / "releases"),
            "PORT": str(self.port),
            "ROLLOUT_LEASE_SECONDS": "5",
            "ROLLOUT_READY_SECONDS": "25",
            "ROLLOUT_WATCH_SECONDS": "1",
        }
        if not self.path.exists():
            self._git("clone", "--quiet", str(REPOSITORY), str(self.path), folder=self.folder)
            for done in (REPOSITORY / ".cache/wheels").glob("*/.complete"):  # by the first `make up`
                shutil.copytree(done.parent, self.path / done.parent.relative_to(REPOSITORY))
        self.cloned = self.head

    @property
    def url(self) -> str:
        """Where the service answers."""
        return f"http://127.0.0.1:{self.port}"

    def make(
        self, target: str, *variables: str, check: bool = True, seconds: float = 600, **told: str
    ) -> "Run":
        """Run a target to its end. Raises AssertionError with its output when `check` and it failed."""
        run = self.start(target, *variables, **told)
        run.wait(seconds)
        assert not check or run.status == 0, f"make {target} {variables}: {run.output[-6000:]}"
        return run

    def start(self, target: str, *variables: str, **told: str) -> "Run":
        """Start a target in a session of its own, so that it can be killed with all that it started."""
        log = self.folder / f"make-{time.monotonic_ns()}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["make", "--no-print-directory", target, *variables],
                cwd=self.path,
                env={**self.environment, **told},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return Run(process, log)

    def run(self, *command: str) -> str:
        """Run a command in the clone. Gives what it printed."""
        done = subprocess.run(
            command, cwd=self.path, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def commit(self, *changes: Change) -> str:
        """Make the changes, commit them, and give the commit's hash."""
        for change in changes:
            change(self.path)
        self._git("add", "--all")
        names = ", ".join(getattr(change, "__name__", "a change") for change in changes)
        self._git(
            "-c", "user.name=Test", "-c", "user.email=test@example.org", "commit", "--quiet", "-m", names
        )
        return self.head

    def go_to(self, commit: str) -> None:
        """Give the clone's files the state of a commit."""
        self._git("reset", "--hard", "--quiet", commit)

    @property
    def head(self) -> str:
        """The hash of the clone's commit."""
        return self._git("rev-parse", "HEAD").strip()

    def version(self) -> dict[str, str]:
        """What the running service says of itself."""
        with urlopen(f"{self.url}/version", timeout=10) as response:
            answer: dict[str, str] = json.load(response)
        return answer

    def read(self, name: str) -> dict[str, Any]:
        """A JSON file of the environment: current, rollout or lease; empty when it is not there."""
        try:
            content: dict[str, Any] = json.loads((self.root / f"{name}.json").read_text() or "{}")
        except FileNotFoundError:
            return {}
        return content

    def history(self) -> list[dict[str, Any]]:
        """The rollouts that ended, oldest first."""
        path = self.root / "history.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def slot(self) -> str:
        """The slot that serves."""
        return str(self.read("current")["slot"])

    def running(self, process: str, slot: str = "") -> list[Process]:
        """The heads of a process's trees (web, worker, scheduler): one where all is well."""
        names = {f"{self.root}/run/{process}-{one}" for one in ([slot] if slot else ["blue", "green"])}
        found = [one for one in processes() if one.environment.get("RUN_DIR") in names]
        pids = {one.pid for one in found}
        return [one for one in found if one.parent not in pids]

    def master(self) -> Process:
        """The web process that serves; its descendants are the workers."""
        (master,) = self.running("web", self.slot())
        return master

    def told(self) -> dict[str, str]:
        """The environment that the serving web process was really given, its own places apart."""
        given = self.master().environment
        return {name: value for name, value in given.items() if name not in GIVEN}

    def require_whole(self) -> None:
        """Raises AssertionError unless one slot serves with every process, and the database is sound."""
        running = [len(self.running(process)) for process in PROCESSES]
        assert running == [1, 1, 1], f"two slots serve, or none: {running}"
        with self._database() as database:
            assert database.execute("PRAGMA integrity_check").fetchone()[0] == "ok"

    def rows(self, query: str) -> list[dict[str, Any]]:
        """What the database answers beside the service, a row by its columns' names."""
        with self._database() as database:
            return [dict(row) for row in database.execute(query)]

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        (path,) = (self.root / "data").glob("*.sqlite3")
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as connection:
            connection.row_factory = sqlite3.Row
            yield connection

    def logs(self, since: float) -> Path:
        """The folder with the processes' logs, at least those written since a time."""
        return self.root / "log"

    def web_workers(self) -> list[Process]:
        """The processes that answer requests."""
        return [one for one in tree(self.master().pid)[1:] if alive(one.pid)]

    def manager(self) -> Process:
        """The circusd that holds the sockets."""
        pid = int((self.root / "run/circus.pid").read_text())
        return next(one for one in processes() if one.pid == pid)

    def await_step(self, step: str, deploy: Run, seconds: float = 600) -> None:
        """Return as soon as the running deploy is at a step. Raises AssertionError when it passed unseen."""
        wait_until(
            lambda: self.read("rollout").get("step") == step or deploy.status is not None,
            f"step {step}",
            seconds,
            every=0.005,
        )
        assert deploy.status is None, f"the deploy ended before {step} was seen: {deploy.output[-3000:]}"

    def remove(self) -> None:
        """Stop everything, by force what does not stop by itself, and remove the folder."""
        if self.root.exists():
            self.make("down", check=False, seconds=300)
        for process in processes():
            if str(self.root) in process.environment.get("RUN_DIR", "") or process.runs(str(self.root)):
                process.kill()
        shutil.rmtree(self.folder)

    def _git(self, *arguments: str, folder: Path | None = None) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=folder or self.path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"git {arguments}: {done.stderr}"
        return done.stdout


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def wait_until(true: Callable[[], bool], what: str, seconds: float = 30, every: float = 0.05) -> None:
    """Look again and again until something is true. Raises AssertionError when it does not become so."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"waited {seconds:.0f} s in vain for {what}"
        time.sleep(every)
