"""Single roles against real hosts, for a service of the tests' own that stands beside any other.

The first three hosts of HOSTS_INVENTORY stand in the places of the shipped example.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import testinfra
import yaml

from tests.parts.machines import Machines

ROOT = Path(__file__).parents[3]
EXAMPLE = "infra/inventories/staging/hosts.yml"
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
def machines() -> Machines:
    """The hosts, or skip the test."""
    return Machines(ROOT / EXAMPLE, Path(tempfile.mkdtemp(prefix="machines-")))


def names(group: str) -> list[str]:
    return machines().groups[group]


def address(name: str) -> str:
    return machines().address(name)


def sh(name: str, script: str) -> str:
    """Run a script on a host as root; its output."""
    return machines().sh(name, script)


@functools.cache
def host(name: str) -> Any:
    """A host as testinfra sees it, as root."""
    told = yaml.safe_load(machines().inventory.read_text())["all"]["hosts"][name]
    return testinfra.get_host(
        f"ssh://{told['ansible_user']}@{told['ansible_host']}",
        sudo=True,
        ssh_identity_file=told["ansible_ssh_private_key_file"],
        ssh_extra_args=told.get("ansible_ssh_common_args", ""),
    )


def run(playbook: Path, told: Mapping[str, Any], *options: str) -> Done:
    """Run a playbook with variables of ours."""
    told = {"rollout_facts": FACTS, "rollout_port": PORT, **told}
    done = subprocess.run(
        [
            Path(sys.executable).with_name("ansible-playbook"), "-i", EXAMPLE, "-i", machines().inventory, playbook,
            "-e", json.dumps(told), *options,
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
    """Have every host of the fleet answer on the service's port, and let the proxy ask it."""
    program = Path(__file__).with_name("answering.py").read_text()
    opened = f"table inet host {{ chain input {{ tcp dport {PORT} accept; }}; }}\n"
    for name in names("fleet"):
        peers = " ".join(address(each) for each in names("fleet") if each != name)
        machines().write(name, f"/usr/local/lib/{NAME}.py", program)
        machines().write(name, f"/etc/systemd/system/{NAME}.service", UNIT.format(name=name, peers=peers))
        sh(name, f"systemctl daemon-reload; systemctl enable -q --now {NAME}; systemctl restart {NAME}")
        if "inet host" in sh(name, "nft list tables"):
            machines().write(name, f"/etc/nftables.d/{NAME}.nft", opened)
            sh(name, "systemctl reload nftables")


def clear() -> None:
    """Take away what the service of the tests' own has on the hosts; site.yml assembles anew what several share."""
    left = (
        f"/etc/haproxy/certs/{NAME}.* /etc/haproxy/conf.d/{NAME}.* /etc/postgresql/17/main/pg_hba.d/{NAME}.* "
        f"/etc/redis/users.d/{NAME}.* /etc/nftables.d/{NAME}.* /etc/systemd/system/{NAME}.* /usr/local/lib/{NAME}.py"
    )
    drop = f"cd /; runuser -u postgres -- psql -qc 'drop database if exists {NAME} with (force)'"
    for name in machines().hosts:
        sh(
            name,
            f"if systemctl -q is-active {NAME}; then systemctl disable -q --now {NAME}; fi; rm -f {left}",
        )
        sh(name, f"if systemctl -q is-active postgresql@17-main; then {drop}; fi")


def until(holds: Callable[[], bool], seconds: float = 10) -> float:
    """Wait for a condition. Returns how long it took."""
    begin = time.monotonic()
    while not holds():
        if time.monotonic() > begin + seconds:
            raise TimeoutError(f"did not hold within {seconds} s")
        time.sleep(0.1)
    return time.monotonic() - begin
