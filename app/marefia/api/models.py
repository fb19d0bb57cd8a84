"""What the API keeps of its own: the keys under which clients may send a POST again."""

from datetime import timedelta

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

KEPT = timedelta(hours=24)  # how long a key is answered with what it was answered first
CLAIM = timedelta(seconds=60)  # how long an attempt may be silent before another may take its key


class IdempotencyKey(models.Model):
    """A key that a user has sent: the attempt that works on it, then what it was answered."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    key = models.CharField(max_length=64, help_text="its SHA-256: databases differ in which texts are equal")
    request = models.CharField(max_length=64, help_text="SHA-256 of method, path and body")
    claim = models.UUIDField(help_text="the attempt that works on it")
    claimed_at = models.DateTimeField(db_default=Now())
    status = models.PositiveSmallIntegerField(null=True, blank=True, help_text="of the answer; none yet")
    body = models.TextField(blank=True, default="", db_default="")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="idempotency_key_once")]
        indexes = [models.Index(fields=["claimed_at"], name="idempotency_key_by_age")]

    def __str__(self) -> str:
        return f"{self.user}: {self.status or 'in flight'}"
