"""What a person does at a terminal while a rollout is under way: Ctrl-C, `make up` once more, `make down`."""

from __future__ import annotations

import os
import signal

import pytest

from tests.playbooks.untouched import PROCESSES, refusal
from tests.rollout.changes import visible_text
from tests.rollout.checkout import Checkout, Run, wait_until
from tests.rollout.conftest import checkout

pytestmark = [pytest.mark.verify, pytest.mark.chaos]

__all__ = ["checkout"]


def interrupt(run: Run) -> None:
    """Ctrl-C: a terminal sends it to the whole group."""
    os.killpg(run.process.pid, signal.SIGINT)
    run.wait(60)


def test_of_two_who_type_up_at_once_the_second_finds_nothing_to_do(checkout: Checkout) -> None:
    both = [checkout.start("up"), checkout.start("up")]
    for one in both:
        one.wait(180)
        assert one.status == 0, one.output
    first, second = sorted(both, key=lambda one: "waiting: " in one.output)
    assert "rolling " in first.output
    assert " holds .run/up.lock" in second.output
    assert "nothing to do: " in second.output
    assert checkout.url in second.output
    assert len(checkout.history()) == 1


def test_who_interrupts_a_rollout_is_told_what_becomes_of_it(checkout: Checkout) -> None:
    checkout.make("up")
    served = checkout.version()["commit"]
    commit = checkout.commit(visible_text("after an interruption"))
    deploy = checkout.start("deploy")
    checkout.await_step("switch", deploy)
    interrupt(deploy)
    assert deploy.status not in (0, None)
    said = [line for line in deploy.output.splitlines() if not line.startswith("make: ")]
    assert said[-1] == (
        "[ERROR]: interrupted in step switch: what serves keeps serving, and the next rollout undoes what "
        "this one began, as soon as its lease has expired (5 s)"
    )
    assert checkout.version()["commit"] in (served, commit)
    after = checkout.make("deploy")
    assert "who died in step switch" in after.output
    assert checkout.version()["commit"] == commit
    assert [line["outcome"] for line in checkout.history()[-2:]] == ["killed", "done"]
    assert [len(checkout.running(process)) for process in PROCESSES] == [1, 1, 1]


def test_down_during_a_rollout_waits_for_its_end_and_then_stops_all(checkout: Checkout) -> None:
    rollouts = len(checkout.history())
    deploy = checkout.start("deploy", ROLLOUT_WATCH_SECONDS="30")
    checkout.await_step("prove", deploy)
    impatient = refusal(checkout.make("down", check=False, ROLLOUT_WAIT_SECONDS="0"))
    assert "a rollout is under way: " in impatient
    regretted = checkout.start("down")
    wait_until(lambda: "waiting: " in regretted.output, "it to wait", 60)
    interrupt(regretted)
    assert "its lease" not in regretted.output, "it had none"
    assert "Give the lease back" not in deploy.output, "it ended before it was seen"
    down = checkout.make("down")
    assert "waiting: " in down.output
    deploy.wait(60)
    assert deploy.status == 0, deploy.output
    assert [line["outcome"] for line in checkout.history()[rollouts:]] == ["done"]
    assert [checkout.running(process) for process in PROCESSES] == [[], [], []]
    assert checkout.read("lease") == checkout.read("rollout") == {}
