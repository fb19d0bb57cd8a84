"""One rollout at a time: whoever was taken for dead can no longer act. Two real deployers: test_two_deployers."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from rollout import lease as module
from rollout.errors import StaleLease
from rollout.lease import Lease, LeaseHeld
from tests.rollout.checkout import wait_until

SECONDS = 30.0
Act = Callable[[Lease], None]


def enter(lease: Lease) -> None:
    """An act that does nothing."""
    with lease.act():
        pass


ACTS: dict[str, Act] = {"act": enter, "renew": lambda lease: lease.renew(SECONDS), "release": Lease.release}


@dataclass
class Clock:
    """The time since the machine's start, which only a test moves."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(module, "_now", made)
    return made


def taken(root: Path, owner: str = "abebe@one", seconds: float = SECONDS) -> Lease:
    """A lease that `owner` has just taken."""
    lease = Lease(root)
    lease.acquire(owner, seconds)
    return lease


def test_every_owner_gets_a_greater_number_than_all_before(tmp_path: Path, clock: Clock) -> None:
    numbers = []
    for end in (
        Lease.release,
        Lease.release,
        lambda _: setattr(clock, "now", clock.now + SECONDS),
        Lease.release,
    ):
        lease = taken(tmp_path)
        numbers.append(lease.number)
        end(lease)
    assert numbers == [1, 2, 3, 4]


def test_the_second_is_told_who_holds_it_since_when_and_until_when(tmp_path: Path) -> None:
    before = datetime.now().astimezone()
    taken(tmp_path, "abebe@one", seconds=100)
    with pytest.raises(LeaseHeld) as refused:
        Lease(tmp_path).acquire("sara@two", 100)
    line = str(refused.value)
    times = {f"{before + timedelta(seconds=late):%H:%M:%S}" for late in range(100, 104)}
    assert "abebe@one since " + f"{before:%Y-%m-%d %H:%M}"[:13] in line
    assert any(f"until {time} unless renewed" in line for time in times), line
    assert line.endswith("wait for it to end, then run the command again")
    assert "\n" not in line


def test_a_refused_deployer_changes_nothing(tmp_path: Path, clock: Clock) -> None:
    holder = taken(tmp_path)
    with pytest.raises(LeaseHeld):
        Lease(tmp_path).acquire("sara@two", SECONDS)
    enter(holder)
    assert (tmp_path / "lease.number").read_text() == "1\n"


def test_a_dead_owner_is_taken_over_after_the_expiry_and_not_a_moment_before(
    tmp_path: Path, clock: Clock
) -> None:
    taken(tmp_path)
    clock.now += SECONDS - 0.001
    with pytest.raises(LeaseHeld):
        Lease(tmp_path).acquire("sara@two", SECONDS)
    clock.now += 0.001
    dead = Lease(tmp_path).acquire("sara@two", SECONDS)
    assert dead is not None
    assert (dead.number, dead.owner) == (1, "abebe@one")


def test_a_lease_of_an_earlier_boot_is_expired_whatever_its_clock_says(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken(tmp_path, seconds=1e9)
    monkeypatch.setattr(module, "_boot", lambda: "another boot")
    assert Lease(tmp_path).acquire("sara@two", SECONDS) is not None


@pytest.mark.parametrize("act", ACTS)
def test_an_owner_who_slept_too_long_finds_his_number_stale_in_every_act(
    tmp_path: Path, clock: Clock, act: str
) -> None:
    sleeper = taken(tmp_path)
    clock.now += SECONDS
    taken(tmp_path, "sara@two")
    held = (tmp_path / "lease.json").read_bytes()
    with pytest.raises(StaleLease, match=r"number 1\) was taken over: number 2 is sara@two .*deploy again$"):
        ACTS[act](sleeper)
    assert (tmp_path / "lease.json").read_bytes() == held, "the sleeper touched the lease of another"


@pytest.mark.parametrize("act", ACTS)
def test_after_the_next_one_has_ended_the_sleeper_is_stale_all_the_same(
    tmp_path: Path, clock: Clock, act: str
) -> None:
    sleeper = taken(tmp_path)
    clock.now += SECONDS
    taken(tmp_path, "sara@two").release()
    with pytest.raises(StaleLease, match="nobody holds it now"):
        ACTS[act](sleeper)


def test_an_owner_who_slept_and_was_not_missed_goes_on(tmp_path: Path, clock: Clock) -> None:
    lease = taken(tmp_path)
    clock.now += 10 * SECONDS
    lease.renew(SECONDS)
    with pytest.raises(LeaseHeld):
        Lease(tmp_path).acquire("sara@two", SECONDS)


def test_without_the_proof_of_the_number_the_sleeper_would_act(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control: what the tests above see is the work of this one check."""
    sleeper = taken(tmp_path)
    clock.now += SECONDS
    taken(tmp_path, "sara@two")
    monkeypatch.setattr(Lease, "_require_mine", lambda self: self.holder())
    sleeper.release()
    assert Lease(tmp_path).holder() is None, "without the check, the sleeper gives back what is not his"


def test_a_number_is_proved_before_work_begins_that_renews_the_lease(tmp_path: Path, clock: Clock) -> None:
    sleeper = taken(tmp_path)
    clock.now += SECONDS
    taken(tmp_path, "sara@two")
    with pytest.raises(StaleLease), sleeper.renewed(SECONDS):
        pytest.fail("the work began")


def test_a_lease_stays_alive_as_long_as_the_work_and_ends_after_it(tmp_path: Path) -> None:
    lease, seconds = taken(tmp_path, seconds=0.6), 0.6
    first = lease.holder()
    assert first is not None
    with lease.renewed(seconds):
        wait_until(lambda: module._now() > first.expires + seconds, "the first expiry to be long past")
        with pytest.raises(LeaseHeld):
            Lease(tmp_path).acquire("sara@two", SECONDS)
    wait_until(lambda: (holder := lease.holder()) is not None and holder.expired, "nobody to renew it", 5)


def test_nobody_takes_over_in_the_middle_of_an_act(tmp_path: Path, clock: Clock) -> None:
    lease, order = taken(tmp_path), list[str]()

    def take_over() -> None:
        Lease(tmp_path).acquire("sara@two", SECONDS)
        order.append("taken over")

    other = threading.Thread(target=take_over)
    with lease.act():
        clock.now += SECONDS
        other.start()
        other.join(0.2)
        assert other.is_alive(), "somebody took the lease over while its owner acted"
        order.append("acted")
    other.join(10)
    assert order == ["acted", "taken over"]


def test_of_many_who_want_it_at_once_exactly_one_gets_it(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from rollout.lease import Lease, LeaseHeld\n"
        "sys.stdin.read(1); lease = Lease(Path(sys.argv[1]))\n"
        "try: lease.acquire('one of many', 60)\n"
        "except LeaseHeld: sys.exit(3)\n"
    )
    start = [sys.executable, "-c", code, str(tmp_path)]
    path = {"PYTHONPATH": str(Path(module.__file__).parents[1])}
    many = [subprocess.Popen(start, env=path, stdin=subprocess.PIPE) for _ in range(6)]
    for one in many:
        assert one.stdin is not None
        one.stdin.write(b"!")
        one.stdin.close()
    assert sorted(one.wait(30) for one in many) == [0, 3, 3, 3, 3, 3]
    assert json.loads((tmp_path / "lease.json").read_text())["number"] == 1
