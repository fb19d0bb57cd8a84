"""Work that must not be lost, as rows."""

from datetime import timedelta

from django.db import models
from django.db.models.functions import Now

CLAIM = timedelta(seconds=30)  # how long a worker may be silent about a row before another may take it
RESEND = timedelta(seconds=10)  # how long a message may take before the sweep sends another


class Status(models.TextChoices):
    """Where a row stands; `dead` needs a person."""

    PENDING = "pending"
    DONE = "done"
    DEAD = "dead"


class OutboxRow(models.Model):
    """One piece of work: the handler that does it, and what it is given."""

    handler = models.CharField(max_length=100)
    payload = models.JSONField()
    status = models.CharField(
        max_length=10, choices=Status, default=Status.PENDING, db_default=Status.PENDING
    )
    created_at = models.DateTimeField(db_default=Now())
    available_at = models.DateTimeField(db_default=Now(), help_text="not to be tried earlier")
    sent_at = models.DateTimeField(db_default=Now(), help_text="when a message was last sent for it")
    claim = models.UUIDField(null=True, blank=True, help_text="the attempt that holds it")
    claimed_until = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveIntegerField(default=0, db_default=0)
    last_error = models.TextField(blank=True, default="", db_default="")
    done_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(status__in=Status.values), name="outbox_status_is_known"
            )
        ]
        indexes = [
            models.Index(
                fields=["available_at"], condition=models.Q(status=Status.PENDING), name="outbox_pending"
            )
        ]
        verbose_name = "outbox row"

    def __str__(self) -> str:
        return f"{self.handler} #{self.pk} ({self.status})"
