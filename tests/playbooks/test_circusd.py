"""A real circusd: it is asked again while it is slow or busy, and only what it says of a process is believed."""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from shutil import copy, rmtree
from typing import Any

import pytest

from rollout import circusd, launch
from rollout.circusd import Manager, NoAnswer
from rollout.errors import RolloutError
from rollout.lease import Lease
from rollout.place import Place
from rollout.slots import Slots
from rollout.status import report
from tests.rollout.checkout import free_port, wait_until
from tests.rollout.processes import alive

WEB = """
import http.server, socket, sys
class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header("Content-Length", "0"); self.end_headers()
    address_string = lambda self: ""
class Server(http.server.ThreadingHTTPServer):
    def get_request(self):
        return self.socket.accept()[0], ("", 0)
def serve(number):
    server = Server(("", 0), Answers, bind_and_activate=False)
    server.socket = socket.socket(fileno=number)
    server.serve_forever()
import os, threading
sockets = range(3, 3 + int(os.environ["LISTEN_FDS"]))
[threading.Thread(target=serve, args=(number,)).start() for number in sockets]
"""
# The worker only has to be there until it is stopped: nothing waits for the end of its sleep.
FACTS: dict[str, Any] = {
    "name": "shop", "port": 1, "app": "src", "requirements": "r", "pythons": ["3"], "settings_module": "s",
    "processes": {"web": {"command": f"{sys.executable} web.py"}, "worker": {"command": "sleep 600"}},
    "health": {"ready": "/ready"}, "migrate": "true", "check": "true",
}  # fmt: skip


@pytest.fixture
def place() -> Iterator[Place]:
    """Release 1, which is to be rolled out; a short path, for its sockets."""
    made = Place(Path(tempfile.mkdtemp(prefix="circus-")))
    app = made.release("1") / "app"
    app.mkdir(parents=True)
    (app / "web.py").write_text(WEB)
    (made.release("1") / "service.yml").write_text(json.dumps(FACTS))
    (made.release("1") / "manifest.json").write_text('{"commit": "0"}')
    (made.release("1") / "static").mkdir()
    (made.root / "manager").mkdir()
    (made.root / "manager/bin").symlink_to(Path(sys.prefix) / "bin")
    copy(launch.__file__, made.root / "manager")
    manager = Manager(made)
    try:
        manager.start(free_port())
        yield made
    finally:
        manager.end()
        manager.end_orphans()
        rmtree(made.root)


@pytest.fixture
def engine(place: Place) -> Slots:
    """The engine of a rollout of release 1, under its lease."""
    lease = Lease(place.root)
    lease.acquire("abebe", 600)
    place.note(version="1", number=lease.number, kind="deploy", step="switch")
    place.settings_file("next").parent.mkdir()
    place.settings_file("next").touch()
    return Slots(place, lease, Manager(place, lease.act), ready_seconds=20)


@pytest.fixture
def serving(place: Place, engine: Slots) -> Slots:
    """Release 1 serves from blue, which nothing says yet."""
    engine.switch("dev")
    return engine


def says(place: Place, **current: Any) -> None:
    """Write down what serves."""
    known = {"version": "1", "slot": "blue", "since": "today", "previous": None, "settings": "d"}
    (place.root / "current.json").write_text(json.dumps(known | current))


