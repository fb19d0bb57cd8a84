"""A process of a slot starts as systemd would start it: its sockets from descriptor 3 on, and nothing else open."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rollout import launch

SHOW = """
import json, os, socket, stat, sys
def name(number):
    try:
        return socket.socket(fileno=os.dup(number)).getsockname() if stat.S_ISSOCK(os.fstat(number).st_mode) else ""
    except OSError:
        return None
json.dump({"open": {n: name(n) for n in range(3, 130) if name(n) is not None}, "pid": os.getpid(),
    "environment": dict(os.environ), "folder": os.getcwd(), "arguments": sys.argv[1:]}, sys.stdout)
sys.stdout.flush()
print("a complaint", file=sys.stderr)
"""


@dataclass
class Slot:
    """A slot's folder, and sockets as circus would hold them."""

    root: Path
    public: socket.socket
    private: socket.socket

    def launch(self, process: str, *, private_only: bool = False) -> dict[str, Any]:
        """Launch a process that says what it was given."""
        (self.root / "slots/blue/slot.json").write_text(
            json.dumps(
                {
                    "version": "1",
                    "private_only": private_only,
                    "processes": {name: [sys.executable, "-c", SHOW, name] for name in ("web", "worker")},
                }
            )
        )
        fds = [self.public.fileno(), self.private.fileno()] if process == "web" else [0, 0]
        spare = os.open(os.devnull, os.O_RDONLY)  # a descriptor that the process must not inherit
        done = subprocess.run(
            [sys.executable, launch.__file__, self.root, "blue", process, *map(str, fds)],
            pass_fds=(*fds, spare),
            env={"LEFT_OVER": "of the service manager"},
            capture_output=True,
            text=True,
            check=True,
        )
        os.close(spare)
        assert done.stdout + done.stderr == "", "the service manager has nothing to pass on"
        log = (self.root / f"log/{process}-blue.log").read_text()
        said, _, rest = log[log.index("{") :].rpartition("}")
        assert rest == "a complaint\n", "standard error goes into the process's own log"
        shown: dict[str, Any] = json.loads(said + "}")
        return shown


@pytest.fixture
def slot(tmp_path: Path) -> Iterator[Slot]:
    (tmp_path / "slots/blue").mkdir(parents=True)
    (tmp_path / "releases/1/app").mkdir(parents=True)
    (tmp_path / "slots/blue/env").write_text("KEY=a=b c\nEMPTY=\n")
    with (
        closing(socket.create_server(("127.0.0.1", 0))) as public,
        closing(socket.socket(socket.AF_UNIX)) as private,
    ):
        private.bind(str(tmp_path / "blue.sock"))
        yield Slot(tmp_path, public, private)


def test_the_web_gets_the_public_socket_first_and_then_its_private_one(slot: Slot) -> None:
    shown = slot.launch("web")
    assert shown["open"] == {"3": list(slot.public.getsockname()), "4": str(slot.root / "blue.sock")}
    assert shown["environment"]["LISTEN_FDS"] == "2"
    assert shown["environment"]["LISTEN_PID"] == str(shown["pid"])


def test_a_release_that_is_only_proved_cannot_reach_the_public_socket(slot: Slot) -> None:
    shown = slot.launch("web", private_only=True)
    assert shown["open"] == {"3": str(slot.root / "blue.sock")}
    assert shown["environment"]["LISTEN_FDS"] == "1"


def test_a_worker_gets_no_socket(slot: Slot) -> None:
    shown = slot.launch("worker")
    assert shown["open"] == {}
    assert not {"LISTEN_FDS", "LISTEN_PID"} & shown["environment"].keys()
    assert shown["arguments"] == ["worker"]


def test_a_process_is_told_what_stands_in_its_slot_and_nothing_more(slot: Slot) -> None:
    shown = slot.launch("worker")
    told = shown["environment"]
    assert (told.pop("KEY"), told.pop("EMPTY")) == ("a=b c", "")
    assert told.pop("RUN_DIR") == f"{slot.root}/run/worker-blue"
    assert told.pop("READY_FILE") == f"{slot.root}/run/worker-blue/ready"
    assert set(told) <= {"LC_CTYPE"}, "Python sets this one itself"
    assert shown["folder"] == f"{slot.root}/releases/1/app"


def test_a_ready_file_of_another_time_is_gone_before_the_process_starts(slot: Slot) -> None:
    stale = slot.root / "run/worker-blue/ready"
    stale.parent.mkdir(parents=True)
    stale.touch()
    slot.launch("worker")
    assert list(stale.parent.iterdir()) == []


def test_a_log_is_added_to_and_one_that_has_grown_large_is_put_aside(slot: Slot) -> None:
    log = slot.root / "log/worker-blue.log"
    log.parent.mkdir()
    log.write_text("earlier\n")
    slot.launch("worker")
    assert log.read_text().startswith("earlier\n{")
    for text in ("first", "second", "third", "fourth"):
        log.write_text(text * launch.LOG_BYTES)
        slot.launch("worker")
        assert log.stat().st_size < launch.LOG_BYTES
    kept = {path.name: path.read_text()[:3] for path in log.parent.iterdir() if path != log}
    assert kept == {f"worker-blue.log.{number}": text for number, text in enumerate(("fou", "thi", "sec"), 1)}
