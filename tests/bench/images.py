"""What the image is worth beside one as most people write it: bytes, and seconds to build, cold and warm."""

import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.docker.containers import docker, size_of, size_of_packages
from tests.rollout.changes import append, visible_text
from tests.rollout.checkout import Checkout

BASE = "python:3.13-slim"
NAIVE = f"""\
FROM {BASE}
WORKDIR /srv
COPY . .
RUN pip install --ignore-installed -r requirements/service.txt
WORKDIR /srv/app
CMD ["gunicorn", "marefia.wsgi"]
"""
"""Whatever a base brings along stays as it is: what a distribution installed, pip cannot uninstall."""
TIMES = 3
Build = Callable[[Path], str]
"""Builds the image of a checkout, and gives its name."""


def ours(checkout: Path) -> str:
    """The image of a release, by the command that people use."""
    told = os.environ | {"REGISTRY": "", "RELEASES": str(checkout.parent / "releases")}
    done = subprocess.run(
        ["make", "--no-print-directory", "image"],
        cwd=checkout, env=told, capture_output=True, text=True, check=True, timeout=900,
    )  # fmt: skip
    return done.stdout.splitlines()[-1]


def naive(checkout: Path) -> str:
    """One stage, everything in it, packages after the source."""
    file = checkout.parent / "Dockerfile.naive"
    file.write_text(NAIVE)
    name = "bench-naive:latest"
    docker("build", "--quiet", "--file", str(file), "--tag", name, str(checkout))
    return name


def another_lock(checkout: Path) -> None:
    """The same packages by a lock with other bytes."""
    append(checkout / "requirements/service.txt", "# one more line\n")


def section(said: Callable[[str], None] = print) -> str:
    """Build both several times, and compare."""
    kinds: dict[str, Build] = {"ours": ours, "one stage": naive}
    cold: dict[str, list[float]] = {kind: [] for kind in kinds}
    warm: dict[str, list[float]] = {kind: [] for kind in kinds}
    images: dict[str, set[str]] = {kind: set() for kind in kinds}
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    checkout = Checkout(folder)

    def timed(kind: str, to: dict[str, list[float]]) -> None:
        start = time.monotonic()
        images[kind].add(kinds[kind](checkout.path))
        to[kind].append(time.monotonic() - start)
        said(f"{kind}: {to[kind][-1]:.1f} s")

    try:
        for number in range(TIMES):
            checkout.commit(another_lock)
            for kind in kinds:
                timed(kind, cold)
            checkout.commit(visible_text(f"release {number}"))
            for kind in kinds:
                timed(kind, warm)
        base, (mine, *_), (plain, *_) = size_of(BASE), sorted(images["ours"]), sorted(images["one stage"])
        needed, sizes = base + size_of_packages(mine), {"ours": size_of(mine), "one stage": size_of(plain)}
    finally:
        for image in set.union(*images.values()):
            docker("rmi", image)
        shutil.rmtree(folder)
    rows = [
        ("MB", {kind: size / 1e6 for kind, size in sizes.items()}),
        ("times the base and the locked packages", {kind: size / needed for kind, size in sizes.items()}),
        ("seconds to build, another lock", {kind: statistics.median(cold[kind]) for kind in kinds}),
        ("seconds to build, other source only", {kind: statistics.median(warm[kind]) for kind in kinds}),
    ]
    table = "\n".join(
        f"| {what} | " + " | ".join(f"{got[kind]:.2f}" for kind in kinds) + " |" for what, got in rows
    )
    return f"""\
The image of `make image`, and one as most people write it: `FROM {BASE}`, `COPY . .`, `RUN pip install`, built in
turn on the same engine, medians of {TIMES}. The base is {base / 1e6:.0f} MB, the locked packages
{(needed - base) / 1e6:.0f} MB. Ours takes besides: the collected static files, and the list of its packages. Downloads
are the engine's cache's (ours) or anew (one stage).

| | {" | ".join(kinds)} |
|---|{"---:|" * len(kinds)}
{table}
"""
