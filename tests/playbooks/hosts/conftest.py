"""site.yml on real servers: the first machines of HOSTS_INVENTORY in the places of the shipped example's three."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.parts import authority
from tests.parts.machines import REPOSITORY, Machines
from tests.playbooks.hosts import scratch

EXAMPLE = REPOSITORY / "infra/inventories/staging/hosts.yml"
NAME = "marefia"
SECRETS = {
    name: f"{name.lower()}-of-the-tests" for name in ("PGPASSWORD", "BROKER_PASSWORD", "BACKUP_PASSWORD")
} | {"PGUSER": f"{NAME}_a"}


@dataclass(frozen=True)
class Done:
    """How a playbook ended. `changed`, by host, is there when it was asked to count."""

    status: int
    output: str
    changed: dict[str, int]

    @property
    def errors(self) -> list[str]:
        """What it says went wrong."""
        return [line for line in self.output.splitlines() if "[ERROR]" in line or line.startswith("fatal")]


def play(inventories: list[Path], playbook: Path, *options: str, count: bool = False, **told: object) -> Done:
    """Run a playbook as a person does, or counting what it changed."""
    command = [str(Path(sys.executable).with_name("ansible-playbook")), str(playbook), *options]
    command += [f"--inventory={each}" for each in inventories]
    environment = {"ENV": "staging"} | os.environ | {"ANSIBLE_NOCOLOR": "1"}
    if count:
        environment["ANSIBLE_STDOUT_CALLBACK"] = "ansible.builtin.default"
    done = subprocess.run(
        [*command, "--extra-vars", json.dumps({"secrets": SECRETS} | told)],
        cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    changed = re.findall(r"^(\S+) +: ok=.* changed=(\d+)", done.stdout, re.MULTILINE)
    output = done.stdout + done.stderr
    return Done(done.returncode, output, {host: int(number) for host, number in changed})


class Site:
    """The three servers of the example, set up once."""

    def __init__(self, machines: Machines, folder: Path) -> None:
        self.machines, self.folder = machines, folder
        self.store, self.first, self.second = "host1", "host2", "host3"
        pair = authority.make()
        self.told: dict[str, Any] = {
            "haproxy_acme_email": "",
            "haproxy_certificate": str(
                pair.write_chain(
                    folder / "chain.pem", "staging.marefia.example", machines.address(self.store)
                )
            ),
        }
        machines.tell(self.told)

    def play(self, *options: str, count: bool = False, beside: Path | None = None, **told: object) -> Done:
        """Run site.yml, with one more inventory if need be."""
        inventories = [EXAMPLE, self.machines.inventory, *([beside] if beside else [])]
        return play(inventories, REPOSITORY / "playbooks/site.yml", *options, count=count, **told)

    def mend(self, host: str) -> Done:
        """Run site.yml for one host alone."""
        done = self.play("--limit", f"{host},localhost")
        assert done.status == 0, done.output
        return done

    def tasks(self, text: str, **told: object) -> Done:
        """Run a playbook of a test's own."""
        file = self.folder / "own.yml"
        file.write_text(text)
        return play(
            [EXAMPLE, self.machines.inventory], file, count=True, rollout_checkout=str(REPOSITORY), **told
        )

    def sh(self, host: str, script: str, *, check: bool = True) -> str:
        return self.machines.sh(host, script, check=check)

    def drift(self, host: str, name: str = NAME) -> list[str]:
        """What `host_drift` names on a host."""
        done = self.tasks(DRIFT.format(host=host, name=name))
        assert done.status == 0, done.output
        return list(json.loads(re.findall(r'"msg": "DRIFT (.*)"', done.output)[0].replace('\\"', '"')))


DRIFT = """
- hosts: {host}
  become: true
  tasks:
    - host_drift: {{state: compared, name: {name}}}
      register: drift
    - debug: {{msg: "DRIFT {{{{ drift.drift | to_json }}}}"}}
"""


@pytest.fixture(scope="package", autouse=True)
def alone() -> Iterator[None]:
    """No other process of the tests has the servers meanwhile."""
    with Machines.alone():
        yield


@pytest.fixture(scope="module", autouse=True)
def cleared() -> Iterator[None]:
    """Nothing is left of a module's single roles."""
    yield
    if scratch.machines.cache_info().currsize:
        scratch.clear()


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The servers after a run of site.yml."""
    folder = tmp_path_factory.mktemp("site")
    machines = Machines(EXAMPLE, folder)
    site = Site(machines, folder)
    done = site.play()
    assert done.status == 0, done.output
    return site
