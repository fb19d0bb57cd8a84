"""Real Debian 13 servers for the tests: any inventory, given by HOSTS_INVENTORY, with its first hosts put in the places
of a shipped example's hosts.
"""

from __future__ import annotations

import base64
import fcntl
import functools
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests import parts

REPOSITORY = Path(__file__).parents[2]
REACHED_BY = (
    "ansible_host",
    "ansible_port",
    "ansible_user",
    "ansible_ssh_private_key_file",
    "ansible_ssh_common_args",
)

_held: list[None] = []


class Machines:
    """The hosts of a shipped inventory, each being one of the machines that are really there.

    :param example: the shipped inventory.
    :param folder: where the inventory that says how each is reached is written.
    """

    def __init__(self, example: Path, folder: Path) -> None:
        machines = _given()
        groups = {name: list(group["hosts"]) for name, group in _listed(example).items() if "hosts" in group}
        wanted = list(
            dict.fromkeys(host for name in ("proxy", "database", "cache", "fleet") for host in groups[name])
        )
        if len(machines) < len(wanted):
            parts.absent("hosts", f"{len(wanted)} are needed, the inventory has {len(machines)}")
        self.groups = groups
        self._reached = dict(zip(wanted, machines, strict=False))
        self.inventory = folder / "machines.yml"
        self._control = folder / "ssh"
        self._of_all: dict[str, Any] = {}
        self._of_host: dict[str, dict[str, Any]] = {}
        self.tell({})

    def tell(self, variables: dict[str, Any], host: str = "") -> None:
        """Write the inventory, with what it tells all hosts or one, too; None takes back what was told."""
        told = self._of_host.setdefault(host, {}) if host else self._of_all
        told.update(variables)
        for name in [name for name, value in told.items() if value is None]:
            del told[name]
        hosts = {name: reached | self._of_host.get(name, {}) for name, reached in self._reached.items()}
        self.inventory.write_text(yaml.safe_dump({"all": {"hosts": hosts, "vars": self._of_all}}))

    @property
    def hosts(self) -> list[str]:
        """All, by their names in the example."""
        return list(self._reached)

    def address(self, host: str) -> str:
        """Where the host is reached."""
        return str(self._reached[host]["ansible_host"])

    def sh(self, host: str, script: str, *, check: bool = True) -> str:
        """Run a script on a host as root. Gives what it printed; AssertionError when it failed and `check`."""
        told = self._reached[host]
        command = ["ssh", "-q", "-i", told["ansible_ssh_private_key_file"], "-o", "BatchMode=yes"]
        command += [
            "-o",
            "ControlMaster=auto",
            "-o",
            "ControlPersist=30",
            "-o",
            f"ControlPath={self._control}-%h",
        ]
        command += ["-o", "ConnectTimeout=5", "-o", "ServerAliveInterval=2", "-o", "ServerAliveCountMax=2"]
        command += shlex.split(told.get("ansible_ssh_common_args", ""))
        done = subprocess.run(
            [*command, f"{told['ansible_user']}@{told['ansible_host']}", f"sudo sh -euc {shlex.quote(script)}"],
            capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert not check or done.returncode == 0, f"{host}: {script}: {done.stdout}{done.stderr}"
        return done.stdout

    def write(self, host: str, path: str, text: str) -> None:
        """Write a file on a host as root."""
        encoded = base64.b64encode(text.encode()).decode()
        self.sh(host, f"echo {encoded} | base64 -d >{shlex.quote(path)}")

    @staticmethod
    @contextmanager
    def alone() -> Iterator[None]:
        """Have them to oneself, this process as often as it likes: others wait."""
        with ExitStack() as held:
            if not _held:
                file = held.enter_context(
                    (Path(tempfile.gettempdir()) / f"machines-{os.getuid()}.lock").open("w")
                )
                fcntl.flock(file, fcntl.LOCK_EX)
            _held.append(None)
            held.callback(_held.pop)
            yield

    def cut_off(self, host: str, seconds: float) -> None:
        """Have a host's packets vanish half a second from now, as after a power cut: nothing is refused or closed.

        After `seconds` it comes back by itself.
        """
        self.write(host, "/run/gone.nft", GONE)
        later = "systemd-run -q --timer-property=AccuracySec=50ms --on-active="
        self.sh(host, f"{later}{seconds + 0.5} nft delete table inet gone; {later}0.5 nft -f /run/gone.nft")

    def await_return(self, host: str, seconds: float = 120) -> None:
        """Return when a host answers again."""
        end = time.monotonic() + seconds
        while self.sh(host, "echo here", check=False) != "here\n":
            assert time.monotonic() < end, f"{host} did not come back in {seconds:.0f} s"


GONE = """table inet gone {
  chain in { type filter hook input priority -300; policy drop; iif lo accept; }
  chain out { type filter hook output priority -300; policy drop; oif lo accept; }
}
"""


@functools.cache
def _given() -> list[dict[str, Any]]:
    """How each machine is reached."""
    named = os.environ.get("HOSTS_INVENTORY", "")
    if not named:
        parts.absent("hosts", "HOSTS_INVENTORY names none")
    listed = _listed(Path(named))["_meta"]["hostvars"]
    return [{key: facts[key] for key in REACHED_BY if key in facts} for facts in listed.values()]


def _listed(inventory: Path) -> dict[str, Any]:
    program = Path(sys.executable).with_name("ansible-inventory")
    done = subprocess.run(
        [program, "-i", inventory, "--list"], capture_output=True, text=True, check=True, cwd=REPOSITORY
    )
    return dict(json.loads(done.stdout))
