"""Booking a listing: no two active bookings overlap, and one reference is one booking.

A lock for each listing keeps the rule here; whoever writes, so does a constraint on PostgreSQL, triggers on MariaDB.
"""

import datetime
import uuid
from dataclasses import dataclass

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.dispatch import Signal
from django.utils import timezone

from marefia.accounts.models import User
from marefia.outbox import mail, queue
from marefia.stays.models import Booking, BookingStatus, Listing

MAX_NIGHTS = 90
PAY_WITHIN = datetime.timedelta(minutes=30)
A_ROUND = 500
NO_OVERLAP = "booking_no_overlap"  # the constraint, and what the triggers say
TAKEN = "Some of these nights are taken."
cancelled = Signal()
"""Sent with `booking` in the transaction that cancels it: what follows from it is done with it or not at all."""


class CannotBookError(Exception):
    """The reason is the message, fit for the guest; `field` is the part of the wish that it is about, if one."""

    def __init__(self, reason: str, field: str | None = None) -> None:
        super().__init__(reason)
        self.field = field


class ConflictError(CannotBookError):
    """The request is well-formed, but what it asks for is taken."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a guest asks for."""

    listing_id: int
    check_in: datetime.date
    check_out: datetime.date
    guests: int
    reference: uuid.UUID


def book(guest: User, wish: Wish) -> tuple[Booking, bool]:
    """Store a booking and what follows from it (nights to count, a mail); return it and whether it is new.

    The same reference with the same content from the same guest is the same booking, returned as it stands.
    Raise CannotBookError when the wish breaks a rule, ConflictError when nights or reference are taken, and
    Listing.DoesNotExist.
    """
    try:
        return _book(guest, wish)
    except IntegrityError as error:
        _same(guest, wish)  # the same reference, at the same moment, for another listing
        if NO_OVERLAP in str(error):
            raise ConflictError(TAKEN) from error
        raise


@transaction.atomic
def _book(guest: User, wish: Wish) -> tuple[Booking, bool]:
    # All bookings of a listing pass this lock (on SQLite the transaction is the lock: BEGIN IMMEDIATE).
    listing = Listing.objects.select_for_update().get(pk=wish.listing_id)
    if same := _same(guest, wish):
        return same, False
    _check(guest, listing, wish)
    if overlapping(wish.check_in, wish.check_out).filter(listing=listing).exists():
        raise ConflictError(TAKEN)
    booking = Booking.objects.create(
        listing=listing,
        guest=guest,
        check_in=wish.check_in,
        check_out=wish.check_out,
        guests=wish.guests,
        total=listing.price * (wish.check_out - wish.check_in).days,
        reference=wish.reference,
        pay_by=timezone.now() + PAY_WITHIN if settings.PAYMENTS else None,
    )
    queue.put("stays.count_nights", {"listing": listing.pk, "nights": booking.nights})
    mail.post(
        to=guest.email,
        subject=f"Booked: {listing.title}",
        body=f"{listing}\n{booking.check_in} to {booking.check_out}, {booking.guests} guests\n"
        f"Total: {booking.total} ETB{_due(booking)}\nReference: {booking.reference}\n",
    )
    return booking, True


@transaction.atomic
def cancel(booking: Booking) -> Booking:
    """Give a booking's nights back; return it as it stands now. Cancelling twice is cancelling once.

    Raise ConflictError when the stay has begun.
    """
    booking = Booking.objects.select_for_update().get(pk=booking.pk)
    if booking.status == BookingStatus.CANCELLED:
        return booking
    if booking.check_in <= today():
        raise ConflictError("The stay has begun.")
    return _give_back(booking)


def expire() -> int:
    """Cancel what was not paid in time, and tell its guests. Return how many."""
    late = Booking.objects.filter(status=BookingStatus.CONFIRMED, pay_by__lte=Now())
    ids = list(late.values_list("pk", flat=True)[:A_ROUND])
    return sum(map(_expire, ids))


@transaction.atomic
def _expire(pk: int) -> bool:
    locked = Booking.objects.select_for_update()
    booking = locked.filter(pk=pk, status=BookingStatus.CONFIRMED, pay_by__lte=Now()).first()
    if booking is None:
        return False
    _give_back(booking)
    mail.post(
        to=booking.guest.email,
        subject=f"Cancelled: {booking.listing.title}",
        body=f"{booking.listing}\n{booking.check_in} to {booking.check_out}\nIt was not paid in time.\n"
        f"Reference: {booking.reference}\n",
    )
    return True


def _give_back(booking: Booking) -> Booking:
    booking.status = BookingStatus.CANCELLED
    booking.save(update_fields=["status"])
    queue.put("stays.count_nights", {"listing": booking.listing_id, "nights": -booking.nights})
    cancelled.send(Booking, booking=booking)
    return booking


def _due(booking: Booking) -> str:
    return f", to be paid by {timezone.localtime(booking.pay_by):%H:%M}" if booking.pay_by else ""


def overlapping(check_in: datetime.date, check_out: datetime.date) -> QuerySet[Booking]:
    """Return the bookings, of all listings, that take a night between two dates."""
    return Booking.objects.filter(
        status=BookingStatus.CONFIRMED, check_in__lt=check_out, check_out__gt=check_in
    )


def check_nights(check_in: datetime.date, check_out: datetime.date) -> None:
    """Raise CannotBookError when no place can be booked for these nights."""
    nights = (check_out - check_in).days
    _keep(
        ("The stay has to end after it begins.", "check_out", nights >= 1),
        (f"A stay lasts at most {MAX_NIGHTS} nights.", "check_out", nights <= MAX_NIGHTS),
        ("The stay cannot begin in the past.", "check_in", check_in >= today()),
    )


def today() -> datetime.date:
    """Return the date where the listings are."""
    return timezone.localdate()


def _same(guest: User, wish: Wish) -> Booking | None:
    """Return the booking with the wish's reference; raise ConflictError when it is another's or differs."""
    booking = Booking.objects.filter(reference=wish.reference).first()
    if booking is None:
        return None
    content = (booking.guest_id, booking.listing_id, booking.check_in, booking.check_out, booking.guests)
    if content != (guest.pk, wish.listing_id, wish.check_in, wish.check_out, wish.guests):
        raise ConflictError("This reference belongs to another booking.", "reference")
    return booking


def _check(guest: User, listing: Listing, wish: Wish) -> None:
    check_nights(wish.check_in, wish.check_out)
    held = 1 <= wish.guests <= listing.capacity
    _keep(
        (f"This place holds 1 to {listing.capacity} guests.", "guests", held),
        ("You are the host of this place.", None, listing.host_id != guest.pk),
    )


def _keep(*rules: tuple[str, str | None, bool]) -> None:
    for rule, field, kept in rules:
        if not kept:
            raise CannotBookError(rule, field)
