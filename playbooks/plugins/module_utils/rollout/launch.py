"""Starts one process of what a slot's files say; the service manager runs this file by itself.

    launch.py ROOT SLOT PROCESS PUBLIC_FD PRIVATE_FD

Sockets are handed over as systemd does (LISTEN_FDS, from descriptor 3 on), so that a service is started by the
same command on either engine: the slot's private socket, and the public one unless the slot is only being proved.
What it says goes into the slot's log without passing through the service manager, so it is kept whoever dies first.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from itertools import pairwise
from pathlib import Path

LOG_BYTES = 10_000_000


def main() -> None:
    root, slot, process = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    public, private = (int(number) for number in sys.argv[4:6])
    speak_into(root / "log" / f"{process}-{slot}.log")
    folder = root / "slots" / slot
    placed = json.loads((folder / "slot.json").read_text())
    lines = (folder / "env").read_text().splitlines()
    environment = dict(line.partition("=")[::2] for line in lines)
    run = root / "run" / f"{process}-{slot}"
    shutil.rmtree(run, ignore_errors=True)
    run.mkdir(parents=True)
    environment |= {"RUN_DIR": str(run), "READY_FILE": str(run / "ready")}
    if process == "web":
        hand_over([private] if placed["private_only"] else [public, private], environment)
    else:
        hand_over([], environment)
    os.chdir(root / "releases" / placed["version"] / "app")
    argv = placed["processes"][process]
    os.execvpe(argv[0], argv, environment)  # noqa: S606  # its own words, no shell


def speak_into(log: Path) -> None:
    """Append standard output and error to a log; one that has grown large becomes LOG.1, that LOG.2, and so on."""
    logs = [log, *(log.with_name(f"{log.name}.{number}") for number in (1, 2, 3))]
    if log.exists() and log.stat().st_size > LOG_BYTES:
        for newer, older in reversed(list(pairwise(logs))):
            if newer.exists():
                newer.replace(older)
    log.parent.mkdir(exist_ok=True)
    number = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(number, 1)
    os.dup2(number, 2)


def hand_over(sockets: list[int], environment: dict[str, str]) -> None:
    """Make `sockets` descriptors 3, 4 and so on, and close every other."""
    high = [os.dup(number) for number in sockets]
    spare = [os.dup2(number, 100 + place) for place, number in enumerate(high)]
    os.closerange(3, 100)
    for place, number in enumerate(spare):
        os.dup2(number, 3 + place, inheritable=True)
    os.closerange(100, 100 + len(spare) + 1)
    if sockets:
        environment |= {"LISTEN_FDS": str(len(sockets)), "LISTEN_PID": str(os.getpid())}


if __name__ == "__main__":
    main()
