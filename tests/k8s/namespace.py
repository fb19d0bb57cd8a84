"""A clone whose dev environment is a namespace of a real cluster."""

import base64
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from csv import DictReader
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, ClassVar

from tests.k8s.knocks import Knocks
from tests.parts import cluster
from tests.parts.cluster import Kubectl
from tests.rollout import another
from tests.rollout.checkout import GIVEN, STEPS, Checkout, wait_until
from tests.rollout.load import Load, Traffic
from tests.rollout.promise import Site, killed, write_down
from tests.rollout.report import Report

NUMBER, COMPONENT = "rollout/number", "app.kubernetes.io/component"
ENDED = ("Succeeded", "Failed")
"""Phases of a pod that runs no more."""


def is_ready(pod: dict[str, Any]) -> bool:
    """Whether a pod gets traffic."""
    conditions = pod["status"].get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


@dataclass
class Namespace(Checkout):
    """The clone in `folder`/checkout; what it rolls out is in the namespace that its inventory names."""

    NAME: ClassVar[str] = "marefia-dev"
    ENVIRONMENT: ClassVar[str] = "dev"
    INVENTORY: ClassVar[str] = "infra/inventories/dev/cluster.yml"
    PROCESSES: ClassVar[dict[str, int]] = {"web": 2, "worker": 1, "scheduler": 1}
    COLUMNS: ClassVar[str] = (
        "SELECT column_name AS name FROM information_schema.columns WHERE table_name = '{table}'"
    )
    kubectl: Kubectl = field(init=False)
    loads: list[Load] = field(default_factory=list)
    """Those of each file of tests, for the figures of all."""
    figures: list[str] = field(default_factory=list)
    """What was counted besides."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.kubectl = Kubectl(self.NAME)
        self.nodes = cluster.addresses()
        for name in ("ROLLOUT_ROOT", "PORT"):
            del self.environment[name]
        self.environment |= {
            "ENV": self.ENVIRONMENT,
            "INVENTORY": self.INVENTORY,
            "KUBECONFIG": os.environ["KUBECONFIG"],
            "REGISTRY": cluster.require(),
            "ROLLOUT_READY_SECONDS": "240",
        }

    @property
    def url(self) -> str:
        """The service on the first node."""
        return f"http://localhost:{self.node_port}"

    @property
    def node_port(self) -> int:
        return int(self.kubectl.get("service/web")["spec"]["ports"][0]["nodePort"])

    def load(self, traffic: Traffic) -> Load:
        """Clients that come to the nodes in turn."""
        self.loads.append(Load(self.url, traffic, at=self.nodes))
        return self.loads[-1]

    def version(self) -> dict[str, str]:
        said = self.inside("web", "ask", "/version")
        ((_, status, body, _),) = json.loads(said)
        assert status == 200, body
        answer: dict[str, str] = json.loads(body)
        return answer

    def kept(self) -> set[str]:
        """The names of what holds settings, secrets and records."""
        return {each["metadata"]["name"] for each in self.kubectl.get("configmaps,secrets")}

    def inside(self, process: str, *words: str) -> str:
        """What the image's entry point says inside of a ready pod of a process."""
        name = self.pods(process)[0]["metadata"]["name"]
        return self.kubectl("exec", name, "--container", process, "--", "python", "/srv/start.py", *words)

    def pods(self, process: str = "") -> list[dict[str, Any]]:
        """The pods of the service that neither go nor ended (an evicted one stays as what it was)."""
        pods = self.kubectl.get(
            "pods", f"--selector={NUMBER},!rollout/kind" + (f",{COMPONENT}={process}" if process else "")
        )
        living = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
        return [pod for pod in living if pod["status"].get("phase") not in ENDED]

    def read(self, name: str) -> dict[str, Any]:
        if name == "lease":
            spec = self.kubectl.get("lease/rollout")["spec"]
            return {"owner": spec["holderIdentity"]} if spec.get("holderIdentity") else {}
        text = self.kubectl.get("configmap/rollout")["data"].get(name)
        return dict(json.loads(text or "{}"))

    def history(self) -> list[dict[str, Any]]:
        return [
            json.loads(line) for line in self.kubectl.get("configmap/rollout")["data"]["history"].splitlines()
        ]

    def told(self) -> dict[str, str]:
        given = []
        for pod in self.pods("web"):
            text = self.kubectl(
                "exec", pod["metadata"]["name"], "--container=web", "--", "cat", "/proc/1/environ"
            )
            pairs = dict(line.split("=", 1) for line in text.split("\0") if line)
            own = ("HOSTNAME", "KUBERNETES_")
            given.append(
                {key: value for key, value in pairs.items() if key not in GIVEN and not key.startswith(own)}
            )
        assert all(each == given[0] for each in given), "the pods are told different things"
        return {
            key: value for key, value in given[0].items() if "_SERVICE_" not in key and "_PORT" not in key
        }

    def require_whole(self) -> None:
        number = str(self.read("current")["number"])
        running: dict[str, int] = dict.fromkeys(self.PROCESSES, 0)
        for pod in self.pods():
            labels = pod["metadata"]["labels"]
            assert labels[NUMBER] == number, (
                f"{pod['metadata']['name']} is of rollout {labels[NUMBER]}, not {number}"
            )
            running[labels[COMPONENT]] += 1
        assert running["web"] >= self.PROCESSES["web"], running
        assert running | {"web": self.PROCESSES["web"]} == self.PROCESSES, running

    def rows(self, query: str) -> list[dict[str, Any]]:
        psql = (
            "psql",
            "--quiet",
            "--csv",
            "--username=service",
            "--host=/var/run/postgresql",
            "--command",
            query,
        )
        said = self.kubectl("exec", "database-0", "--", *psql)
        return list(DictReader(said.splitlines()))

    def logs(self, since: float) -> Path:
        for pod in self.pods("web"):
            name = pod["metadata"]["name"]
            text = self.kubectl("logs", name, "--container=web", f"--since={time.time() - since + 1:.0f}s")
            (self.folder / f"web-{name}.log").write_text(text)
        return self.folder

    def secret(self, name: str) -> str:
        """A value of the Secret that the set-up made."""
        return base64.b64decode(self.kubectl.get("secret/secrets")["data"][name]).decode()

    def ready(self, process: str) -> list[dict[str, Any]]:
        """The pods of a process that are ready."""
        return [pod for pod in self.pods(process) if is_ready(pod)]

    def await_whole(self, seconds: float = 120) -> None:
        """Return when every process runs again, and nothing else."""

        def whole() -> bool:
            try:
                self.require_whole()
            except AssertionError:
                return False
            return all(map(is_ready, self.pods()))

        wait_until(whole, "every process to be ready", seconds, every=0.5)

    def await_least(self, seconds: float = 300) -> None:
        """Return when there are no more webs than needed: what was done before may have brought some."""
        least = self.PROCESSES["web"]
        wait_until(lambda: len(self.pods("web")) == least, f"{least} webs", seconds, every=1)

    def write_down(self) -> None:
        """Put the figures into docs/promises.md where the whole matrix was run; else print the single ones."""
        loads = [load for load in self.loads if load.is_reported]
        records = [record for load in loads for record in load.records]
        report = Report(records, [window for load in loads for window in load.windows])
        if {killed(*kill) for kill in product(STEPS, (False, True))} <= {
            each.name for each in report.windows
        }:
            write_down("figures of the cluster", self, report, self.figures)
        else:
            print("", *self.figures, sep="\n")

    def remove(self) -> None:
        self.kubectl("delete", "namespace", self.NAME, "--wait=false", check=False)
        self.kubectl("delete", "pods", "--all", "--force", "--grace-period=0", check=False)
        self.kubectl("wait", "--for=delete", f"namespace/{self.NAME}", "--timeout=110s", check=False)
        shutil.rmtree(self.folder)


