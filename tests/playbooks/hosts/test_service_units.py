"""The units of a service: a socket that outlives two slots, readiness that is true, and a sandbox. With a service of
the tests' own beside whatever else runs there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.playbooks.hosts.conftest import Site
from tests.playbooks.hosts.scratch import until

pytestmark = pytest.mark.verify
NAME, PORT, ROOT = "tiny", 8877, "/srv/tiny"
SERVICE = """
processes: {web: {command: x}, worker: {command: x, ready_file: true}, scheduler: {command: x}}
health: {ready: /ready}
"""
COMMANDS = {
    "web": ["python3", "tiny.py"],
    "worker": ["sh", "-c", "sleep 1; touch $READY_FILE; exec sleep infinity"],
    "scheduler": ["sleep", "infinity"],
}
PLAY = """
- hosts: host2
  become: true
  roles: [service]
"""
# Four clients that never try again, each with a connection a request; prints what they got, and the slowest seconds.
LOAD = f"""
import collections, http.client, json, sys, threading, time
end, got, slowest = time.time() + float(sys.argv[2]), collections.Counter(), [0]
def client():
    while time.time() < end:
        begin = time.time()
        try:
            connection = http.client.HTTPConnection(sys.argv[1], {PORT}, timeout=20)
            connection.request("GET", "/")
            got[connection.getresponse().read().decode()] += 1
        except OSError as error:
            got[repr(error)] += 1
        slowest[0] = max(slowest[0], time.time() - begin)
        time.sleep(0.02)
