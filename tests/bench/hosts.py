"""What servers cost: seconds of site.yml without a change, of a deploy and of a rollback, on one and on three."""

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.rollout.changes import visible_text
from tests.rollout.fleet import Fleet, OneHost

SHAPES: dict[str, type[Fleet]] = {"3 servers": Fleet, "1 server": OneHost}
TIMES = 3
Seconds = dict[str, dict[str, float]]
"""Medians of TIMES: by shape, then by what was done."""


def measure(said: Callable[[str], None] = print) -> Seconds:
    """Set the servers up, and do each thing several times; nothing where HOSTS_INVENTORY names no servers."""
    if not os.environ.get("HOSTS_INVENTORY"):
        return {}
    return {shape: _measure(shape, kind, said) for shape, kind in SHAPES.items()}


def _measure(shape: str, kind: type[Fleet], said: Callable[[str], None]) -> dict[str, float]:
    took: dict[str, list[float]] = {}

    def timed(what: str, target: str) -> None:
        start = time.monotonic()
        fleet.make(target, seconds=600)
        took.setdefault(what, []).append(time.monotonic() - start)
        said(f"{shape}, {what}: {took[what][-1]:.1f} s")

    fleet = kind(Path(tempfile.mkdtemp(prefix="bench-")))
    with fleet.machines.alone():
        fleet.make("site", seconds=600)
        fleet.make("deploy", seconds=600)
        for number in range(TIMES):
            timed("`make site`, no change", "site")
            fleet.commit(visible_text(f"release {number}"))
            timed("`make deploy`, a new commit", "deploy")
            timed("`make rollback`", "rollback")
            timed("`make status`", "status")
        fleet.remove()
    return {what: statistics.median(several) for what, several in took.items()}


def table(seconds: Seconds) -> str:
    """The section of the page."""
    if not seconds:
        return "No servers were given (HOSTS_INVENTORY) when this was written."
    rows = [
        f"| {what} | " + " | ".join(f"{each[what]:.1f}" for each in seconds.values()) + " |"
        for what in next(iter(seconds.values()))
    ]
    return "\n".join([f"| seconds | {' | '.join(seconds)} |", f"|---|{'---:|' * len(seconds)}", *rows])
