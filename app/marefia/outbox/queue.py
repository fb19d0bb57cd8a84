"""Putting work into the outbox, and doing it. Time is the database's: the clocks of hosts differ."""

import uuid
from datetime import timedelta
from functools import partial
from time import monotonic
from typing import Any

import structlog
from celery import current_app
from django.db import transaction
from django.db.models import DateTimeField, ExpressionWrapper, F, Q, QuerySet
from django.db.models.functions import Now

from marefia.outbox.models import CLAIM, RESEND, OutboxRow, Status
from marefia.outbox.registry import HANDLERS, Handler

MAX_ATTEMPTS = 10
SWEEP_SIZE = 200
UNKNOWN_HANDLER_WAIT = timedelta(seconds=30)
BROKER_REST = 5.0  # seconds in which a broker that was away is not asked again: a request waits for it once
log = structlog.stdlib.get_logger(__name__)


class _Broker:
    """Of this process."""

    rests_until = 0.0


def put(handler: str, payload: dict[str, Any]) -> OutboxRow:
    """Store work for `handler` (`payload` fits JSON) in the current transaction; it is sent on commit.

    Raise TransactionManagementError outside of a transaction: work and cause could be without each other.
    """
    if not transaction.get_connection().in_atomic_block:
        raise transaction.TransactionManagementError("work is put into the outbox together with its cause")
    row = OutboxRow.objects.create(handler=handler, payload=payload)
    transaction.on_commit(partial(send, row.pk), robust=True)
    return row


def send(row_id: int) -> None:
    """Tell the workers of a row. A failure is only logged: the sweep sends again."""
    if monotonic() < _Broker.rests_until:
        return
    try:
        current_app.send_task("marefia.outbox.deliver", args=[row_id], retry=False)
    except Exception as error:  # noqa: BLE001 - whatever it is, the work is stored
        _Broker.rests_until = monotonic() + BROKER_REST
        log.warning("outbox_not_sent", row=row_id, reason=repr(error))


def deliver(row_id: int) -> bool:
    """Do a row's work unless it is done, claimed or not due. Return whether this call finished it."""
    claim = uuid.uuid4()
    due = OutboxRow.objects.filter(_free(), pk=row_id)
    if not due.update(claim=claim, claimed_until=_in(CLAIM), attempts=F("attempts") + 1):
        return False
    row = OutboxRow.objects.get(pk=row_id)
    handler = HANDLERS.get(row.handler)
    if (
        handler is None
    ):  # of another release, which runs beside this one or was rolled back: not the row's fault
        _mine(row).update(claim=None, available_at=_in(UNKNOWN_HANDLER_WAIT), attempts=F("attempts") - 1)
        log.warning("outbox_unknown_handler", row=row_id, handler=row.handler)
        return False
    try:
        return _run(handler, row)
    except Exception as error:  # noqa: BLE001 - any failure of a handler is an attempt that failed
        _fail(row, error)
        return False


def sweep() -> int:
    """Send again what is due and was never finished, whatever became of its message. Return how many."""
    with transaction.atomic():
        # Rows that are being worked on, or that another sweep has, are not waited for.
        rows = OutboxRow.objects.select_for_update(skip_locked=True)
        rows = rows.filter(_free(), sent_at__lte=_in(-RESEND)).order_by("available_at")
        ids = list(rows.values_list("pk", flat=True)[:SWEEP_SIZE])
        if ids:
            OutboxRow.objects.filter(pk__in=ids).update(sent_at=Now())
    for row_id in ids:
        send(row_id)
    return len(ids)


def _run(handler: Handler, row: OutboxRow) -> bool:
    if not handler.effect:
        handler.work(row)
        return _finish(row)
    with transaction.atomic():
        # First, and in the same transaction: whoever's claim was taken over meanwhile changes nothing.
        if not _finish(row):
            return False
        handler.work(row)
    return True


def _finish(row: OutboxRow) -> bool:
    return _mine(row).update(status=Status.DONE, done_at=Now(), claim=None, last_error="") > 0


def _fail(row: OutboxRow, error: Exception) -> None:
    dead = row.attempts >= MAX_ATTEMPTS
    wait = timedelta(seconds=min(2**row.attempts, 3600))
    log.error(
        "outbox_failed", row=row.pk, handler=row.handler, attempts=row.attempts, dead=dead, exc_info=error
    )
    _mine(row).update(
        status=Status.DEAD if dead else Status.PENDING,
        claim=None,
        claimed_until=None,
        available_at=_in(wait),
        last_error=f"{type(error).__name__}: {error}"[:2000],
    )


def _in(wait: timedelta) -> Any:
    return ExpressionWrapper(Now() + wait, output_field=DateTimeField())


def _free() -> Q:
    unclaimed = Q(claim__isnull=True) | Q(claimed_until__lte=Now())
    return Q(status=Status.PENDING, available_at__lte=Now()) & unclaimed


def _mine(row: OutboxRow) -> QuerySet[OutboxRow]:
    return OutboxRow.objects.filter(pk=row.pk, claim=row.claim, status=Status.PENDING)
