"""A clone whose staging environment is three real servers: a proxy with the databases, and two hosts that serve."""

import json
import shlex
import shutil
import ssl
import subprocess
from csv import DictReader
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar
from urllib.request import urlopen

from tests.parts import authority
from tests.parts.machines import Machines
from tests.rollout.changes import APP, setting
from tests.rollout.checkout import GIVEN, PROCESSES, Checkout, wait_until

__all__ = ["APP", "NAME", "ROOT", "Fleet", "Unit"]
EXAMPLE = "infra/inventories/staging/hosts.yml"
NAME = "marefia"
ROOT = f"/srv/{NAME}"

SEED = """
import os, pwd, sys
environment = dict(line.rstrip().split("=", 1) for line in open(sys.argv[1])) | {"ENVIRONMENT": "dev"}
user = pwd.getpwnam(sys.argv[2])
os.setgid(user.pw_gid), os.setgroups([]), os.setuid(user.pw_uid)
os.execve(sys.argv[3], [sys.argv[3], "manage.py", "demo"], environment)
"""


@dataclass(frozen=True)
class Unit:
    """A process of a slot on a host."""

    host: str
    process: str
    slot: str
    pid: int


@dataclass
class Fleet(Checkout):
    """The clone in `folder`/checkout; what it rolls out is on the hosts."""

    COLUMNS: ClassVar[str] = (
        "SELECT column_name AS name FROM information_schema.columns WHERE table_name = '{table}'"
    )
    machines: Machines = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        made = authority.make()
        self.trusted = made.write_root(self.folder / "root.pem")
        self.machines = Machines(self.path / EXAMPLE, self.folder)
        (proxy,) = self.machines.groups["proxy"]
        self.address = self.machines.address(proxy)
        certificate = made.write_chain(self.folder / "chain.pem", "staging.marefia.example", self.address)
        told = {
            "haproxy_certificate": str(certificate),
            "haproxy_names": ["staging.marefia.example", self.address],
        }
        (self.folder / "password").write_text("of the tests' own vault\n")
        self.machines.tell(told | {"redis_user_namespace": False, "haproxy_acme_email": ""})
        for name in ("ROLLOUT_ROOT", "PORT"):
            del self.environment[name]
        self.environment |= {
            "ENV": "staging",
            "INVENTORY": f"{EXAMPLE},{self.machines.inventory}",
            "ANSIBLE_VAULT_PASSWORD_FILE": str(self.folder / "password"),
        }
        self.hosts = self.machines.groups["fleet"]
        self.make("secrets", check=True)
        names = f"staging.marefia.example,{self.address},localhost,127.0.0.1"
        mails = setting("MAIL_URL", "file:///mail", "staging")  # there is no mail server
        self.cloned = self.commit(setting("ALLOWED_HOSTS", names, "staging"), mails)

    @property
    def url(self) -> str:
        return f"https://{self.address}:443"

    def version(self) -> dict[str, str]:
        with urlopen(
            f"{self.url}/version", timeout=10, context=ssl.create_default_context(cafile=str(self.trusted))
        ) as response:
            answer: dict[str, str] = json.load(response)
        return answer

    def versions(self) -> dict[str, str]:
        """What each host says that serves there."""
        return {host: str(self.read("current", host)["version"]) for host in self.hosts}

    def read(self, name: str, host: str = "") -> dict[str, Any]:
        text = self.machines.sh(host or self.hosts[0], f"cat {ROOT}/{name}.json 2>&-", check=False)
        return dict(json.loads(text or "{}"))

    def history(self) -> list[dict[str, Any]]:
        text = self.machines.sh(self.hosts[0], f"cat {ROOT}/history.jsonl")
        return [json.loads(line) for line in text.splitlines()]

    def units(self, process: str = "") -> list[Unit]:
        """What runs on all hosts."""
        shown = f"systemctl show --property=Id,MainPID '{NAME}-*@*.service' --state=active,activating"
        found = []
        for host in self.hosts:
            for block in self.machines.sh(host, shown).strip().split("\n\n"):
                told = dict(line.split("=", 1) for line in block.splitlines())
                if told:
                    name, _, slot = (
                        told["Id"].removesuffix(".service").removeprefix(f"{NAME}-").partition("@")
                    )
                    found.append(Unit(host, name, slot, int(told["MainPID"])))
        return [unit for unit in found if process in ("", unit.process)]

    def told(self) -> dict[str, str]:
        given = []
        for web in self.units("web"):
            text = self.machines.sh(web.host, f"tr '\\0' '\\n' </proc/{web.pid}/environ")
            pairs = dict(line.split("=", 1) for line in text.splitlines())
            given.append({name: value for name, value in pairs.items() if name not in GIVEN})
        assert all(each == given[0] for each in given), "the hosts are told different things"
        return given[0]

    def require_whole(self) -> None:
        running = sorted((unit.host, unit.process) for unit in self.units())
        assert running == sorted((host, process) for host in self.hosts for process in PROCESSES), running

    def rows(self, query: str) -> list[dict[str, Any]]:
        (database,) = self.machines.groups["database"]
        command = f"cd / && runuser -u postgres -- psql --csv --dbname={NAME} --command={shlex.quote(query)}"
        return list(DictReader(self.machines.sh(database, command).splitlines()))

    def logs(self, since: float) -> Path:
        for host in self.hosts:
            journal = f"journalctl --quiet --output=cat --since=@{since:.0f} --unit='{NAME}-web@*'"
            (self.folder / f"web-{host}.log").write_text(self.machines.sh(host, journal))
        return self.folder

    def await_whole(self, seconds: float = 60) -> None:
        """Return when every process runs on every host again."""

        def whole() -> bool:
            try:
                self.require_whole()
            except AssertionError:
                return False
            return True

        wait_until(whole, "every process on every host", seconds, every=0.5)

    def run(self, *command: str) -> str:
        """Run a command in the clone. Gives what it printed."""
        done = subprocess.run(
            command, cwd=self.path, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def seed(self) -> None:
        """Load the demo data, which a staging environment would not: clients of the load log in as its guests."""
        host, current = self.hosts[0], self.read("current")
        self.machines.write(host, "/run/seed.py", SEED)
        release, slot = f"{ROOT}/releases/{current['version']}", f"{ROOT}/slots/{current['slot']}"
        self.machines.sh(
            host, f"cd {release}/app && python3 /run/seed.py {slot}/env {NAME} {release}/venv/bin/python"
        )

    def remove(self) -> None:
        self.make("down", seconds=120)
        shutil.rmtree(self.folder)
