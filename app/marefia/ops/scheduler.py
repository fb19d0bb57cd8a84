"""Celery beat under a lease in the database: many may run, one acts.

Each run is claimed in one transaction which also checks the lease, so a scheduler that was asleep while
another took over can no longer act: its claim fails. Time is the database's (`Now()`), since the clocks of
hosts differ; only the pace of renewals is this process's own. Work named like an outbox handler is put into
the outbox within the claim: neither lost nor done twice when a scheduler dies before the message is sent.
It waits for no broker, or its lease would expire meanwhile: what cannot be sent now is due again soon.
"""

import os
import socket
import uuid
from datetime import timedelta
from math import inf
from time import monotonic
from typing import Any

import structlog
from celery.beat import ScheduleEntry, Scheduler
from django.conf import settings
from django.db import DatabaseError, close_old_connections, connection, transaction
from django.db.models import DateTimeField, ExpressionWrapper, F, QuerySet
from django.db.models.functions import Now

from marefia.ops.models import Lease, ScheduledRun
from marefia.outbox import queue
from marefia.outbox.registry import HANDLERS

LEASE = "scheduler"
EXPIRES = timedelta(seconds=10)
RENEW_EVERY = 3.0  # seconds
log = structlog.stdlib.get_logger(__name__)


class LeasedScheduler(Scheduler):
    """Beat's scheduler, which acts only while it holds the lease."""

    producer = None  # messages go by the application's connections, which fail at once; beat's own waits

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.holder = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self.number: int | None = None
        self.renewed = -inf
        self.ticking = False
        super().__init__(*args, **kwargs)

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Do at most one due run. Return the seconds until the next look."""
        if settings.ENV.ready_file:
            settings.ENV.ready_file.touch()
        self.ticking = True
        try:
            close_old_connections()
            if not self._hold():
                return float(self.max_interval)
            return float(min(super().tick(*args, **kwargs), self.max_interval))
        except DatabaseError as error:
            log.warning("scheduler_database_away", reason=str(error))
            self.renewed = -inf  # what is in memory may not have been written
            connection.close()
            return float(self.max_interval)
        finally:
            self.ticking = False

    def apply_entry(self, entry: ScheduleEntry, producer: Any = None) -> None:
        """Claim a run of `entry`, and start it if the claim holds."""
        ran_at = self.schedule[entry.name].last_run_at  # tick() has set it to now
        with transaction.atomic():
            if not self._mine().select_for_update().exists():
                log.warning("scheduler_lease_lost", holder=self.holder, entry=entry.name)
                self.number = None
                return
            ScheduledRun.objects.update_or_create(
                name=entry.name,
                defaults={"last_run_at": ran_at, "runs": F("runs") + 1},
                create_defaults={"last_run_at": ran_at, "runs": 1},
            )
            durable = entry.task in HANDLERS
            if durable:
                queue.put(entry.task, {})
        log.info("scheduled", entry=entry.name, lease=self.number)
        if not durable:
            super().apply_entry(entry, producer)

    def close(self) -> None:
        """Free the lease, so that another goes on at once. Called by the signal's handler and at the end.

        The handler may have interrupted a query, whose connection cannot be used then: the end will see to it.
        """
        if self.number is not None and not self.ticking:
            try:
                connection.close()
                self._mine().update(expires_at=Now())
                self.number = None
            except DatabaseError as error:
                log.warning("scheduler_lease_not_freed", reason=str(error))
        super().close()

    def _hold(self) -> bool:
        """Renew the lease or take it when it is free. Return whether it is held."""
        until = ExpressionWrapper(Now() + EXPIRES, output_field=DateTimeField())
        if self.number is not None:
            if monotonic() - self.renewed < RENEW_EVERY:
                return True
            if self._mine().update(expires_at=until):
                if self.renewed == -inf:
                    self._load()
                self.renewed = monotonic()
                return True
            log.warning("scheduler_lease_lost", holder=self.holder)
            self.number = None
        free = Lease.objects.filter(name=LEASE, expires_at__lte=Now())
        if not free.exists():
            if Lease.objects.filter(name=LEASE).exists():
                return False
            Lease.objects.bulk_create([Lease(name=LEASE, expires_at=Now())], ignore_conflicts=True)
        with transaction.atomic():
            if not free.update(holder=self.holder, number=F("number") + 1, expires_at=until):
                return False
            self.number = Lease.objects.get(name=LEASE).number
        self.renewed = monotonic()
        log.info("scheduler_lease_taken", holder=self.holder, lease=self.number)
        self._load()
        return True

    def _mine(self) -> QuerySet[Lease]:
        held = Lease.objects.filter(name=LEASE, expires_at__gt=Now())
        return held.filter(holder=self.holder, number=self.number or 0)

    def _load(self) -> None:
        """Take over where the last holder stopped; an entry that never ran counts from now."""
        runs = dict(ScheduledRun.objects.values_list("name", "last_run_at"))
        for name, entry in self.schedule.items():
            entry.last_run_at = runs.get(name) or entry.default_now()
        self._heap = None
