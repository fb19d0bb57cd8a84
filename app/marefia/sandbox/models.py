"""What the sandbox remembers."""

import secrets

from django.db import models
from django.db.models.functions import Now


def new_reference() -> str:
    """A reference as Chapa makes them."""
    return f"AP{secrets.token_hex(8).upper()}"


class Outcome(models.TextChoices):
    """Where a transaction stands."""

    PENDING = "pending"
    SUCCESS = "success"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REFUNDED = "refunded"


class Transaction(models.Model):
    """What a merchant asked for."""

    tx_ref = models.CharField(max_length=50, unique=True)
    reference = models.CharField(max_length=50, unique=True, default=new_reference)
    amount = models.DecimalField(max_digits=9, decimal_places=2)
    currency = models.CharField(max_length=3)
    asked = models.JSONField(help_text="names, addresses and the rest, as they were sent")
    here = models.BooleanField(help_text="asked from within the service: told there, too")
    status = models.CharField(max_length=10, choices=Outcome, default=Outcome.PENDING)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = "sandbox transaction"

    def __str__(self) -> str:
        return f"{self.tx_ref} ({self.status})"


class Kind(models.TextChoices):
    """How the API fails."""

    DOWN = "down", "503, and nothing was done"
    LOST = "lost", "502, and it was done"
    SLOW = "slow", "answers after some seconds"
    GARBAGE = "garbage", "answers a page"


class Fault(models.Model):
    """What the next calls of the API meet."""

    kind = models.CharField(max_length=10, choices=Kind)
    left = models.PositiveIntegerField(default=1, help_text="calls")
    seconds = models.FloatField(default=5, help_text="of a slow answer")

    class Meta:
        verbose_name = "sandbox fault"

    def __str__(self) -> str:
        return f"{self.kind}, {self.left} times"
