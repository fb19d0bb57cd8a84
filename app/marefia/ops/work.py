"""What operations need done in the background."""

from datetime import timedelta

from django.core.management import call_command
from django.utils import timezone
from knox.models import AuthToken

from marefia.cleanup import expired
from marefia.outbox.models import OutboxRow, Status
from marefia.outbox.registry import effect

KEEP_DONE = timedelta(days=7)


@effect("marefia.ops.clean_up")
def clean_up(row: OutboxRow) -> None:
    """Delete what has expired: sessions, tokens, outbox rows that were done long ago, and what other parts keep."""
    now = timezone.now()
    call_command("clearsessions")
    AuthToken.objects.filter(expiry__lt=now).delete()
    OutboxRow.objects.filter(status=Status.DONE, done_at__lt=now - KEEP_DONE).delete()
    expired.send(sender=None)
