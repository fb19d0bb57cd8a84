"""Events as they come in: each is stored once with its bytes, whatever it is, and looked at later (work.py)."""

import hashlib
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F
from django.db.models.functions import Now
from django.dispatch import receiver
from prometheus_client import Counter

from marefia.cleanup import expired
from marefia.outbox import queue
from marefia.payments import chapa
from marefia.payments.models import PaymentEvent, Verdict

MOST_BYTES = 64 * 1024
MOST_REJECTED = 10_000
"""Rows of rejected events; more are counted and not kept, for anybody can send them."""
KEEP_REJECTED = timedelta(days=30)
EVENTS = Counter("marefia_payment_events_total", "Deliveries of payment events.", ["verdict"])


def receive(body: bytes, signature: str) -> str:
    """Store a delivery. Return '' when it is Chapa's, else why it is not accepted."""
    try:
        event = chapa.event(settings.CHAPA_WEBHOOK_SECRET, body, signature)
    except chapa.BadSignatureError as error:
        _store(body, "forged", verdict=Verdict.REJECTED, reason=str(error))
        return str(error)
    except chapa.BadEventError as error:
        _store(body, "genuine", verdict=Verdict.REJECTED, reason=str(error)[:300])
        return ""  # sent again it would be as bad
    _store(body, "genuine", kind=event.kind[:50], tx_ref=event.transaction.tx_ref[:50])
    return ""


@receiver(expired)
def forget_rejected(**_: Any) -> None:
    """Delete what was rejected long ago; what Chapa told stays, as part of the account."""
    old = PaymentEvent.objects.filter(verdict=Verdict.REJECTED, received_at__lte=Now() - KEEP_REJECTED)
    old.delete()


def _store(body: bytes, whose: str, **fields: str) -> None:
    digest = hashlib.sha256(f"{whose}:".encode() + body).hexdigest()
    rejected = fields.get("verdict") == Verdict.REJECTED
    EVENTS.labels("rejected" if rejected else "accepted").inc()
    known = PaymentEvent.objects.filter(digest=digest)
    if known.update(deliveries=F("deliveries") + 1):
        return
    if rejected and PaymentEvent.objects.filter(verdict=Verdict.REJECTED).count() >= MOST_REJECTED:
        return
    try:
        with transaction.atomic():
            event = PaymentEvent.objects.create(digest=digest, body=body, **fields)
            if not rejected:
                queue.put("payments.event", {"event": event.pk})
    except IntegrityError:  # delivered twice at the same moment
        known.update(deliveries=F("deliveries") + 1)
