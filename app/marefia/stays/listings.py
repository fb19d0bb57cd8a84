"""Listings: reading many at once, finding them, and who offers and changes them."""

import datetime
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from marefia.accounts.models import User
from marefia.stays.bookings import overlapping
from marefia.stays.models import Listing

ORDERS = {
    "": ("id",),
    "newest": ("-id",),
    "cheapest": ("price", "id"),
    "dearest": ("-price", "-id"),
}


class NotAllowedError(Exception):
    """The reason is the message, fit for the user."""


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
    """Keep those that nobody has booked for any night between two dates."""
    return listings.exclude(Exists(overlapping(check_in, check_out).filter(listing=OuterRef("pk"))))


def offering(listings: QuerySet[Listing], amenities: Iterable[Any], by: str = "name") -> QuerySet[Listing]:
    """Keep those that offer all of these amenities, told by their names or by another field."""
    pairs = Listing.amenities.through.objects.filter(listing=OuterRef("pk"))
    for amenity in sorted(set(amenities)):
        listings = listings.filter(Exists(pairs.filter(**{f"amenity__{by}": amenity})))
    return listings


def mentioning(listings: QuerySet[Listing], text: str) -> QuerySet[Listing]:
    """Keep those that have each word of a text in title, place or description."""
    for word in text.split():
        listings = listings.filter(
            Q(title__icontains=word) | Q(place__icontains=word) | Q(description__icontains=word)
        )
    return listings


def search(
    *,
    text: str = "",
    place: str = "",
    check_in: datetime.date | None = None,
    check_out: datetime.date | None = None,
    guests: int | None = None,
    min_price: Decimal | None = None,
    max_price: Decimal | None = None,
    amenities: Iterable[int] = (),
    order: str = "",
) -> QuerySet[Listing]:
    """Return the listings that all of this holds for; prices are ETB a night, `order` is a key of ORDERS."""
    found = mentioning(Listing.objects.order_by(*ORDERS[order]), text)
    if place:
        found = found.filter(place__icontains=place)
    if check_in and check_out:
        found = free_between(found, check_in, check_out)
    found = offering(found, amenities, by="pk")
    bounds = {"capacity__gte": guests, "price__gte": min_price, "price__lte": max_price}
    return found.filter(**{lookup: value for lookup, value in bounds.items() if value is not None})


def offer(host: User, amenities: Iterable[int] = (), **content: Any) -> Listing:
    """Store a new listing; raise NotAllowedError when the user is no host."""
    if not host.is_host:
        raise NotAllowedError("Only a host may offer places.")
    with transaction.atomic():
        listing = Listing.objects.create(host=host, **content)
        listing.amenities.set(amenities)
    return listing


@transaction.atomic
def change(host: User, pk: int, amenities: Iterable[int] = (), **content: Any) -> Listing:
    """Store what a listing says now, and nothing else of it: the worker counts its nights meanwhile.

    Raise NotAllowedError when it is another's, and Listing.DoesNotExist.
    """
    listing = Listing.objects.select_for_update().get(pk=pk)
    if not may_change(host, listing):
        raise NotAllowedError("Only its own host may change a place.")
    for name, value in content.items():
        setattr(listing, name, value)
    listing.save(update_fields=list(content))
    listing.amenities.set(amenities)
    return listing


def may_change(user: User, listing: Listing) -> bool:
    """Whether the listing is the user's own, and the user still a host."""
    return user.is_host and listing.host_id == user.pk
