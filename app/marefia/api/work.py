"""What the daily clean-up deletes for the API."""

from typing import Any

from django.db.models import DateTimeField, ExpressionWrapper
from django.db.models.functions import Now
from django.dispatch import receiver

from marefia.api.models import KEPT, IdempotencyKey
from marefia.cleanup import expired


@receiver(expired)
def forget_keys(**_: Any) -> None:
    """Delete the keys that nobody can send again."""
    old = ExpressionWrapper(Now() - KEPT, output_field=DateTimeField())
    IdempotencyKey.objects.filter(claimed_at__lte=old).delete()
