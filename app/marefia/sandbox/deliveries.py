"""What the sandbox sends: webhooks, signed as Chapa signs them, and callbacks. What is not accepted is repeated."""

import enum
import hashlib
import hmac
import json
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx
from django.conf import settings
from django.utils import timezone

from marefia.outbox import queue
from marefia.outbox.models import OutboxRow
from marefia.outbox.registry import errand
from marefia.sandbox import transport
from marefia.sandbox.models import Outcome, Transaction

WEBHOOK = "/payments/webhook"
EVENTS = {
    Outcome.SUCCESS: "charge.success",
    Outcome.FAILED: "charge.failed/cancelled",
    Outcome.CANCELLED: "charge.failed/cancelled",
    Outcome.REFUNDED: "charge.refunded",
}


class Tamper(enum.StrEnum):
    """What is wrong with a webhook, if anything."""

    NOTHING = ""
    ALTERED = "altered"
    CONSTANT = "constant"
    FORGED = "forged"
    UNSIGNED = "unsigned"


def told(transaction: Transaction) -> dict[str, Any]:
    """A transaction as webhooks tell it. Amounts are texts there, and numbers in an answer of verify."""
    asked = transaction.asked
    return {
        "first_name": asked.get("first_name"),
        "last_name": asked.get("last_name"),
        "email": asked.get("email"),
        "mobile": asked.get("phone_number"),
        "currency": transaction.currency,
        "amount": f"{transaction.amount:.2f}",
        "charge": f"{transaction.amount * 35 / 1000:.2f}",
        "status": transaction.status,
        "mode": "test",
        "reference": transaction.reference,
        "created_at": transaction.created_at.isoformat(),
        "updated_at": transaction.updated_at.isoformat(),
        "type": "API",
        "tx_ref": transaction.tx_ref,
        "payment_method": "card",
        "customization": asked.get("customization"),
        "meta": asked.get("meta"),
    }


def webhook(transaction: Transaction, tamper: Tamper = Tamper.NOTHING) -> tuple[str, dict[str, str]]:
    """Body and headers of the webhook that tells where a transaction stands."""
    body = json.dumps({"event": EVENTS[Outcome(transaction.status)]} | told(transaction))
    key = settings.CHAPA_WEBHOOK_SECRET
    signature = _sign("another secret" if tamper == Tamper.FORGED else key, body)
    constant = _sign(key, key)
    if tamper == Tamper.ALTERED:
        body = body.replace(f'"{transaction.amount:.2f}"', f'"{transaction.amount + 1:.2f}"', 1)
    headers = {
        "Content-Type": "application/json",
        "chapa-signature": constant,
        "x-chapa-signature": signature,
    }
    if tamper == Tamper.CONSTANT:
        headers["x-chapa-signature"] = constant
    if tamper == Tamper.UNSIGNED:
        del headers["x-chapa-signature"]
    return body, headers


def tell(
    transaction: Transaction, copies: int = 1, tamper: Tamper = Tamper.NOTHING, seconds: float = 0
) -> None:
    """Put webhooks into the outbox, and the callback."""
    target = transaction.asked.get("callback_url") or ""
    if not target:
        return
    origin = "{0.scheme}://{0.netloc}".format(urlsplit(target))
    body, headers = webhook(transaction, tamper)
    for _ in range(copies):
        _put(transaction.here, seconds, "POST", origin + WEBHOOK, body, headers)
    if transaction.status != Outcome.REFUNDED and copies:
        query = {"trx_ref": transaction.tx_ref, "ref_id": transaction.reference, "status": transaction.status}
        _put(transaction.here, seconds, "GET", f"{target}?{urlencode(query)}", "", {})


def _put(here: bool, seconds: float, method: str, url: str, body: str, headers: dict[str, str]) -> None:
    payload = {"here": here, "method": method, "url": url, "body": body, "headers": headers}
    row = queue.put("sandbox.deliver", payload)
    if seconds:
        later = timezone.now() + timedelta(seconds=seconds)
        OutboxRow.objects.filter(pk=row.pk).update(available_at=later)


@errand("sandbox.deliver")
def deliver(row: OutboxRow) -> None:
    """Send one; not accepted, it is sent again later. A refusal of what was tampered with is what is wanted."""
    asked = row.payload
    way = transport.Here() if asked["here"] else transport.outside()
    with httpx.Client(transport=way, timeout=10) as client:
        response = client.request(
            asked["method"], asked["url"], content=asked["body"].encode(), headers=asked["headers"]
        )
    if response.status_code not in (401, 404):
        response.raise_for_status()


def _sign(key: str, text: str) -> str:
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()
