"""Containers of the image, and the Compose project of a clone, on any Docker engine."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from tests.rollout.checkout import REPOSITORY

ORPHANED = """
( (sleep 1; exit 3) & )
PGPASSWORD=$(cat "$1") psql --host=127.0.0.1 --username=service --command='SELECT pg_sleep(3)' service
"""
"""A statement in the database's container during which a process fails whose parent has left it to process 1."""
RECORDED = """
import importlib.metadata as m
files = {file.locate().resolve() for one in m.distributions() for file in one.files or ()}
print(sum(file.stat().st_size for file in files if file.exists()))
"""


def run(
    *command: str,
    folder: Path = REPOSITORY,
    seconds: float = 900,
    check: bool = True,
    told: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Run a command with these variables more. Gives what it printed.

    :raises AssertionError: it failed, and `check` was said.
    """
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | dict(told),
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds,
    )
    assert not check or done.returncode == 0, f"{command}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
    return done.stdout if check else done.stdout + done.stderr


def docker(*words: str, check: bool = True) -> str:
    """Run a command of the engine's client."""
    return run("docker", *words, check=check)


@contextmanager
def container(*words: str) -> Iterator[str]:
    """A container that runs meanwhile. Gives its id."""
    name = docker("run", "--detach", *words).strip()
    try:
        yield name
    finally:
        docker("rm", "--force", "--volumes", name)


def health(name: str) -> str:
    """What the engine says of a container's health check: starting, healthy or unhealthy."""
    return str(json.loads(docker("inspect", name))[0]["State"]["Health"]["Status"])


def layers(image: str) -> list[str]:
    """The digests of an image's layers, the base's first."""
    found: list[str] = json.loads(docker("inspect", image))[0]["RootFS"]["Layers"]
    return found


def size_of(image: str) -> int:
    """Bytes of an image on this machine."""
    return int(docker("inspect", "--format", "{{.Size}}", image))


def size_of_packages(image: str) -> int:
    """Bytes of what an image's packages say that they installed: nothing that lies beside them."""
    return int(docker("run", "--rm", image, "python", "-c", RECORDED))


def networks(name: str) -> dict[str, str]:
    """Where a container is reached, by the name of the network."""
    found = json.loads(docker("inspect", name))[0]["NetworkSettings"]["Networks"]
    return {network: str(of["IPAddress"]) for network, of in found.items()}


def stopped(name: str) -> float:
    """Stop a container gracefully. Gives the seconds that it took."""
    begin = time.monotonic()
    docker("stop", "--time", "60", name)
    return time.monotonic() - begin
