"""Paying, for the tests: guests who book, the sandbox's page, and a worker that does what waits."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core import mail
from django.db.models.functions import Now
from django.test import Client

from marefia.outbox import queue
from marefia.outbox.models import OutboxRow, Status
from marefia.payments import checkout
from marefia.payments import work as errands
from marefia.payments.models import Payment
from marefia.sandbox import deliveries
from marefia.sandbox.models import Fault, Transaction
from marefia.stays import bookings
from marefia.stays.models import Booking
from tests.app import make

ORIGIN = "http://testserver"


def booked(begins: int = 10, **fields: Any) -> Booking:
    """A booking that waits for its money."""
    booking, _ = bookings.book(
        make.user(first_name="Hana"), make.wish(make.listing(), begins=begins, **fields)
    )
    return booking


def begun(booking: Booking | None = None) -> Payment:
    """A payment whose page is open."""
    return checkout.begin(booking or booked(), ORIGIN)


def at_chapa(payment: Payment) -> Transaction:
    """What the sandbox knows of a payment."""
    return Transaction.objects.get(tx_ref=payment.tx_ref)


def end(payment: Payment, outcome: str = "success", **told: Any) -> None:
    """What a person does on the sandbox's page."""
    form = {"card": "4200 0000 0000 0000", "outcome": outcome, **told}
    response = Client().post(f"/sandbox/chapa/checkout/{at_chapa(payment).reference}/", form)
    assert response.status_code == 302, response.content


def paid(payment: Payment) -> Payment:
    """Paid at Chapa, who did not tell."""
    end(payment, copies=0)
    return payment


def begun_and_paid(booking: Booking | None = None) -> Payment:
    """The same, from the start."""
    return paid(begun(booking))


def refunding() -> Payment:
    """A payment whose money has to go back, for which nobody has asked yet."""
    payment = begun_and_paid()
    errands.ask(payment)
    bookings.cancel(payment.booking)
    return payment


def receipts() -> list[str]:
    """The subjects of the receipts that were sent."""
    return [f"{one.subject}" for one in mail.outbox if one.subject.startswith("Paid")]


def work(*handlers: str) -> int:
    """Do what the outbox holds, of these handlers or all; return how many pieces were finished."""
    done = 0
    while True:
        rows = OutboxRow.objects.filter(status=Status.PENDING, attempts=0, available_at__lte=Now())
        ids = list((rows.filter(handler__in=handlers) if handlers else rows).values_list("pk", flat=True))
        if not ids:
            return done
        done += sum(queue.deliver(pk) for pk in ids)


def again() -> None:
    """Let what failed be tried at once."""
    OutboxRow.objects.filter(status=Status.PENDING).update(available_at="2020-01-01T00:00Z", attempts=0)
    work()


def fault(kind: str, left: int = 1, seconds: float = 0) -> None:
    """What the next calls of the sandbox's API meet."""
    Fault.objects.create(kind=kind, left=left, seconds=seconds)


def sent(body: str, headers: dict[str, str]) -> int:
    """Deliver a webhook; return the status."""
    answer = Client().generic("POST", "/payments/webhook", body, "application/json", headers=headers)
    return answer.status_code


def webhook(payment: Payment, tamper: deliveries.Tamper = deliveries.Tamper.NOTHING) -> int:
    """Deliver what the sandbox would say of a payment now; return the status."""
    return sent(*deliveries.webhook(at_chapa(payment), tamper))


def signed(body: str) -> int:
    """Deliver this, signed with Chapa's key."""
    return sent(body, {"x-chapa-signature": deliveries._sign(settings.CHAPA_WEBHOOK_SECRET, body)})


def state(payment: Payment) -> str:
    """Where it stands now."""
    return Payment.objects.get(pk=payment.pk).state
