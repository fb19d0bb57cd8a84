"""What really runs, read from /proc: processes by what they were given, their trees, CPU and connections."""

import os
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PROC = Path("/proc")
KILLED_SECONDS = 10.0


@dataclass(frozen=True)
class Process:
    """One process as it was started."""

    pid: int
    parent: int
    command: tuple[str, ...]
    environment: dict[str, str]

    def runs(self, *words: str) -> bool:
        """Whether every word stands in the command line."""
        line = " ".join(self.command)
        return all(word in line for word in words)

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal. Raises ProcessLookupError when the process is gone."""
        os.kill(self.pid, number)


def processes() -> Iterator[Process]:
    """Every living process of this user; one that ends meanwhile is left out."""
    for folder in PROC.iterdir():
        if not folder.name.isdigit():
            continue
        try:
            fields = stat(int(folder.name))
            if fields[0] == "Z":
                continue
            command = (
                folder.joinpath("cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")
            )
            pairs = folder.joinpath("environ").read_bytes().decode(errors="replace").split("\0")
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        environment = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
        yield Process(int(folder.name), int(fields[1]), tuple(command), environment)


def stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on. Raises FileNotFoundError when the process is gone."""
    return (PROC / str(pid) / "stat").read_text().rpartition(") ")[2].split()


def alive(pid: int) -> bool:
    """Whether the process exists and is more than a zombie."""
    try:
        return stat(pid)[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def tree(pid: int) -> list[Process]:
    """The process and all its descendants, itself first."""
    every = list(processes())
    found = [process for process in every if process.pid == pid]
    for process in found:  # grows while it is read
        found.extend(child for child in every if child.parent == process.pid)
    return found


def kill_tree(pid: int) -> None:
    """SIGKILL the process and all its descendants at once, and wait until they are dead.

    All are stopped before any is killed: none starts another one meanwhile, or acts upon the end of its child.
    """
    stopped: set[int] = set()
    while running := [one for one in tree(pid) if one.pid not in stopped]:
        for process in running:
            with suppress(ProcessLookupError):  # it ended by itself before it was stopped
                process.kill(signal.SIGSTOP)
        stopped |= {one.pid for one in running}
    killed = tree(pid)
    for process in killed:
        process.kill()
    end = time.monotonic() + KILLED_SECONDS
    while left := [process for process in killed if alive(process.pid)]:
        if time.monotonic() > end:
            raise TimeoutError(f"{left[0]} outlived its SIGKILL by {KILLED_SECONDS:.0f} s")
        time.sleep(0.01)


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time that these processes have used, in seconds."""
    return sum(int(ticks) for pid in pids for ticks in stat(pid)[11:13]) / TICKS


def held_ports(pids: Iterable[int]) -> set[int]:
    """The clients' ports of all connections that these processes hold, idle ones too."""
    inodes = set()
    for pid in pids:
        with suppress(FileNotFoundError, ProcessLookupError, PermissionError):  # it has just ended
            for descriptor in (PROC / str(pid) / "fd").iterdir():
                with suppress(FileNotFoundError):
                    target = os.readlink(descriptor)
                    if target.startswith("socket:["):
                        inodes.add(target[8:-1])
    rows = [line.split() for line in (PROC / "net" / "tcp").read_text().splitlines()[1:]]
    return {int(row[2].rpartition(":")[2], 16) for row in rows if row[9] in inodes and row[3] != "0A"}
