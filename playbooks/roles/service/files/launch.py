"""Starts one process of what a slot's files say, and tells systemd when it is ready.

    launch.py ROOT SLOT PROCESS

systemd runs this file by itself, as the service's user (NAME-PROCESS@SLOT.service, Type=notify). The process gets its
sockets from descriptor 3 on (LISTEN_FDS): the public one, unless the slot is only being proved, and its slot's own.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

WEB = "web"
ASK_EVERY_SECONDS = 0.1
UP_SECONDS = 2.0  # how long a process without a ready file has to stay up
# What systemd adds to the settings of the slot; the process is given those and nothing else.
ADDED = {
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "LISTEN_FDNAMES",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_PIDFDID",
    "LOGNAME",
}
ADDED |= {
    "MANAGERPID",
    "MEMORY_PRESSURE_WATCH",
    "MEMORY_PRESSURE_WRITE",
    "NOTIFY_SOCKET",
    "RUNTIME_DIRECTORY",
    "SHELL",
}
ADDED |= {"SYSTEMD_EXEC_PID", "USER"}


def main() -> None:
    root, slot, process = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    placed = json.loads((root / "slots" / slot / "slot.json").read_text())
    release = root / "releases" / placed["version"]
    service = yaml.safe_load((release / "service.yml").read_text())
    run = Path(os.environ["RUNTIME_DIRECTORY"])
    ready = readiness(service, process, run)
    environment = {key: value for key, value in os.environ.items() if key not in ADDED}
    environment |= {"RUN_DIR": str(run), "READY_FILE": str(run / "ready")}
    names = os.environ.get("LISTEN_FDNAMES", "").split(":") if process == WEB else []
    given = {name: number for number, name in enumerate(names, 3)}
    sockets = [given[name] for name in ("public", "private") if name in given]
    if placed["private_only"]:
        sockets = [number for number in sockets if number != given["public"]]
    watch(ready, os.environ["NOTIFY_SOCKET"])
    hand_over(sockets, environment)
    os.chdir(release / "app")
    argv = placed["processes"][process]
    os.execvpe(argv[0], argv, environment)  # noqa: S606  # its own words, no shell


def readiness(service: dict[str, Any], process: str, run: Path) -> Callable[[], str]:
    """A question to ask until its answer is empty; anything else says what is still missing."""
    if process == WEB:
        health, private = service["health"], run.parent / f"{run.name.removeprefix(WEB + '-')}.sock"
        return lambda: asked(private, health["ready"], health.get("host", "localhost"))
    if service["processes"][process].get("ready_file"):
        return lambda: "" if (run / "ready").exists() else f"{run}/ready is not there yet"
    end = time.monotonic() + UP_SECONDS
    return lambda: "" if time.monotonic() > end else "it has just begun"


def asked(private: Path, path: str, host: str) -> str:
    """GET a path over a Unix socket: empty when the answer is 200."""
    connection = http.client.HTTPConnection(host)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(5)
    try:
        connection.sock.connect(str(private))
        connection.request("GET", path, headers={"Connection": "close", "User-Agent": "launch"})
        status = connection.getresponse().status
        return "" if status == http.client.OK else f"{path} answered {status}"
    except (OSError, http.client.HTTPException) as error:
        return f"{path} answered nothing ({error})"
    finally:
        connection.close()


def watch(ready: Callable[[], str], manager: str) -> None:
    """Leave a child of systemd's behind that tells it when the process is ready; and ends with the unit."""
    if middle := os.fork():
        os.waitpid(middle, 0)
        return
    if os.fork():  # an orphan is systemd's to reap: not every process reaps children that it did not start
        os._exit(0)
    os.closerange(3, 100)
    said = ""
    while missing := ready():
        if missing != said:
            tell(manager, f"STATUS={missing}")
            said = missing
        time.sleep(ASK_EVERY_SECONDS)
    tell(manager, "READY=1\nSTATUS=ready")
    os._exit(0)


def tell(manager: str, words: str) -> None:
    """Speak sd_notify's protocol."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.connect(manager.replace("@", "\0", 1) if manager.startswith("@") else manager)
        channel.send(words.encode())


def hand_over(sockets: list[int], environment: dict[str, str]) -> None:
    """Make `sockets` descriptors 3, 4 and so on, and close every other."""
    kept = [os.dup2(number, 100 + place) for place, number in enumerate(sockets)]
    os.closerange(3, 100)
    for place, number in enumerate(kept):
        os.dup2(number, 3 + place, inheritable=True)
    os.closerange(100, 100 + len(kept))
    if sockets:
        environment |= {"LISTEN_FDS": str(len(sockets)), "LISTEN_PID": str(os.getpid())}


if __name__ == "__main__":
    main()
