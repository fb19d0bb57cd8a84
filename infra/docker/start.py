"""Starts one process of the service in its container, or runs one of its commands; and says whether it is well.

    start.py web|worker|...          a process of service.json, in place of this one: signals reach it
    start.py migrate|check|demo      a command of service.json
    start.py healthy                 status 0 when the process of this container is ready, else 1 and a line that says why

`web` gets a socket on port PORT as systemd hands it over (LISTEN_FDS). A file /run/secrets/NAME, for a NAME of capitals,
is the variable NAME, unless that is set.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import shlex
import shutil
import socket
import sys
from pathlib import Path
from typing import Any

SERVICE = Path("/srv/service.json")
SECRETS = Path("/run/secrets")
WEB = "web"
COMMANDS = ("migrate", "check", "demo")
BACKLOG = 2048  # gunicorn's own; connections that come before the workers wait in it
FIRST = 3  # sd_listen_fds(3)


def main() -> None:
    service = json.loads(SERVICE.read_text())
    what = sys.argv[1] if len(sys.argv) == 2 else ""
    known = [*service["processes"], *(name for name in COMMANDS if service.get(name))]
    if what == "healthy":
        if why := unready(service):
            sys.exit(why)
        return
    if what not in known:
        sys.exit(f"error: there is no {what or 'process'} here; say one of {', '.join(known)}, healthy")
    environment = secrets(SECRETS) | os.environ
    if what in COMMANDS:
        os.execve("/bin/sh", ["sh", "-c", service[what]], environment)  # noqa: S606  # written for a shell
    run = Path(environment["RUN_DIR"])
    shutil.rmtree(run, ignore_errors=True)
    run.mkdir(mode=0o700)
    (run / "process").write_text(what)
    if what == WEB:
        listen(int(environment["PORT"]))
        environment |= {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}
    argv = shlex.split(service["processes"][what]["command"])
    os.execvpe(argv[0], argv, environment)  # noqa: S606  # its own words, no shell


def secrets(folder: Path) -> dict[str, str]:
    """What the files of a folder say, each under its name, without the newline at its end."""
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    named = [path for path in files if re.fullmatch(r"[A-Z][A-Z0-9_]*", path.name)]
    return {path.name: path.read_text().removesuffix("\n") for path in named}


def listen(port: int) -> None:
    """Open the service's port as descriptor 3."""
    server = socket.create_server(("0.0.0.0", port), backlog=BACKLOG)  # noqa: S104  # its container's own network
    number = server.detach()
    if number != FIRST:
        os.dup2(number, FIRST)
        os.close(number)
    os.set_inheritable(FIRST, True)


def unready(service: dict[str, Any]) -> str:
    """Why the process of this container is not ready; nothing when it is."""
    run = Path(os.environ["RUN_DIR"])
    try:
        process = (run / "process").read_text()
    except FileNotFoundError:
        return "no process has been started here"
    if process == WEB:
        return asked(int(os.environ["PORT"]), service["health"]["ready"], service["health"]["host"])
    if service["processes"][process]["ready_file"] and not Path(os.environ["READY_FILE"]).exists():
        return f"{process} is not ready for work yet"
    return ""


def asked(port: int, path: str, host: str) -> str:
    """GET a path of this container: empty when the answer is 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path, headers={"Host": host, "Connection": "close"})
        status = connection.getresponse().status
        return "" if status == http.client.OK else f"{path} answered {status}"
    except (OSError, http.client.HTTPException) as error:
        return f"{path} answered nothing ({error})"
    finally:
        connection.close()


if __name__ == "__main__":
    main()
