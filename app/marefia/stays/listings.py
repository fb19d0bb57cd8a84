"""Finding listings, and reading many at once."""

import datetime
from collections.abc import Iterable, Sequence

from django.db.models import Exists, OuterRef, Q, QuerySet

from marefia.stays.models import Booking, BookingStatus, Listing


def name_amenities(listings: Sequence[Listing]) -> None:
    """Give each listing its `amenity_names`, sorted: one query for all, and no objects for the names."""
    names: dict[int, list[str]] = {listing.pk: [] for listing in listings}
    pairs = Listing.amenities.through.objects.filter(listing__in=list(names)).order_by("amenity__name")
    for listing_id, name in pairs.values_list("listing_id", "amenity__name"):
        names[listing_id].append(name)
    for listing in listings:
        listing.amenity_names = names[listing.pk]


def free_between(
    listings: QuerySet[Listing], check_in: datetime.date, check_out: datetime.date
) -> QuerySet[Listing]:
    """Narrow to those that nobody has booked for any night of a stay."""
    taken = Booking.objects.filter(
        listing=OuterRef("pk"),
        status=BookingStatus.CONFIRMED,
        check_in__lt=check_out,
        check_out__gt=check_in,
    )
    return listings.filter(~Exists(taken))


def offering(listings: QuerySet[Listing], amenities: Iterable[str]) -> QuerySet[Listing]:
    """Narrow to those that offer every one of the amenities."""
    for name in sorted(set(amenities)):
        listings = listings.filter(amenities__name=name)
    return listings


def mentioning(listings: QuerySet[Listing], text: str) -> QuerySet[Listing]:
    """Narrow to those that have each word of a text in title, place or description."""
    for word in text.split():
        listings = listings.filter(
            Q(title__icontains=word) | Q(place__icontains=word) | Q(description__icontains=word)
        )
    return listings
