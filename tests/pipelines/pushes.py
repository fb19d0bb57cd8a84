"""Pushes to try the hook with: one that goes on in the background, and one that is let go on when it is time."""

import errno
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.scripts.project import Project, wait_until


class Push:
    """A push that goes on in the background; `lines` is what its pusher has been shown so far."""

    def __init__(self, project: Project, ref: str) -> None:
        self.output = project.state / f"push-{len(list(project.state.iterdir()))}"
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                ["git", "push", "local", ref],
                cwd=project.path, env=project.environment, stderr=output, start_new_session=True,
            )  # fmt: skip

    @property
    def lines(self) -> list[str]:
        return remote_lines(self.output.read_text())

    def shows(self, text: str) -> None:
        wait_until(lambda: any(text in line for line in self.lines))

    def verdict(self) -> str:
        assert self.process.wait(timeout=30) == 0
        return self.lines[-1]

    def kill(self, number: int, command: str) -> None:
        """Send the signal to the processes of this push whose command line matches, wherever they went.

        From the top: who has lost a child would start the next one meanwhile.
        """
        for process in reversed(descendants(self.process.pid)):
            if re.search(command, command_line(process)):
                send(number, process)


def send(number: int, process: int) -> None:
    """Send a signal to a process, which may have ended meanwhile."""
    with suppress(ProcessLookupError):
        os.kill(process, number)


def command_line(process: int) -> str:
    """The words of a process's command; empty when it is gone."""
    try:
        return (Path("/proc") / str(process) / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    except (FileNotFoundError, ProcessLookupError):  # before the file was opened, or after
        return ""


def descendants(process: int) -> list[int]:
    """This process and all below it, the deepest first."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    pairs = [tuple(map(int, line.split())) for line in listed.splitlines()]
    below = [child for child, parent in pairs if parent == process]
    return [deeper for child in below for deeper in descendants(child)] + [process]


def remote_lines(text: str) -> list[str]:
    """What the hook said, without the prefix and padding that git gives it."""
    return [
        line.removeprefix("remote: ").rstrip() for line in text.splitlines() if line.startswith("remote: ")
    ]


def push(project: Project, *refs: str, **environment: str) -> list[str]:
    return remote_lines(project.run("git", "push", "local", *refs, status=0, **environment).stderr)


@contextmanager
def waiting_at(project: Project, stage: str, ref: str = "main") -> Iterator[Push]:
    """A push of the current commit that stands in this stage until `release`; it is let go at the end."""
    project.commit("waits", gate=stage)
    pushed = Push(project, ref)
    (project.path / "gate").unlink()
    wait_until(lambda: f"{stage} waits" in project.events)
    try:
        yield pushed
    finally:
        wait_until(lambda: pushed.process.poll() is not None or opened(project))
        pushed.process.wait(timeout=30)


def opened(project: Project) -> bool:
    """Let the stage that waits go on; False when none waits at this moment."""
    try:
        os.close(os.open(project.state / "pipe", os.O_WRONLY | os.O_NONBLOCK))
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return False
    return True


def release(project: Project) -> None:
    """Let the stage that waits go on; AssertionError when none comes to wait."""
    wait_until(lambda: opened(project))


def ran(project: Project, text: str) -> list[str]:
    """The stages that ran for the commit of this text."""
    return [stage for stage, _, of in (event.partition(" ") for event in project.events) if of == text]