class Staging(Namespace):
    """Staging, where it is a cluster's."""

    NAME: ClassVar[str] = "marefia-staging"
    ENVIRONMENT: ClassVar[str] = "staging"
    INVENTORY: ClassVar[str] = "infra/inventories/staging/cluster.yml"


@dataclass
class GuestbooksNamespace(Namespace):
    """Another Django project on the same cluster, by an overlay of its own."""

    NAME: ClassVar[str] = f"{another.NAME}-dev"
    PROCESSES: ClassVar[dict[str, int]] = {"web": 2, "clock": 1}

    def __post_init__(self) -> None:
        super().__post_init__()
        self.commit(another.become_the_guestbook)

    def version(self) -> dict[str, str]:
        """No page of it says this; what is recorded does."""
        return {"version": str(self.read("current")["version"])}


@dataclass
class ClusterSite(Site):
    """Loaded on all nodes with connections that stay, and knocked at with one for each request."""

    path: str = "/livez"
    missed: dict[str, str] = field(default_factory=dict)
    """How many knocks were lost of how many, by what was done."""

    @contextmanager
    def losing_nothing(self, what: str) -> Iterator[None]:
        assert isinstance(self.checkout, Namespace)
        knocks = Knocks(self.checkout.nodes, self.checkout.node_port, self.path)
        try:
            with knocks, super().losing_nothing(what):
                yield
        finally:
            self.missed[what] = f"{len(knocks.lost)} of {knocks.asked}"
        assert knocks.asked > 0
        assert not knocks.lost, "\n".join(knocks.lost)
