"""A real cluster: any that KUBECONFIG leads to, and the registry from which its nodes pull (REGISTRY)."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.parts import absent

SECONDS = 120


class Kubectl:
    """kubectl in one namespace."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace

    def __call__(self, *arguments: str, told: str | None = None, check: bool = True) -> str:
        """Run it. Gives what it printed; raises AssertionError when `check` and it failed."""
        done = subprocess.run(
            ["kubectl", "--namespace", self.namespace, *arguments],
            input=told,
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )
        assert not check or done.returncode == 0, f"kubectl {arguments}: {done.stdout}{done.stderr}"
        return done.stdout if check else done.stdout + done.stderr

    def get(self, *arguments: str) -> Any:
        """An object, or a list's items."""
        found = json.loads(self("get", *arguments, "--output=json"))
        return found.get("items", found)


def require() -> str:
    """Skip or fail unless a cluster answers and a registry is named. Gives the registry."""
    if not os.environ.get("KUBECONFIG"):
        absent("cluster", "KUBECONFIG is not set")
    try:
        done = subprocess.run(
            ["kubectl", "get", "--raw", "/readyz"], capture_output=True, text=True, check=False, timeout=30
        )
    except FileNotFoundError:
        absent("cluster", "there is no kubectl")
    if done.returncode:
        absent("cluster", done.stderr.strip()[-200:])
    if not os.environ.get("REGISTRY"):
        absent("cluster", "REGISTRY does not name the registry that its nodes pull from")
    return os.environ["REGISTRY"]


def addresses() -> list[str]:
    """The nodes' own addresses, on which NodePorts answer."""
    nodes = Kubectl("default").get("nodes")
    found = [
        address["address"]
        for node in nodes
        for address in node["status"]["addresses"]
        if address["type"] == "InternalIP"
    ]
    return sorted(found)


@contextmanager
def alone() -> Iterator[None]:
    """Hold the cluster's only permission to change what several tests use."""
    with (Path(tempfile.gettempdir()) / f"cluster-{os.getuid()}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
