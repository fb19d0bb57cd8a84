"""Payments of bookings, and everything that Chapa ever told of them."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from marefia.payments.states import UNSETTLED, State
from marefia.stays.models import Booking


class Payment(models.Model):
    """One attempt to pay a booking. Whoever changes `state` holds the booking's lock first (payments/ledger.py)."""

    booking = models.ForeignKey(Booking, on_delete=models.PROTECT, related_name="payments")
    tx_ref = models.CharField("our reference", max_length=50, unique=True)
    reference = models.CharField("Chapa's reference", max_length=100, blank=True, default="", db_default="")
    amount = models.DecimalField(max_digits=9, decimal_places=2)
    currency = models.CharField(max_length=3, default="ETB", db_default="ETB")
    state = models.CharField(max_length=10, choices=State, default=State.NEW, db_default=State.NEW)
    checkout_url = models.CharField(max_length=500, blank=True, default="", db_default="")
    trouble = models.CharField(
        max_length=300, blank=True, default="", db_default="", help_text="what a person has to look at"
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    asked_at = models.DateTimeField(null=True, blank=True, help_text="when Chapa was last asked of it")
    settled_at = models.DateTimeField(null=True, blank=True, help_text="when Chapa said what became of it")
    refund_sent_at = models.DateTimeField(
        null=True, blank=True, help_text="when the refund was asked for: once, whatever the answer"
    )

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=Q(state__in=State.values), name="payment_state_is_known"),
            models.CheckConstraint(condition=Q(amount__gt=0), name="payment_amount_is_positive"),
        ]
        indexes = [
            models.Index(
                fields=["created_at"], condition=Q(state__in=[*UNSETTLED]), name="payment_unsettled"
            ),
            models.Index(fields=["booking", "state"], name="payment_of_booking"),
        ]

    def __str__(self) -> str:
        return f"{self.tx_ref} ({self.state})"


class Verdict(models.TextChoices):
    """What became of an event."""

    RECEIVED = "received", "received, not looked at yet"
    DONE = "done", "looked at"
    REJECTED = "rejected"


class PaymentEvent(models.Model):
    """What came in on the webhook, with its bytes: once, however often it was delivered."""

    digest = models.CharField(
        max_length=64, unique=True, help_text="of the body, and of whether Chapa signed it"
    )
    body = models.BinaryField()
    kind = models.CharField(max_length=50, blank=True, default="", db_default="")
    tx_ref = models.CharField(max_length=50, blank=True, default="", db_default="", db_index=True)
    verdict = models.CharField(
        max_length=10, choices=Verdict, default=Verdict.RECEIVED, db_default=Verdict.RECEIVED
    )
    reason = models.CharField(max_length=300, blank=True, default="", db_default="")
    deliveries = models.PositiveIntegerField(default=1, db_default=1)
    received_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=Q(verdict__in=Verdict.values), name="event_verdict_is_known")
        ]
        indexes = [models.Index(fields=["verdict", "received_at"], name="event_by_verdict")]

    def __str__(self) -> str:
        return f"{self.kind or 'event'} of {self.tx_ref or 'nobody'} ({self.verdict})"
