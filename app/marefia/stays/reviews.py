"""Reviewing a stay: the guest's own, over, and once."""

from typing import Any

from django.db import IntegrityError, transaction

from marefia.accounts.models import User
from marefia.stays.bookings import today
from marefia.stays.models import Booking, BookingStatus, Review


class CannotReviewError(Exception):
    """The reason is the message, fit for the guest."""


def may_review(booking: Booking) -> bool:
    """Whether the stay took place and is over."""
    return booking.status == BookingStatus.CONFIRMED and booking.check_out <= today()


def review(guest: User, booking: Booking, **content: Any) -> Review:
    """Store a review (`rating`, `text`); raise CannotReviewError when the rule forbids it."""
    if booking.guest_id != guest.pk:
        raise CannotReviewError("This is not your stay.")
    if not may_review(booking):
        raise CannotReviewError("A stay can be reviewed when it is over.")
    try:
        with transaction.atomic():
            return Review.objects.create(booking=booking, **content)
    except IntegrityError as error:
        raise CannotReviewError("You have reviewed this stay.") from error
