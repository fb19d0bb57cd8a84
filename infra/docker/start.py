"""The image's entry point: becomes a process of the service file, or does a small thing beside one.

    start.py start PROCESS [...]   take the process's place; `web` is handed its socket as systemd does (LISTEN_FDS)
    start.py healthy               status 0 when the process of this container is well
    start.py ask PATH...           what this container's web answers, as JSON: [[path, status, body, seconds], ...]
    start.py static share          copy this release's static files to $STATIC_SHARED
    start.py static names          those that are in $STATIC_SHARED
    start.py static give | take    from standard input to standard output, across containers: give reads `names`
    start.py collect FILE COMMAND  run the service's `static` command with the settings of FILE (for the build)
    start.py COMMAND...            anything else takes this process's place

Standard library alone: it runs before and beside the release.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import io
import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

MARK = "process"
MANIFEST = "staticfiles.json"
SECRETS = Path("/run/secrets")


def facts() -> dict[str, Any]:
    """The service file."""
    return json.loads(Path(__file__).with_name("start.json").read_text())  # type: ignore[no-any-return]


def start(process: str, *more: str) -> None:
    """Become a process, with more words for its command, in an empty RUN_DIR."""
    run = Path(os.environ["RUN_DIR"])
    for rest in run.iterdir():
        shutil.rmtree(rest) if rest.is_dir() else rest.unlink()
    (run / MARK).write_text(process)
    if process == "web":
        listener = socket.create_server(("", facts()["port"]), backlog=1024, reuse_port=False)
        if listener.fileno() != 3:
            os.dup2(listener.fileno(), 3)
        os.set_inheritable(3, True)
        os.environ |= {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}
    argv = shlex.split(facts()["processes"][process]["command"])
    os.execvp(argv[0], [*argv, *more])  # noqa: S606 - the service file's own words


def healthy() -> int:
    """0 when the process is ready: its web answers, or its file is there; others have only to run."""
    process = (Path(os.environ["RUN_DIR"]) / MARK).read_text()
    if process == "web":
        return int(asked(facts()["health"]["ready"])[1] != 200)
    if facts()["processes"][process].get("ready_file"):
        return int(not Path(os.environ["READY_FILE"]).exists())
    return 0


def asked(path: str) -> tuple[str, int, str, float]:
    """What the web of this container answers: path, status (0: nothing), body, seconds."""
    begin = time.monotonic()
    host = facts()["health"].get("host", "localhost")
    connection = http.client.HTTPConnection("127.0.0.1", facts()["port"], timeout=5)
    try:
        connection.request(
            "GET", path, headers={"Host": host, "Connection": "close", "User-Agent": "rollout"}
        )
        response = connection.getresponse()
        body = response.read().decode(errors="replace")[:2000]
        return path, response.status, body, time.monotonic() - begin
    except (OSError, http.client.HTTPException) as error:
        return path, 0, f"nothing ({error})", time.monotonic() - begin
    finally:
        connection.close()


def static(what: str) -> None:
    """Hashed static files, of this release and of its neighbours: a page of one asks the other for its files."""
    own, shared = Path(os.environ["STATIC_ROOT"]), Path(os.environ["STATIC_SHARED"])
    if what == "share":
        for name in names(own) - {MANIFEST}:
            (shared / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(own / name, shared / name)
    elif what == "names":
        print("\n".join(sorted(names(shared))))
    elif what == "give":
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            for name in sorted(names(own) - set(received().decode().splitlines()) - {MANIFEST}):
                archive.add(own / name, name)
        print(base64.b64encode(packed.getvalue()).decode())
    else:
        with tarfile.open(fileobj=io.BytesIO(base64.b64decode(received())), mode="r:gz") as archive:
            archive.extractall(shared, filter="data")


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def received() -> bytes:
    """Standard input: a line with the number of bytes that follow. Its end cannot be told to a container."""
    size = int(sys.stdin.buffer.readline())
    return sys.stdin.buffer.read(size)


def collect(file: str, command: str) -> None:
    """Collect the static files of the release that is being built."""
    lines = [line for line in Path(file).read_text().splitlines() if line and not line.startswith("#")]
    told = dict(line.partition("=")[::2] for line in lines)
    scratch = Path("/tmp/collect")  # noqa: S108 - of the build's own container
    scratch.mkdir()
    told |= {"STATIC_ROOT": "/srv/static", "PATH": f"/srv/venv/bin:{os.environ['PATH']}", "LANG": "C.UTF-8"}
    told |= {key: str(scratch) for key in ("DATA_DIR", "RUN_DIR", "STATIC_SHARED", "HOME")}
    done = subprocess.run(["/bin/sh", "-c", command], cwd="/srv/app", env=told, check=False)
    if done.returncode:
        sys.exit(done.returncode)  # it has said why


def read_secrets() -> None:
    """Secrets that are given as files, named as the variables that they become."""
    for file in SECRETS.glob("[A-Z]*"):
        try:
            os.environ[file.name] = file.read_text().rstrip("\n")
        except ValueError:
            raise OSError(f"{file} is no text") from None


def fault(arguments: Sequence[str]) -> str:
    """What is wrong with these words, with what can be started; "" when they can be followed."""
    command, process = [*arguments, "", ""][:2]
    if command and (command != "start" or process in facts()["processes"]):
        return ""
    what = f"there is no process {process}" if process else "no process is named"
    return f"{what}; start one of {', '.join(facts()['processes'])}"


def main(arguments: Sequence[str]) -> int:
    if wrong := fault(arguments):
        print(f"error: {wrong}", file=sys.stderr)
        return 2
    command, *rest = arguments
    read_secrets()
    if command == "start":
        start(*rest)
    elif command == "healthy":
        return healthy()
    elif command == "ask":
        print(json.dumps([asked(path) for path in rest]))
    elif command == "static":
        static(*rest)
    elif command == "collect":
        collect(*rest)
    else:
        with contextlib.suppress(FileNotFoundError):
            os.execvp(command, [command, *rest])  # noqa: S606 - what the container was told
        print(f"error: there is no command {command}; see the top of {__file__}", file=sys.stderr)
        return 127
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except OSError as error:  # a secret or a scratch folder that cannot be read
        sys.exit(f"error: {error}")
