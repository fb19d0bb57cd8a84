"""What a rollout costs: seconds of each step, and of `make up` when there is nothing to do."""

import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.rollout.changes import expanding_migration, visible_text
from tests.rollout.checkout import STEPS, Checkout

DEPLOYS = 5
NOTHING = 5


@dataclass(frozen=True)
class Costs:
    """Median seconds: each step by kind of deploy, whole commands, and `make up` with nothing to do."""

    steps: dict[str, dict[str, float]]
    commands: dict[str, float]
    nothing: float
    nothing_cpu: float


def measure(said: Callable[[str], None] = print) -> Costs:
    """Bring a fresh clone up, deploy to it several times, and ask for nothing several times."""
    checkout = Checkout(Path(tempfile.mkdtemp(prefix="bench-")))
    commands: dict[str, list[float]] = {}
    steps: dict[str, list[dict[str, float]]] = {}

    def timed(kind: str, target: str) -> None:
        start = time.monotonic()
        checkout.make(target)
        commands.setdefault(kind, []).append(time.monotonic() - start)
        said(f"{kind}: {commands[kind][-1]:.1f} s")
        if kind != "nothing":
            steps.setdefault(kind, []).append(checkout.history()[-1]["seconds"])

    try:
        timed("first", "up")
        for number in range(DEPLOYS):
            checkout.commit(visible_text(f"release {number}"))
            timed("new commit", "deploy")
        checkout.commit(expanding_migration("bench_note"))
        timed("with a migration", "deploy")
        timed("rollback", "rollback")
        timed("forward", "deploy")
        before = cpu_of_children()
        for _ in range(NOTHING):
            timed("nothing", "up")
        cpu = (cpu_of_children() - before) / NOTHING
    finally:
        checkout.remove()
    medians = {
        kind: {step: statistics.median(one.get(step, 0.0) for one in several) for step in STEPS}
        for kind, several in steps.items()
    }
    whole = {kind: statistics.median(several) for kind, several in commands.items()}
    return Costs(medians, whole, whole.pop("nothing"), cpu)


def cpu_of_children() -> float:
    """CPU seconds of all ended child processes so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
