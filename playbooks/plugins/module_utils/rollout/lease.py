"""One rollout at a time: a lease with an expiry and a fencing number, decided in a file on the first host.

The number grows with every owner. Whoever acts proves under the file's lock that the number is still his, so a
deployer that was only asleep cannot act after it was taken for dead. Time is CLOCK_BOOTTIME (it counts a
suspended machine's sleep and nobody can set it); a lease of an earlier boot is expired.
The other hosts of a fleet follow: each keeps the number in a file of its own, by which its acts are proved and renewed.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path

from .errors import RolloutError, StaleLease
from .files import locked, read_json, write_atomically, write_json

LOCK_SECONDS = 10.0


def _now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


@dataclass(frozen=True)
class Holder:
    """Who holds the lease. `since` is local wall-clock time for people, `expires` is CLOCK_BOOTTIME in seconds."""

    number: int
    owner: str
    since: str
    expires: float
    boot: str

    @property
    def expired(self) -> bool:
        return self.boot != _boot() or _now() >= self.expires

    def __str__(self) -> str:
        until = datetime.now().astimezone() + timedelta(seconds=self.expires - _now())
        return f"{self.owner} since {self.since} until {until:%H:%M:%S} unless renewed"


class LeaseHeld(RolloutError):
    """Somebody else holds the lease and is not yet expired."""


def _held(holder: Holder) -> LeaseHeld:
    return LeaseHeld(f"a rollout is under way: {holder}", "wait for it to end, then run the command again")


@contextmanager
def renewing(renew: Callable[[], None], seconds: float) -> Iterator[None]:
    """Call `renew` three times in `seconds`, the lease's length, while work goes on and its deployer lives."""
    done = threading.Event()

    def keep() -> None:
        while not done.wait(seconds / 3) and not deserted():
            try:
                renew()
            except StaleLease:
                return  # the next act says so
            except (RolloutError, OSError):
                continue  # a long act, or a full disk: until the expiry there is time to try again

    thread = threading.Thread(target=keep, name="renewing", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(LOCK_SECONDS)


def deserted() -> bool:
    """Whether the deployer on this same machine is dead: Ansible's workers, in sessions of their own, outlive it."""
    deployer = os.environ.get("ROLLOUT_DEPLOYER", "")
    return bool(deployer) and not Path(f"/proc/{deployer}").exists()


class Lease:
    """The lease of one environment.

    :param root: the environment's folder.
    :param number: the fencing number of the rollout that acts; 0 for one that has not yet acquired it.
    """

    def __init__(self, root: Path, number: int = 0) -> None:
        self.number = number
        self._file = root / "lease.json"
        self._counter = root / "lease.number"
        self._lock = root / "lease.lock"

    def holder(self) -> Holder | None:
        """Who holds it now, expired or not; None when it is free."""
        stored = read_json(self._file)
        return Holder(**stored) if stored else None

    def require_free(self) -> int:
        """Returns the last number that was given. Raises LeaseHeld when somebody acts here."""
        if (holder := self.holder()) and not holder.expired:
            raise _held(holder)
        return self._last()

    def acquire(self, owner: str, seconds: float, above: int = 0) -> Holder | None:
        """Take the lease for `seconds`.

        :param above: the number will be higher than this one.
        :returns: the dead owner from whom it was taken over, if there was one.
        :raises LeaseHeld: the owner is alive as far as the clock tells.
        """
        return self._take(owner, seconds, lambda: max(self._last(), above) + 1)

    def follow(self, number: int, owner: str, seconds: float) -> Holder | None:
        """Take over the number that the first host gave. Returns and raises as `acquire` does."""
        if number <= self._last():
            raise StaleLease(
                f"number {number} is not above {self._last()}, which was given here", "run the command again"
            )
        return self._take(owner, seconds, lambda: number)

    def _last(self) -> int:
        return int(self._counter.read_text() if self._counter.exists() else 0)

    def _take(self, owner: str, seconds: float, number: Callable[[], int]) -> Holder | None:
        with self._locked():
            before = self.holder()
            if before and not before.expired:
                raise _held(before)
            self.number = number()
            write_atomically(self._counter, f"{self.number}\n")
            since = f"{datetime.now().astimezone():%Y-%m-%d %H:%M:%S}"
            write_json(self._file, asdict(Holder(self.number, owner, since, _now() + seconds, _boot())))
            return before

    @contextmanager
    def act(self) -> Iterator[None]:
        """Do something that changes the environment, with the number proved and nobody able to take over meanwhile.

        Keep what is done inside short.
        """
        with self._locked():
            self._require_mine()
            yield

    def _locked(self) -> AbstractContextManager[int]:
        holder = self.holder() or "a rollout"
        return locked(self._lock, LOCK_SECONDS, f"{holder}, in the middle of an act")

    def renew(self, seconds: float) -> None:
        """Let the lease expire `seconds` from now."""
        with self.act():
            self._extend(seconds)

    def _extend(self, seconds: float) -> None:
        write_json(self._file, asdict(self._require_mine()) | {"expires": _now() + seconds})

    def release(self) -> None:
        """Give the lease back."""
        with self.act():
            self._file.unlink()

    @contextmanager
    def renewed(self, seconds: float) -> Iterator[None]:
        """Keep renewing the lease while work goes on; the number is proved before it begins.

        A disk without room stops the renewal, not the work: undoing has to be possible on it.
        """
        with self.act(), suppress(OSError):
            self._extend(seconds)
        with renewing(lambda: self.renew(seconds), seconds):
            yield

    def _require_mine(self) -> Holder:
        holder = self.holder()
        if not holder or holder.number != self.number:
            now = f"number {holder.number} is {holder}" if holder else "nobody holds it now"
            raise StaleLease(
                f"this rollout's lease (number {self.number}) was taken over: {now}; stopped before the next act",
                "look at `make status`, then deploy again",
            )
        return holder
