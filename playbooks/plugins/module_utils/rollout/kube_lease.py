"""The lease of an environment on a cluster: a Lease object, its fencing number in `leaseTransitions`.

An act proves the number by renewing the lease with the version that was read (compare and swap), so that it holds for
`leaseDurationSeconds` more. Whoever takes over writes his number on every Deployment before anything else, and acts on
these name the version that they saw: one that slept between proof and act changes nothing. The clock is that of the
API server.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from .errors import StaleLease
from .kube import Changed, Cluster, uncontested
from .lease import LeaseHeld, renewing

NAME = "rollout"
FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"


class ClusterLease:
    """The lease of one namespace.

    :param number: the fencing number of the rollout that acts; 0 for one that has not yet acquired it.
    :param seconds: until it expires unless renewed.
    """

    def __init__(self, cluster: Cluster, number: int = 0, seconds: float = 30.0) -> None:
        self.number, self.seconds = number, seconds
        self._cluster = cluster
        self._lock = threading.RLock()

    def holder(self) -> str:
        """Who holds it, in words; "" when it is free or expired."""
        spec = self._spec(self._cluster.get("Lease", NAME))
        return self._words(spec) if spec.get("holderIdentity") and not self._expired(spec) else ""

    def dead(self) -> str:
        """Whose lease expired without being given back, or ""."""
        spec = self._spec(self._cluster.get("Lease", NAME))
        return str(spec["holderIdentity"]) if spec.get("holderIdentity") and self._expired(spec) else ""

    def acquire(self, owner: str, above: int = 0) -> None:
        """Take the lease.

        :param above: a number that was used already, for the object may have been deleted.
        :raises LeaseHeld: its owner is alive as far as the clock tells.
        """
        lease = self._cluster.get("Lease", NAME)
        spec = self._spec(lease)
        if spec.get("holderIdentity") and not self._expired(spec):
            raise self._held(spec)
        number = max(int(spec.get("leaseTransitions") or 0), above) + 1
        mine = {
            "holderIdentity": owner,
            "leaseDurationSeconds": max(1, round(self.seconds)),
            "acquireTime": self._time(),
            "renewTime": self._time(),
            "leaseTransitions": number,
        }
        api = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": NAME}}
        with suppress(Changed):  # by another one, or by a try of this one's whose answer was lost
            if lease:
                self._cluster.replace(lease | {"spec": mine})
            else:
                self._cluster.create(api | {"spec": mine})
        now = self._spec(self._cluster.get("Lease", NAME))
        if {key: now.get(key) for key in ("holderIdentity", "leaseTransitions", "acquireTime")} != {
            key: mine[key] for key in ("holderIdentity", "leaseTransitions", "acquireTime")
        }:
            if not now.get("holderIdentity"):
                raise LeaseHeld("a rollout has just ended", "run the command again")
            raise self._held(now)
        self.number = number

    @contextmanager
    def act(self) -> Iterator[None]:
        """Do something short that changes the environment, with the number proved and the lease renewed just before."""
        with self._lock:
            self.renew()
            yield

    def renew(self) -> None:
        """Prove the number and let the lease expire `seconds` from now.

        :raises StaleLease: somebody else has it; that the object was changed otherwise is no reason.
        """
        self._write()

    def release(self) -> None:
        """Give the lease back; the number stays, so that the next one is higher."""
        self._write(holderIdentity="")

    @contextmanager
    def renewed(self) -> Iterator[None]:
        """Keep renewing the lease while work goes on."""
        self.renew()
        with renewing(self.renew, self.seconds):
            yield

    def _write(self, **changes: str) -> None:
        def written() -> None:
            lease = self._mine()
            spec = lease["spec"] | {"renewTime": self._time()} | changes
            self._cluster.replace(lease | {"spec": spec})

        with self._lock:
            uncontested(written)

    def _mine(self) -> dict[str, Any]:
        lease = self._cluster.get("Lease", NAME)
        spec = self._spec(lease)
        if not lease or not spec.get("holderIdentity") or spec["leaseTransitions"] != self.number:
            now = self._words(spec) if spec.get("holderIdentity") else "nobody holds it now"
            raise StaleLease(
                f"this rollout's lease (number {self.number}) was taken over: {now}; stopped before the next act",
                "look at `make status`, then deploy again",
            )
        return lease

    def _expired(self, spec: dict[str, Any]) -> bool:
        return self._cluster.now() >= self._end(spec)

    @staticmethod
    def _end(spec: dict[str, Any]) -> float:
        renewed = datetime.strptime(spec["renewTime"], FORMAT).replace(tzinfo=UTC).timestamp()
        return renewed + int(spec["leaseDurationSeconds"])

    def _time(self) -> str:
        return datetime.fromtimestamp(self._cluster.now(), UTC).strftime(FORMAT)

    @staticmethod
    def _spec(lease: dict[str, Any] | None) -> dict[str, Any]:
        return (lease or {}).get("spec") or {}

    @classmethod
    def _words(cls, spec: dict[str, Any]) -> str:
        until = datetime.fromtimestamp(cls._end(spec), UTC)
        return (
            f"number {spec['leaseTransitions']} is {spec['holderIdentity']} since {spec['acquireTime'][:19]}Z, "
            f"until {until:%H:%M:%S}Z unless renewed"
        )

    def _held(self, spec: dict[str, Any]) -> LeaseHeld:
        return LeaseHeld(
            f"a rollout is under way: {self._words(spec)}", "wait for it to end, then run the command again"
        )
