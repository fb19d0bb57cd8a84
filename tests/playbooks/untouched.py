"""What a refused or undone rollout owes the one that serves: nothing of it changes, and one line says why."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.rollout.checkout import Checkout, Run

PROCESSES = ("web", "worker", "scheduler")


def standing(checkout: Checkout) -> dict[str, Any]:
    """What serves: the version that answers, every process with what it was told, and what is written down of it."""
    running = {name: checkout.running(name) for name in PROCESSES}
    return {
        "answers": checkout.version(),
        "processes": {name: [one.pid for one in running[name]] for name in PROCESSES},
        "web workers": [one.pid for one in checkout.web_workers()],
        "told": {name: [one.environment for one in running[name]] for name in PROCESSES},
        "current": checkout.read("current"),
        "lease": checkout.read("lease"),
        "rollout": checkout.read("rollout"),
    }


@contextmanager
def untouched(checkout: Checkout) -> Iterator[None]:
    """Whatever is tried inside: the same processes serve the same release with the same settings, no lease is held."""
    before = standing(checkout)
    assert all(len(pids) == 1 for pids in before["processes"].values()), before["processes"]
    yield
    assert standing(checkout) == before | {"lease": {}, "rollout": {}}


def refusal(run: Run) -> str:
    """The one line that says what is wrong and how to mend it. AssertionError when it succeeded or said more."""
    assert run.status, f"it succeeded: {run.output}"
    lines = [line for line in run.output.splitlines() if line.startswith(("error: ", "[ERROR]: "))]
    assert len(lines) == 1, run.output
    assert "; " in lines[0] or ". Way out: " in lines[0], f"no remedy: {lines[0]}"
    return lines[0].partition(": ")[2]
