"""The outbox's Celery tasks. Their names are what messages carry, also between releases."""

from celery import shared_task

from marefia.outbox import queue


@shared_task(name="marefia.outbox.deliver")
def deliver(row_id: int) -> None:
    """Do the work of one row."""
    queue.deliver(row_id)


@shared_task(name="marefia.outbox.sweep")
def sweep() -> None:
    """Send again what was never finished."""
    queue.sweep()
