"""Rows for the tests."""

import datetime
import itertools
import uuid
from decimal import Decimal
from typing import Any

from marefia.accounts.models import Role, User
from marefia.stays.bookings import Wish, today
from marefia.stays.models import Booking, Listing, Review

PASSWORD = "quiet-hills-7"  # pragma: allowlist secret
numbers = itertools.count(1)


def user(role: str = Role.GUEST, **fields: Any) -> User:
    """A user with PASSWORD."""
    return User.objects.create_user(
        fields.pop("email", f"user{next(numbers)}@example.org"), PASSWORD, role=role, **fields
    )


def listing(**fields: Any) -> Listing:
    """A place for four at 500 ETB."""
    fields.setdefault("host", None)
    fields["host"] = fields["host"] or user(Role.HOST, first_name="Almaz", last_name="Tesfaye")
    defaults = {"title": "Garden house", "place": "Gondar", "price": Decimal(500), "capacity": 4}
    return Listing.objects.create(**defaults | fields)


def wish(place: Listing, begins: int = 10, nights: int = 3, **fields: Any) -> Wish:
    """A stay for two that begins in so many days."""
    check_in = today() + datetime.timedelta(days=begins)
    defaults: dict[str, Any] = {
        "listing_id": place.pk,
        "check_in": check_in,
        "check_out": check_in + datetime.timedelta(days=nights),
        "guests": 2,
        "reference": uuid.uuid4(),
    }
    return Wish(**defaults | fields)


def past_stay(guest: User, place: Listing) -> Booking:
    """A stay that is over, before the others of its place."""
    before = Booking.objects.filter(listing=place, check_out__lte=today()).count()
    check_in = today() - datetime.timedelta(days=9 + 2 * before)
    check_out = check_in + datetime.timedelta(days=2)
    return Booking.objects.create(
        listing=place, guest=guest, check_in=check_in, check_out=check_out, guests=1, total=1000
    )


def review(guest: User, place: Listing, rating: int = 5, **fields: Any) -> Review:
    """What a guest said of a stay that is over."""
    return Review.objects.create(booking=past_stay(guest, place), rating=rating, **fields)