def test_a_busy_or_refusing_manager_is_asked_again_and_never_read_as_no_process(
    place: Place, serving: Slots, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager, ask = Manager(place), Manager._call
    pid = manager.pid("blue", "worker")
    refusals = ["arbiter is already running manage_watchers command", "server error"]

    def reluctant(self: Manager, command: str, *rest: Any, **more: Any) -> dict[str, Any]:
        if command == "list" and refusals:
            return {"status": "error", "reason": refusals.pop()}
        return ask(self, command, *rest, **more)

    monkeypatch.setattr(Manager, "_call", reluctant)
    assert alive(pid)
    assert manager.pid("blue", "worker") == pid
    assert refusals == []
    assert (manager.pid("green", "worker"), manager.pid("blue", "nothing")) == (0, 0)

    monkeypatch.setattr(circusd, "ANSWER_SECONDS", 0.1)
    refusals.extend(["server error"] * 1000)
    with pytest.raises(RolloutError, match=r"refused list worker-blue: server error; look at .*circus\.log"):
        manager.pid("blue", "worker")


def test_a_manager_that_is_slow_is_not_taken_for_dead(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(circusd, "ANSWER_SECONDS", 0.2)
    manager = Manager(place)
    pid = manager._pid
    os.kill(pid, signal.SIGSTOP)
    awake = threading.Timer(1, os.kill, (pid, signal.SIGCONT))
    awake.start()
    assert manager.runs()
    awake.join()


def test_a_manager_that_never_answers_is_an_error_and_not_a_reason_to_end_what_it_serves(
    place: Place, serving: Slots, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(circusd, "ANSWER_SECONDS", 0.2)
    monkeypatch.setattr(circusd, "PATIENCE_SECONDS", 0.5)
    manager = Manager(place)
    web, pid = manager.pid("blue", "web"), manager._pid
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(NoAnswer, match=rf"\(process {pid}\) does not answer status"):
            manager.start(1)
        assert alive(web)
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_process_that_is_restarted_while_it_is_watched_is_told_with_both_numbers(
    place: Place, serving: Slots
) -> None:
    manager = Manager(place)
    before = manager.pid("blue", "worker")
    assert serving.verify(0.3).endswith(" ms"), "a process that stays is no reason"
    killer = threading.Timer(0.3, os.kill, (before, signal.SIGKILL))
    killer.start()
    with pytest.raises(RolloutError) as failed:
        serving.verify(3)
    killer.join()
    after = manager.pid("blue", "worker")
    assert str(failed.value) == (
        f"worker in slot blue dies: process {before}, then process {after} that circus started; it said nothing; "
        f"look at {place.root}/log/worker-blue.log"
    )


def test_a_slot_that_serves_unknown_to_current_is_refused_before_it_is_taken_for_idle(
    place: Place, serving: Slots
) -> None:
    port, web = Manager(place).port, Manager(place).pid("blue", "web")
    says(place)
    assert serving.possible(port) == "the service manager runs"
    (place.root / "current.json").unlink()
    for unknown in ("nothing", "green"):
        with pytest.raises(RolloutError, match=rf"blue serves, .*current\.json names {unknown}; `make down`"):
            serving.possible(port)
        says(place, slot="green")
    assert alive(web)


def test_status_says_which_slot_serves_while_a_killed_rollout_waits_to_be_undone(
    place: Place, serving: Slots
) -> None:
    """Killed after the switch: current names the slot that was drained."""
    says(place, slot="green")
    Lease(place.root, 1).release()
    lines = report(place, Manager(place))
    assert lines[0] == f"1 serves from blue on port {Manager(place).port}: ready"
    assert lines[-1] == "rollout 1 died in step switch; the next deploy undoes it"
    says(place)
    assert " since today: ready" in report(place, Manager(place))[0]
    Manager(place).stop("blue")
    assert report(place, Manager(place))[0] == "1 does not serve: no web runs; `make deploy` starts it"


def test_status_says_that_processes_outlived_their_manager(place: Place, serving: Slots) -> None:
    says(place)
    manager = Manager(place)
    os.kill(manager._pid, signal.SIGKILL)
    wait_until(lambda: not manager.runs(), "circusd to be gone")
    assert (
        report(place, Manager(place))[0]
        == "1: its service manager died, 2 processes still serve; `make up` mends it"
    )
    manager.end_orphans()
    assert report(place, Manager(place))[0] == "1 is stopped; `make up` starts it"


def test_a_manager_whose_files_were_deleted_is_found_and_ended(place: Place, serving: Slots) -> None:
    manager = Manager(place)
    pids = [manager._pid, manager.pid("blue", "web"), manager.pid("blue", "worker")]
    rmtree(place.root / "run")
    manager.end_orphans()
    assert not any(map(alive, pids))
