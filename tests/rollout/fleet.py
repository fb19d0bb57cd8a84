"""A clone whose staging environment is real servers: those of a shipped inventory."""

import json
import shlex
import shutil
import ssl
import time
from csv import DictReader
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from tests.parts import authority
from tests.parts.machines import Machines
from tests.rollout import another
from tests.rollout.changes import APP, named, setting
from tests.rollout.checkout import GIVEN, PROCESSES, Change, Checkout, wait_until
from tests.rollout.load import Load, Traffic
from tests.rollout.wire import Request, fetch

__all__ = ["APP", "Fleet", "Guestbook", "OneHost", "Unit"]

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
    """The clone in `folder`/checkout; what it rolls out is on the hosts: on the last, the databases' included."""

    EXAMPLE: ClassVar[str] = "infra/inventories/staging/hosts.yml"
    NAME: ClassVar[str] = "marefia"
    HOST: ClassVar[str] = "staging.marefia.example"
    PROCESSES: ClassVar[tuple[str, ...]] = PROCESSES
    # There is no mail server.
    FIRST: ClassVar[tuple[Change, ...]] = (setting("MAIL_URL", "file:///mail", "staging"),)
    COLUMNS: ClassVar[str] = (
        "SELECT column_name AS name FROM information_schema.columns WHERE table_name = '{table}'"
    )
    machines: Machines = field(init=False)
    begun: float = field(default_factory=time.time)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.commit(*self.FIRST)
        made = authority.make()
        self.trusted = made.write_root(self.folder / "root.pem")
        self.machines = Machines(self.path / self.EXAMPLE, self.folder)
        (proxy,) = self.machines.groups["proxy"]
        self.address = self.machines.address(proxy)
        (self.folder / "password").write_text("of the tests' own vault\n")
        self.machines.tell(
            {
                "haproxy_certificate": str(made.write_chain(self.folder / "chain.pem", self.HOST)),
                "haproxy_names": [self.HOST],
                "haproxy_acme_email": "",
            }
        )
        for name in ("ROLLOUT_ROOT", "PORT"):
            del self.environment[name]
        self.environment |= {
            "ROLLOUT_LEASE_SECONDS": "15",
            "ROLLOUT_READY_SECONDS": "60",
            "ENV": "staging",
            "INVENTORY": f"{self.EXAMPLE},{self.machines.inventory}",
            "ANSIBLE_VAULT_PASSWORD_FILE": str(self.folder / "password"),
        }
        self.hosts = self.machines.groups["fleet"]
        self.make("secrets", check=True)
        self.commit(named(lambda _: None, "secrets"))

    @property
    def place(self) -> str:
        """The environment's folder on each host."""
        return f"/srv/{self.NAME}"

    @property
    def url(self) -> str:
        return f"https://{self.HOST}:443"

    def load(self, traffic: Traffic) -> Load:
        """Clients that come to the proxy."""
        return Load(self.url, traffic, authority=self.trusted, at=[self.address])

    def page(self, path: str) -> bytes:
        """What the proxy answers. Raises LostError."""
        trusted = ssl.create_default_context(cafile=self.trusted)
        return fetch(Request("GET", path), self.HOST, 443, trusted, self.address).body

    def version(self) -> dict[str, str]:
        answer: dict[str, str] = json.loads(self.page("/version"))
        return answer

    def versions(self) -> dict[str, str]:
        """What each host says that serves there."""
        return {host: str(self.read("current", host)["version"]) for host in self.hosts}

    def read(self, name: str, host: str = "") -> dict[str, Any]:
        text = self.machines.sh(host or self.hosts[0], f"cat {self.place}/{name}.json 2>&-", check=False)
        return dict(json.loads(text or "{}"))

    def history(self) -> list[dict[str, Any]]:
        text = self.machines.sh(self.hosts[0], f"cat {self.place}/history.jsonl")
        return [json.loads(line) for line in text.splitlines()]

    def units(self, process: str = "") -> list[Unit]:
        """What runs on all hosts."""
        shown = f"systemctl show --property=Id,MainPID '{self.NAME}-*@*.service' --state=active,activating"
        found = []
        for host in self.hosts:
            for block in self.machines.sh(host, shown).strip().split("\n\n"):
                told = dict(line.split("=", 1) for line in block.splitlines())
                if told:
                    name, _, slot = (
                        told["Id"].removesuffix(".service").removeprefix(f"{self.NAME}-").partition("@")
                    )
                    found.append(Unit(host, name, slot, int(told["MainPID"])))
        wanted = [process] if process else self.PROCESSES
        return [unit for unit in found if unit.process in wanted]

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
        assert running == sorted((host, process) for host in self.hosts for process in self.PROCESSES), (
            running
        )

    def rows(self, query: str) -> list[dict[str, Any]]:
        (database,) = self.machines.groups["database"]
        psql = f"psql --quiet --csv --dbname={self.NAME} --command={shlex.quote(query)}"
        told = self.machines.sh(database, f"cd / && runuser -u postgres -- {psql}")
        return list(DictReader(told.splitlines()))

    def logs(self, since: float) -> Path:
        for host in self.hosts:
            journal = f"journalctl --quiet --output=cat --since=@{since:.0f} --unit='{self.NAME}-web@*'"
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

    def seed(self) -> None:
        """Load the demo data, which a staging environment would not: clients of the load log in as its guests."""
        host, current = self.hosts[0], self.read("current")
        self.machines.write(host, "/run/seed.py", SEED)
        release, slot = f"{self.place}/releases/{current['version']}", f"{self.place}/slots/{current['slot']}"
        self.machines.sh(
            host, f"cd {release}/app && python3 /run/seed.py {slot}/env {self.NAME} {release}/venv/bin/python"
        )

    def remove(self) -> None:
        self.make("down", seconds=120)
        self.leave()
        shutil.rmtree(self.folder)

    def leave(self) -> None:
        """What the next tests would stumble over goes; here that is nothing."""


@dataclass
class OneHost(Fleet):
    """Everything on one server."""

    EXAMPLE: ClassVar[str] = "infra/inventories/staging/one-host.yml"

    def leave(self) -> None:
        """What the other inventory has on other servers only goes."""
        units = f"/etc/systemd/system/{self.NAME}"
        self.machines.sh(
            self.hosts[0],
            f"systemctl disable --now {self.NAME}.socket {self.NAME}.service; "
            f"rm -rf {units}[.@-]* /usr/local/lib/{self.NAME}/launch.py /usr/local/lib/{self.NAME}/start.py "
            f"{self.place} /var/backups/postgresql; systemctl daemon-reload",
        )


@dataclass
class Guestbook(Fleet):
    """Another Django project on the same servers."""

    NAME: ClassVar[str] = another.NAME
    HOST: ClassVar[str] = another.HOST
    PROCESSES: ClassVar[tuple[str, ...]] = another.PROCESSES
    FIRST: ClassVar[tuple[Change, ...]] = (another.become_the_guestbook,)
