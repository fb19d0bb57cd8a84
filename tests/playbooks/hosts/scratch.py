"""Single roles against real hosts, for a service of the tests' own that stands beside any other.

TEST_INVENTORY names an inventory with the groups proxy, database, cache and fleet (two hosts or more).
"""

from __future__ import annotations

import base64
import functools
import json
import os
import shlex
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import testinfra

from tests import parts

ROOT = Path(__file__).parents[3]
VENV = Path(os.environ.get("VENV", ROOT / ".venv")).absolute()
NAME, PORT = "answering", 8765
FACTS = {"name": NAME, "port": PORT, "health": {"ready": "/readyz"}}
FOLDER = f"/var/lib/{NAME}"
UNIT = f"""[Unit]
Description=A web host of the tests
[Service]
ExecStart=/usr/bin/python3 /usr/local/lib/{NAME}.py {{name}} {PORT} {FOLDER} {{peers}}
StateDirectory={NAME}
[Install]
WantedBy=multi-user.target
"""
PLAY = """
- hosts: "{{ host_group }}"
  become: true
  tasks:
    - include_role: {name: "{{ item }}"}
      loop: "{{ host_roles }}"
"""


@dataclass(frozen=True)
class Done:
    """How a playbook ended."""

    status: int
    output: str
    changed: dict[str, int]


@functools.cache
def inventory() -> Path:
    """The inventory, or skip the test."""
    named = os.environ.get("TEST_INVENTORY", "")
    if not named:
        parts.absent("hosts", "TEST_INVENTORY is not set")
    return Path(named).absolute()


@functools.cache
def listed() -> dict[str, Any]:
    listing = subprocess.run(
        [VENV / "bin" / "ansible-inventory", "-i", inventory(), "--list"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return json.loads(listing.stdout)  # type: ignore[no-any-return]


def names(group: str) -> list[str]:
    return list(listed()[group]["hosts"])


def address(name: str) -> str:
    return str(listed()["_meta"]["hostvars"][name]["ansible_host"])


@functools.cache
def host(name: str) -> Any:
    """A host as testinfra sees it, as root."""
    told = listed()["_meta"]["hostvars"][name]
    return testinfra.get_host(
        f"ssh://{told['ansible_user']}@{told['ansible_host']}",
        sudo=True,
        ssh_identity_file=told["ansible_ssh_private_key_file"],
        ssh_extra_args=told.get("ansible_ssh_common_args", ""),
    )


def sh(name: str, script: str) -> str:
    """Run a script on a host as root; its output."""
    return str(host(name).check_output("sh -euc %s", script))


def put(name: str, path: str, text: str) -> None:
    encoded = base64.b64encode(text.encode()).decode()
    sh(name, f"echo {encoded} | base64 -d >{shlex.quote(path)}")


def run(playbook: Path, told: Mapping[str, Any], *options: str) -> Done:
    """Run a playbook with variables of ours."""
    done = subprocess.run(
        [
            VENV / "bin" / "ansible-playbook", "-i", inventory(), playbook,
            "-e", json.dumps({"rollout_environment": "staging", "rollout_facts": FACTS, "rollout_port": PORT, **told}),
            *options,
        ],
        cwd=ROOT, capture_output=True, text=True, timeout=600, check=False,
        env=os.environ | {"ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default", "ANSIBLE_NOCOLOR": "1"},
    )  # fmt: skip
    recap = done.stdout.rpartition("PLAY RECAP")[2]
    changed = {
        line.split()[0]: int(line.split("changed=")[1].split()[0])
        for line in recap.splitlines()
        if "changed=" in line
    }
    return Done(done.returncode, done.stdout + done.stderr, changed)


def roles(tmp_path: Path, group: str, given: list[str], told: Mapping[str, Any], *options: str) -> Done:
    """Apply roles to a group."""
    play = tmp_path / "play.yml"
    play.write_text(PLAY)
    return run(play, {"host_group": group, "host_roles": given, **told}, *options)


def serve() -> None:
    """Have every host of the fleet answer on the service's port."""
    program = Path(__file__).with_name("answering.py").read_text()
    for name in names("fleet"):
        peers = " ".join(address(each) for each in names("fleet") if each != name)
        put(name, f"/usr/local/lib/{NAME}.py", program)
        put(name, f"/etc/systemd/system/{NAME}.service", UNIT.format(name=name, peers=peers))
        sh(name, f"systemctl daemon-reload; systemctl enable --now {NAME}; systemctl restart {NAME}")


GONE = """table inet gone {
  chain in { type filter hook input priority -300; policy drop; iif lo accept; }
  chain out { type filter hook output priority -300; policy drop; oif lo accept; }
}
"""


def cut_off(name: str, seconds: float) -> None:
    """Have a host's packets vanish half a second from now, as after a power cut: nothing is refused or closed.

    After `seconds` it comes back by itself.
    """
    put(name, "/run/gone.nft", GONE)
    later = "systemd-run -q --timer-property=AccuracySec=50ms --on-active="
    sh(name, f"{later}{seconds + 0.5} nft delete table inet gone; {later}0.5 nft -f /run/gone.nft")


def until(holds: Callable[[], bool], seconds: float = 10) -> float:
    """Wait for a condition. Returns how long it took."""
    begin = time.monotonic()
    while not holds():
        if time.monotonic() > begin + seconds:
            raise TimeoutError(f"did not hold within {seconds} s")
        time.sleep(0.1)
    return time.monotonic() - begin