threads = [threading.Thread(target=client) for _ in range(4)]
[each.start() for each in threads]
[each.join() for each in threads]
print(json.dumps([dict(got), slowest[0]]))
"""


class Units:
    """The tiny service on one host."""

    def __init__(self, site: Site) -> None:
        self.site, self.host = site, site.first

    def sh(self, script: str, *, check: bool = True) -> str:
        return self.site.sh(self.host, script, check=check)

    def set_up(self, port: int = PORT) -> int:
        """Run the role. Gives how much it changed."""
        facts = {"name": NAME, "port": port, "processes": COMMANDS, "health": {"ready": "/ready"}}
        done = self.site.tasks(PLAY, rollout_facts=facts, rollout_port=port, rollout_root=ROOT)
        assert done.status == 0, done.output
        return done.changed[self.host]

    def put(self, slot: str, version: str, *, private_only: bool = False) -> None:
        """Say what a slot runs, as a rollout does."""
        placed = {"version": version, "private_only": private_only, "processes": COMMANDS}
        env = f"RELEASE_VERSION={version}\nHOME={ROOT}/data\nPATH=/usr/bin:/bin\n"
        release = f"{ROOT}/releases/{version}"
        self.sh(f"mkdir -p {release}/app {ROOT}/slots/{slot}; cp /run/tiny.py {release}/app/")
        self.site.machines.write(self.host, f"{release}/service.yml", SERVICE)
        self.site.machines.write(self.host, f"{ROOT}/slots/{slot}/slot.json", json.dumps(placed))
        self.site.machines.write(self.host, f"{ROOT}/slots/{slot}/env", env)
        self.sh(f"chmod 600 {ROOT}/slots/{slot}/env")

    def ctl(self, what: str, slot: str, *processes: str) -> None:
        units = " ".join(f"{NAME}-{process}@{slot}" for process in processes or COMMANDS)
        self.sh(f"systemctl {what} {units} 2>&1")

    def listens(self, port: int) -> bool:
        return f":{port} " in self.sh(f"ss -Hltn 'sport = {port}'")

    def clear(self) -> None:
        """No slot runs, none is recorded."""
        self.sh(f"rm -f {ROOT}/current.json; systemctl stop '{NAME}-*@*.service' 2>/dev/null; true")

    def load(self, seconds: float) -> None:
        self.site.machines.write(self.host, "/run/load.py", LOAD)
        address = self.site.machines.address(self.host)
        self.sh(
            "rm -f /run/load.json; systemd-run -q --unit=load --collect "
            f"sh -c 'python3 /run/load.py {address} {seconds} >/run/load.json'"
        )

    def loaded(self) -> tuple[dict[str, int], float]:
        """What the clients got, and the slowest of all, once they have ended."""
        self.sh("while systemctl is-active -q load; do sleep 0.2; done")
        got, slowest = json.loads(self.sh("cat /run/load.json"))
        return got, slowest

    def active(self, unit: str) -> str:
        # Its exit status says no more than the word.
        return self.sh(f"systemctl is-active {unit}", check=False).strip()


@pytest.fixture(scope="module")
def prepared(site: Site) -> Iterator[Units]:
    units = Units(site)
    units.set_up()
    assert units.set_up() == 0
    site.machines.write(site.first, "/run/tiny.py", Path(__file__).with_name("tiny.py").read_text())
    yield units
    units.clear()
    units.sh(
        f"systemctl disable --now {NAME}.socket {NAME}.service 2>/dev/null; systemctl stop {NAME}@blue.socket "
        f"{NAME}@green.socket; rm -rf {ROOT} /etc/systemd/system/{NAME}[.@-]* /usr/local/lib/{NAME}; "
        f"systemctl daemon-reload; userdel {NAME}"
    )


@pytest.fixture
def units(prepared: Units) -> Units:
    prepared.clear()
    return prepared


def test_green_takes_over_from_blue_and_nothing_is_lost(units: Units) -> None:
    units.put("blue", "one")
    units.ctl("start", "blue")
    units.load(9)
    units.put("green", "two")
    units.ctl("start", "green")  # answers when each of them is ready
    units.ctl("stop", "blue")
    units.ctl("restart", "green", "web")  # meanwhile requests wait in the socket's queue
    got, _ = units.loaded()
    assert got.keys() == {"one", "two"}, got
    assert min(got.values()) > 50


def test_another_port_is_listened_at_in_the_place_of_the_first(units: Units) -> None:
    units.put("blue", "one")
    units.ctl("start", "blue", "web")
    try:
        units.set_up(PORT + 1)
        assert (units.listens(PORT), units.listens(PORT + 1)) == (False, True)
    finally:
        units.set_up()
    assert (units.listens(PORT), units.listens(PORT + 1)) == (True, False)


def test_a_slot_that_is_proved_answers_on_its_own_socket_alone(units: Units) -> None:
    units.put("blue", "one")
    units.ctl("start", "blue", "web")
    units.put("green", "two", private_only=True)
    units.ctl("start", "green", "web")
    units.load(2)
    assert units.loaded()[0].keys() == {"one"}
    asked = f'import socket; s = socket.socket(1); s.connect("/run/{NAME}/green.sock"); s.send(b"GET / HTTP/1.0\\n\\n")'
    assert units.sh(f"python3 -c '{asked}; print(s.makefile().read().split()[-1])'") == "two\n"


def test_a_release_that_cannot_start_never_closes_the_port(units: Units) -> None:
    units.put("blue", "one")
    units.ctl("start", "blue", "web")
    units.load(12)
    units.put("green", "broken")
    units.sh(f"systemctl start --no-block {NAME}-web@green")
    tried = f"systemctl show --value -p NRestarts {NAME}-web@green"
    until(lambda: int(units.sh(tried)) >= 5, 30)
    units.ctl("stop", "green", "web")
    assert units.loaded()[0].keys() == {"one"}
    assert units.active(f"{NAME}.socket") == "active"


def test_requests_wait_for_the_first_release_however_many_come(units: Units) -> None:
    """Without one, systemd is asked in vain again and again: neither limit of it may close the port."""
    units.load(14)
    units.sh("sleep 8")
    assert units.active(f"{NAME}.socket") == "active"
    said = units.sh(f"journalctl --quiet --output=cat --unit={NAME}.service --since=-8s")
    assert 2 <= said.count("no release serves") <= 5, (
        "every two seconds, or a server without a release is busy with being asked"
    )
    units.put("blue", "one")
    units.ctl("start", "blue", "web")
    got, slowest = units.loaded()
    assert got.keys() == {"one"}, got
    assert slowest > 6


def test_a_boot_and_a_request_start_the_slot_that_is_recorded(units: Units) -> None:
    units.put("green", "two")
    units.sh(f"systemctl start {NAME}.service")
    assert units.active(f"{NAME}-web@green") == "inactive"
    units.site.machines.write(
        units.host, f"{ROOT}/current.json", json.dumps({"version": "two", "slot": "green"})
    )
    assert units.sh(f"systemctl is-enabled {NAME}.service {NAME}.socket").split() == ["enabled", "enabled"]
    units.load(8)
    assert units.loaded()[0].keys() == {"two"}
    for process in COMMANDS:
        assert units.active(f"{NAME}-{process}@green") == "active"


def test_ready_means_ready(units: Units) -> None:
    units.put("blue", "one")
    took = units.sh(
        f"for each in web worker scheduler; do begin=$(date +%s%N); systemctl start {NAME}-$each@blue; "
        "echo $(( ($(date +%s%N) - begin) / 1000000 )); done"
    )
    web, worker, scheduler = (int(each) for each in took.split())
    assert web >= 1000  # it sleeps for a second before it listens
    assert worker >= 1000  # and this one before it touches its ready file
    assert scheduler >= 2000  # without one it has to stay up
    units.sh(f"systemctl kill -s KILL {NAME}-worker@blue")
    assert units.active(f"{NAME}-worker@blue") != "active"  # until it is ready again
    units.sh(f"while ! systemctl is-active -q {NAME}-worker@blue; do sleep 0.1; done")


def test_a_process_is_told_the_settings_of_its_slot_and_nothing_else(units: Units) -> None:
    units.put("blue", "one")
    units.ctl("start", "blue", "web")
    told = "LANG HOME LISTEN_FDS LISTEN_PID PATH READY_FILE RELEASE_VERSION RUN_DIR"
    assert units.sh(f"cat {ROOT}/data/environment").split() == sorted(told.split())


def test_what_a_process_says_is_in_the_journal_under_its_name(units: Units) -> None:
    units.put("blue", "broken")
    units.sh(f"systemctl start --no-block {NAME}-web@blue; sleep 2; systemctl stop {NAME}-web@blue")
    assert "it was built to fail" in units.sh(f"journalctl -q -o cat -t {NAME}-web --since=-5s")


@pytest.mark.parametrize("process", list(COMMANDS))
def test_the_sandbox_scores_below_two(units: Units, process: str) -> None:
    said = units.sh(f"systemd-analyze security --no-pager {NAME}-{process}@blue.service | tail -n 1")
    score = re.search(r"exposure level for .*: ([0-9.]+) ", said)
    assert score
    assert float(score[1]) < 2.0


def test_the_sandbox_holds(units: Units) -> None:
    """What the score only promises: the data can be written, nothing else; the network is there."""
    store = units.site.machines.address(units.site.store)
    tries = {
        "data": "touch $HOME/here",
        "scratch": "touch $RUN_DIR/here",
        "release": "touch $PWD/here",
        "settings": "cat ../../../slots/blue/env",
        "system": "touch /etc/here /usr/here",
        "homes": "ls /home/admin",
        "become": "sudo -n true",
        "neighbours": "cat /proc/1/environ",
        "database": f"python3 -c 'import socket; socket.create_connection((\"{store}\", 5432), 3)'",
        "broker": f"python3 -c 'import socket; socket.create_connection((\"{store}\", 6379), 3)'",
    }
    script = "; ".join(f"({words}) 2>/dev/null && echo {name}" for name, words in tries.items())
    units.put("blue", "one")
    # The sleep is the process that stays up: nothing waits for its end.
    placed = {
        "version": "one",
        "private_only": False,
        "processes": COMMANDS | {"scheduler": ["sh", "-c", f"{script}; sleep 60"]},
    }
    units.site.machines.write(units.host, f"{ROOT}/slots/blue/slot.json", json.dumps(placed))
    units.ctl("start", "blue", "scheduler")
    said = units.sh(f"journalctl -q -o cat -t {NAME}-scheduler --since=-4s")
    assert [line for line in said.split() if line in tries] == ["data", "scratch", "database", "broker"]
