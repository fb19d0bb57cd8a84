"""Listings, what they offer, bookings of them, and reviews of stays."""

import uuid
from decimal import Decimal

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now


class Amenity(models.Model):
    """Something that a listing offers."""

    name = models.CharField(max_length=60, unique=True)

    class Meta:
        ordering = ["name"]
        verbose_name_plural = "amenities"

    def __str__(self) -> str:
        return self.name


class Listing(models.Model):
    """A place to stay. Money is in ETB."""

    host = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="listings")
    title = models.CharField(max_length=120)
    place = models.CharField(max_length=80, db_index=True)
    description = models.TextField(max_length=4000, blank=True, default="", db_default="")
    price = models.DecimalField(
        "price a night", max_digits=10, decimal_places=2, validators=[MinValueValidator(Decimal("0.01"))]
    )
    capacity = models.PositiveSmallIntegerField(
        "guests at most", validators=[MinValueValidator(1), MaxValueValidator(50)]
    )
    amenities = models.ManyToManyField(Amenity, blank=True, related_name="listings")
    nights_booked = models.IntegerField(
        default=0,
        db_default=0,
        editable=False,
        help_text="nights of its active bookings, counted by the worker",
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    amenity_names: list[str]  # where listings.name_amenities has set it

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(condition=Q(price__gt=0), name="listing_price_is_positive"),
            models.CheckConstraint(condition=Q(capacity__gte=1), name="listing_holds_someone"),
        ]
        indexes = [models.Index(fields=["price", "id"], name="listing_by_price")]

    def __str__(self) -> str:
        return f"{self.title}, {self.place}"


class BookingStatus(models.TextChoices):
    """Confirmed is active: it takes its nights."""

    CONFIRMED = "confirmed"
    CANCELLED = "cancelled"


class Booking(models.Model):
    """Some nights of a listing for a guest, from the day of arrival to the day of departure."""

    listing = models.ForeignKey(Listing, on_delete=models.PROTECT, related_name="bookings")
    guest = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="bookings")
    check_in = models.DateField()
    check_out = models.DateField()
    guests = models.PositiveSmallIntegerField(validators=[MinValueValidator(1)])
    total = models.DecimalField(
        max_digits=13,
        decimal_places=2,
        help_text="as agreed when it was booked; later prices do not change it",
    )
    status = models.CharField(
        max_length=10,
        choices=BookingStatus,
        default=BookingStatus.CONFIRMED,
        db_default=BookingStatus.CONFIRMED,
    )
    pay_by = models.DateTimeField(
        null=True, blank=True, help_text="until when it waits for its money; empty: paid, or nothing to pay"
    )
    reference = models.UUIDField(
        unique=True,
        default=uuid.uuid4,
        help_text="chosen by the client: the same one again is the same booking",
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=Q(check_out__gt=F("check_in")), name="booking_lasts_a_night"),
            models.CheckConstraint(condition=Q(guests__gte=1), name="booking_has_guests"),
            models.CheckConstraint(condition=Q(total__gte=0), name="booking_total_not_negative"),
            models.CheckConstraint(
                condition=Q(status__in=BookingStatus.values), name="booking_status_is_known"
            ),
        ]
        indexes = [
            models.Index(fields=["listing", "status", "check_out"], name="booking_overlap"),
            models.Index(fields=["pay_by"], condition=Q(pay_by__isnull=False), name="booking_unpaid"),
        ]

    def __str__(self) -> str:
        return f"{self.reference} ({self.status})"

    @property
    def nights(self) -> int:
        """How many nights it takes."""
        return (self.check_out - self.check_in).days


class Review(models.Model):
    """What a guest says after a stay; one for each (stays/reviews.py holds the rule)."""

    booking = models.OneToOneField(Booking, on_delete=models.CASCADE, related_name="review")
    rating = models.PositiveSmallIntegerField(validators=[MinValueValidator(1), MaxValueValidator(5)])
    text = models.TextField(max_length=2000, blank=True, default="", db_default="")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(rating__gte=1, rating__lte=5), name="review_rating_one_to_five"
            )
        ]

    def __str__(self) -> str:
        return f"{self.rating}/5 for {self.booking}"
