"""What the worker does for stays."""

from django.db.models import F

from marefia.outbox.models import OutboxRow
from marefia.outbox.registry import effect
from marefia.stays.models import Listing


@effect("stays.count_nights")
def count_nights(row: OutboxRow) -> None:
    """Add a booking's nights to its listing (negative: it was cancelled)."""
    listing = Listing.objects.filter(pk=row.payload["listing"])
    listing.update(nights_booked=F("nights_booked") + row.payload["nights"])
