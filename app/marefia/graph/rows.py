"""Rows by their keys, for `context.load`: one query each, however many keys."""

from collections.abc import Iterable, Sequence
from typing import Any

from marefia.accounts.models import User
from marefia.graph.pages import Order, Page
from marefia.payments.models import Payment
from marefia.stays.models import Amenity, Booking, Listing, Review

NEWEST_BOOKINGS = Order(Booking, descending=True)
NEWEST_LISTINGS = Order(Listing, descending=True)
NEWEST_REVIEWS = Order(Review, descending=True)
WITH_AUTHOR = Review.objects.select_related("booking__guest")


def viewers(keys: Iterable[int]) -> dict[int, User]:
    """Users with their profiles."""
    return User.objects.select_related("profile").in_bulk(keys)


def hosts(keys: Iterable[int]) -> dict[int, User]:
    """Users who offer something: who else has signed up is nobody's business."""
    offering = Listing.objects.values("host")
    return User.objects.filter(pk__in=offering).only("first_name", "last_name").in_bulk(keys)


def amenities(keys: Iterable[int]) -> dict[int, Amenity]:
    """Amenities."""
    return Amenity.objects.in_bulk(keys)


def listings(keys: Iterable[int]) -> dict[int, Listing]:
    """Listings."""
    return Listing.objects.in_bulk(keys)


def reviews(keys: Iterable[int]) -> dict[int, Review]:
    """Reviews."""
    return WITH_AUTHOR.in_bulk(keys)


def bookings_of(keys: Iterable[int], guest: int | None) -> dict[int, Booking]:
    """A guest's bookings among these."""
    return Booking.objects.filter(guest_id=guest).in_bulk(keys)


def payments_of(keys: Iterable[int], guest: int | None) -> dict[int, Payment]:
    """A guest's payments among these."""
    return Payment.objects.filter(booking__guest_id=guest).in_bulk(keys)


def payments_of_bookings(keys: Sequence[int]) -> dict[int, list[Payment]]:
    """Each booking's payments."""
    found: dict[int, list[Payment]] = {key: [] for key in keys}
    for payment in Payment.objects.filter(booking__in=keys):
        found[payment.booking_id].append(payment)
    return found


def amenities_of_listings(keys: Sequence[int]) -> dict[int, list[Amenity]]:
    """What each listing offers."""
    found: dict[int, list[Amenity]] = {key: [] for key in keys}
    pairs = Listing.amenities.through.objects.filter(listing__in=keys).order_by("amenity__name")
    for pair in pairs.select_related("amenity"):
        found[pair.listing_id].append(pair.amenity)
    return found


def listings_of_hosts(keys: Sequence[int], page: Page) -> dict[int, dict[str, Any]]:
    """A page of each host's listings."""
    return page.of_each(Listing.objects.all(), "host_id", keys)


def reviews_of_listings(keys: Sequence[int], page: Page) -> dict[int, dict[str, Any]]:
    """A page of each listing's reviews."""
    return page.of_each(WITH_AUTHOR, "booking__listing_id", keys)


def reviews_of_bookings(keys: Iterable[int]) -> dict[int, Review]:
    """Each booking's review."""
    return {review.booking_id: review for review in WITH_AUTHOR.filter(booking__in=keys)}


def bookings_of_guests(keys: Sequence[int], page: Page, status: str | None) -> dict[int, dict[str, Any]]:
    """A page of each guest's bookings."""
    bookings = Booking.objects.filter(status=status) if status else Booking.objects.all()
    return page.of_each(bookings, "guest_id", keys)
