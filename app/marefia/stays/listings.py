"""Reading many listings at once."""

import datetime
from collections.abc import Sequence

from django.db.models import Exists, OuterRef, QuerySet

from marefia.stays.models import Booking, BookingStatus, Listing


def free_between(
    listings: QuerySet[Listing], check_in: datetime.date, check_out: datetime.date
) -> QuerySet[Listing]:
    """Leave out each listing of which an active booking takes one of these nights."""
    taken = Booking.objects.filter(
        listing=OuterRef("pk"), status=BookingStatus.CONFIRMED, check_in__lt=check_out, check_out__gt=check_in
    )
    return listings.filter(~Exists(taken))


def name_amenities(listings: Sequence[Listing]) -> None:
    """Give each listing its `amenity_names`, sorted: one query for all, and no objects for the names."""
    names: dict[int, list[str]] = {listing.pk: [] for listing in listings}
    pairs = Listing.amenities.through.objects.filter(listing__in=list(names)).order_by("amenity__name")
    for listing_id, name in pairs.values_list("listing_id", "amenity__name"):
        names[listing_id].append(name)
    for listing in listings:
        listing.amenity_names = names[listing.pk]
