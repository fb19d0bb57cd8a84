"""Which listings, in which order."""

import datetime
from decimal import Decimal
from typing import Any

import graphene
from django.db.models import QuerySet

from marefia.graph.errors import bad_input
from marefia.graph.pages import Order, Page
from marefia.graph.scalars import Money
from marefia.stays import listings
from marefia.stays.models import Listing

LONGEST, MOST_AMENITIES = 120, 10


class ListingOrder(graphene.Enum):
    """How listings are ordered; of two that are equal, always the same is the first."""

    NEWEST = "newest"
    CHEAPEST = "cheapest"
    DEAREST = "dearest"


ORDERS = {
    "newest": Order(Listing, descending=True),
    "cheapest": Order(Listing, ("price", "id")),
    "dearest": Order(Listing, ("price", "id"), descending=True),
}


class ListingFilter(graphene.InputObjectType):
    """All of it has to hold."""

    place = graphene.String(description="part of the place's name")
    text = graphene.String(description="words, each in title, place or description")
    min_price = Money()
    max_price = Money()
    capacity = graphene.Int(description="holds so many guests")
    amenities = graphene.List(
        graphene.NonNull(graphene.String), description=f"at most {MOST_AMENITIES} names; offers all of them"
    )
    check_in = graphene.Date(description="is free from here")
    check_out = graphene.Date(description="to here, at which the next may arrive")


def found(wanted: dict[str, Any], order: str, asked: dict[str, Any]) -> dict[str, Any]:
    """Return a page of the listings that a filter leaves; raise for a filter that makes no sense."""
    return Page(ORDERS[order], **asked).of(_narrowed(**wanted))


def _narrowed(
    *,
    place: str | None = None,
    text: str | None = None,
    min_price: Decimal | None = None,
    max_price: Decimal | None = None,
    capacity: int | None = None,
    amenities: list[str] | None = None,
    check_in: datetime.date | None = None,
    check_out: datetime.date | None = None,
) -> QuerySet[Listing]:
    if max(map(len, (place or "", text or "", *(amenities or ())))) > LONGEST:
        raise bad_input(f"Nothing is looked for by more than {LONGEST} characters.")
    if len(amenities or ()) > MOST_AMENITIES:
        raise bad_input(f"Listings are looked for by at most {MOST_AMENITIES} amenities.")
    bounds = {
        "place__icontains": place,
        "price__gte": min_price,
        "price__lte": max_price,
        "capacity__gte": capacity,
    }
    narrowed = Listing.objects.filter(**{key: value for key, value in bounds.items() if value is not None})
    narrowed = listings.offering(listings.mentioning(narrowed, text or ""), amenities or ())
    if check_in and check_out and check_in < check_out:
        return listings.free_between(narrowed, check_in, check_out)
    if check_in or check_out:
        raise bad_input("A stay has `checkIn` and `checkOut`, and the first is earlier.")
    return narrowed
