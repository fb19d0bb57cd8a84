"""The Celery tasks of stays."""

from celery import shared_task

from marefia.stays import bookings


@shared_task(name="marefia.stays.expire")
def expire() -> None:
    """Cancel what was not paid in time."""
    bookings.expire()
