"""Two who roll out at once, and one who was only asleep: nobody acts without the lease."""

from __future__ import annotations

import fcntl
import re
import signal
from dataclasses import dataclass

import pytest

from tests.playbooks.untouched import refusal, standing, untouched
from tests.rollout.changes import visible_text
from tests.rollout.checkout import Checkout, Run, wait_until
from tests.rollout.processes import stat, tree

pytestmark = [pytest.mark.verify, pytest.mark.chaos]

CLOCK = r"\d\d:\d\d:\d\d"
HOLDER = re.compile(
    rf"a rollout is under way: \S+@\S+ since [0-9-]{{10}} {CLOCK} until {CLOCK} unless renewed"
)


@dataclass(frozen=True)
class Site:
    """A running service and two kept releases."""

    checkout: Checkout
    old: str
    new: str

    @property
    def serving(self) -> str:
        return str(self.checkout.read("current")["version"])

    @property
    def other(self) -> str:
        return self.old if self.serving == self.new else self.new


@pytest.fixture(scope="module")
def site(up: Checkout) -> Site:
    old = str(up.read("current")["version"])
    up.commit(visible_text("the other release"))
    up.make("build")
    kept = {path.stem.split("-", 1)[1] for path in (up.folder / "releases").glob("*.tar")}
    (new,) = kept - {old}
    return Site(up, old, new)


def send(deploy: Run, number: signal.Signals) -> None:
    """Send a signal to a deployer and all its children (Ansible's lead sessions of their own)."""
    for process in tree(deploy.process.pid):
        process.kill(number)


def asleep(checkout: Checkout, deploy: Run) -> None:
    """Stop a deployer with all its children, at a moment when it does not hold the lease's own lock."""
    while True:
        while any(stat(one.pid)[0] != "T" for one in tree(deploy.process.pid)):
            send(deploy, signal.SIGSTOP)
        with (checkout.root / "lease.lock").open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                send(deploy, signal.SIGCONT)
            else:
                return


def test_the_second_waits_names_the_holder_and_then_takes_its_turn(site: Site) -> None:
    checkout, before, other = site.checkout, site.serving, site.other
    first = checkout.start("deploy", f"VERSION={other}")
    checkout.await_step("preflight", first)
    second = checkout.start("deploy", f"VERSION={before}")
    wait_until(lambda: "waiting: " in second.output or first.status is not None, "the second to wait", 60)
    assert first.status is None, first.output + second.output
    assert HOLDER.search(second.output), second.output
    first.wait(120)
    second.wait(120)
    ended = {first.status, second.status}
    assert ended == {0}, first.output + second.output
    assert [(line["to"], line["outcome"]) for line in checkout.history()[-2:]] == [
        (other, "done"),
        (before, "done"),
    ]
    assert checkout.version()["version"] == before


def test_the_second_is_refused_and_told_who_holds_it_when_it_does_not_want_to_wait(site: Site) -> None:
    checkout, other = site.checkout, site.other
    first = checkout.start("deploy", f"VERSION={other}", ROLLOUT_WATCH_SECONDS="20")
    checkout.await_step("preflight", first)
    lines = len(checkout.history())
    for target in ("deploy", "rollback", "down"):
        second = checkout.make(target, check=False, ROLLOUT_WAIT_SECONDS="1", VERSION=site.serving)
        assert first.status is None, "the first ended before the second was refused"
        line = refusal(second)
        assert HOLDER.search(line), line
        assert line.endswith("wait for it to end, then run the command again")
    first.wait(120)
    assert first.status == 0, first.output
    assert checkout.version()["version"] == other
    assert len(checkout.history()) == lines + 1, "a refused one is no rollout"
    assert checkout.read("lease") == {}


def test_a_rollout_goes_on_where_what_a_killed_one_left_cannot_be_undone(site: Site) -> None:
    """The release that served cannot start again: its settings hold no longer. Nobody serves until another does."""
    checkout, other = site.checkout, site.other
    killed = checkout.start("deploy", f"VERSION={other}", ROLLOUT_LEASE_SECONDS="5")
    checkout.await_step("prove", killed)
    killed.kill(with_children=True)
    settings = checkout.root / "slots" / checkout.read("current")["slot"] / "env"
    settings.write_text(re.sub("(?m)^SECRET_KEY=.*$", "SECRET_KEY=", settings.read_text()))
    for web in checkout.running("web"):
        web.kill()
    done = checkout.make("deploy", f"VERSION={other}", ROLLOUT_WAIT_SECONDS="60")
    assert "it cannot, and this rollout goes on: web in slot" in done.output
    left, last = checkout.history()[-2:]
    assert "its deployer died in step prove; undone: it cannot" in left["reason"]
    assert (last["to"], last["outcome"]) == (other, "done")
    assert checkout.version()["version"] == other


def test_a_deployer_that_slept_too_long_stops_before_its_next_act_and_undoes_nothing(site: Site) -> None:
    """It sleeps when its release serves already: undone by the next one, it must not be brought back."""
    checkout, before, other = site.checkout, site.serving, site.other
    sleeper = checkout.start(
        "deploy", f"VERSION={other}", ROLLOUT_WATCH_SECONDS="60", ROLLOUT_LEASE_SECONDS="25"
    )
    checkout.await_step("verify", sleeper)
    asleep(checkout, sleeper)
    lease = checkout.read("lease")
    try:
        early = checkout.make("rollback", check=False, ROLLOUT_WAIT_SECONDS="1", VERSION=other)
        assert HOLDER.search(refusal(early)), "taken over before it had expired"

        late = checkout.make("deploy", f"VERSION={before}", ROLLOUT_WAIT_SECONDS="60")
        assert f"taken over from {lease['owner']}, who died in step verify" in late.output
        killed, done = checkout.history()[-2:]
        assert (killed["number"], killed["outcome"]) == (lease["number"], "killed")
        assert (done["to"], done["outcome"]) == (before, "done")
        assert done["number"] > lease["number"]
        lines, stands = checkout.history(), standing(checkout)
        with untouched(checkout):
            send(sleeper, signal.SIGCONT)
            sleeper.wait(120)
        line = refusal(sleeper)
        assert f"this rollout's lease (number {lease['number']}) was taken over: nobody holds it now" in line
        assert "stopped before the next act; look at `make status`, then deploy again" in line
        assert checkout.history() == lines
        assert standing(checkout) == stands
        assert checkout.version()["version"] == before
    finally:
        if sleeper.status is None:
            sleeper.kill(with_children=True)
