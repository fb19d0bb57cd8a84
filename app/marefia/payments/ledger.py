"""The ledger: every change of a payment's state, under the lock of its booking.

Money is credited by what Chapa answers when it is asked, and by nothing that somebody sends.
"""

from datetime import timedelta
from typing import Any

import structlog
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now
from django.dispatch import receiver
from django.utils import timezone

from marefia.outbox import mail, queue
from marefia.payments import gateway
from marefia.payments.chapa import LARGEST, Status, Transaction
from marefia.payments.models import Payment
from marefia.payments.states import UNSETTLED, Mover, State, may
from marefia.stays import bookings
from marefia.stays.models import Booking, BookingStatus

IN_FLIGHT = timedelta(seconds=60)
"""How long a payment may be NEW, or a refund unanswered, before Chapa is asked what became of it."""
OFTEN, EVER = timedelta(hours=1), timedelta(days=3)
"""A payment is asked about in each round at first, then every hour, and some day no more."""
STATES = {
    Status.SUCCESS: State.PAID,
    Status.FAILED: State.FAILED,
    Status.CANCELLED: State.CANCELLED,
    Status.REFUNDED: State.REFUNDED,
    Status.REVERSED: State.REVERSED,
}
log = structlog.stdlib.get_logger(__name__)


class CannotPayError(Exception):
    """The reason is the message, fit for the guest."""


class ChapaAwayError(CannotPayError):
    """Chapa does not answer: the same may succeed later."""


@transaction.atomic
def take(booking: Booking) -> tuple[Payment, bool]:
    """The payment by which a booking is to be paid now, and whether it is new: then Chapa has to be told of it.

    Raise CannotPayError when there is nothing to pay, or when another one is being prepared.
    """
    booking = Booking.objects.select_for_update().get(pk=booking.pk)
    states = dict(booking.payments.values_list("state", "pk"))
    rules = {
        "This booking is cancelled.": booking.status != BookingStatus.CONFIRMED,
        "This booking is paid.": State.PAID in states,
        "The time to pay it is over.": booking.pay_by is not None and booking.pay_by <= timezone.now(),
        "The stay is over.": booking.check_out <= bookings.today(),
        "Chapa takes no such amount at once.": not 0 < booking.total <= LARGEST,
    }
    for rule, broken in rules.items():
        if broken:
            raise CannotPayError(rule)
    if State.OPEN in states:
        return Payment.objects.get(pk=states[State.OPEN]), False
    if booking.payments.filter(state=State.NEW, created_at__gt=Now() - IN_FLIGHT).exists():
        raise CannotPayError("This payment is being prepared. Try again in a minute.")
    number = booking.payments.count() + 1
    return booking.payments.create(tx_ref=f"{booking.reference.hex}-{number}", amount=booking.total), True


@transaction.atomic
def opened(payment: Payment, checkout_url: str) -> Payment:
    """Chapa took it: store where the guest pays. Raise CannotPayError when the booking was cancelled meanwhile."""
    payment = locked(payment.tx_ref)
    payment.checkout_url = checkout_url
    if payment.state == State.NEW:
        _move(payment, State.OPEN, Mover.GUEST)
    payment.save()
    return payment


@transaction.atomic
def refused(payment: Payment, why: str) -> None:
    """Chapa did not take it, or knows nothing of it."""
    payment = locked(payment.tx_ref)
    if payment.state == State.NEW:
        _move(payment, State.FAILED, Mover.CHAPA)
    payment.trouble = why[:300]
    payment.save()


def unknown(payment: Payment, why: str) -> None:
    """Chapa knows nothing of it; of one that it is just being told of, that says nothing."""
    if payment.created_at <= timezone.now() - IN_FLIGHT:
        refused(payment, why)


@transaction.atomic
def settle(told: Transaction) -> str:
    """Bring a payment to where Chapa says it is. Return in a few words what that changed.

    Told twice, or something that came before what is known already, it changes nothing.
    """
    payment = locked(told.tx_ref)
    if differs := differences(payment, told):
        payment.trouble = differs[:300]
        payment.save(update_fields=["trouble"])
        log.error("payment_differs", tx_ref=payment.tx_ref, reason=differs)
        return differs
    before, after = State(payment.state), STATES.get(told.status)
    if after is None:
        return f"Chapa calls it {told.status}"
    if before == after:
        return f"known to be {after}"
    if not may(before, after, Mover.CHAPA):
        return f"late: it is {before}"
    payment.reference = told.reference or payment.reference
    payment.settled_at = timezone.now()
    _move(payment, after, Mover.CHAPA)
    if after == State.PAID:
        return _credit(payment)
    booking = payment.booking
    if before == State.PAID and booking.status == BookingStatus.CONFIRMED:
        payment.trouble = f"{after}, and its booking stands"
    payment.save()
    return f"{before} to {after}"


def differences(payment: Payment, told: Transaction) -> str:
    """What Chapa says otherwise than we asked for, or ''."""
    pairs = {
        "amount": (payment.amount, told.amount),
        "currency": (payment.currency, told.currency),
        "mode": (gateway.mode(), told.mode or gateway.mode()),
    }
    return "; ".join(
        f"{name} is {is_!s:.40}, not {ours}" for name, (ours, is_) in pairs.items() if ours != is_
    )


@receiver(bookings.cancelled)
def give_up(sender: Any, booking: Booking, **_: Any) -> None:
    """A booking was cancelled, in this transaction: what was paid goes back, what is open can be paid no more."""
    for payment in booking.payments.select_for_update():
        if payment.state == State.PAID:
            _give_back(payment)
        elif payment.state in UNSETTLED:
            _move(payment, State.CANCELLED, Mover.BOOKING)
            payment.save()
            queue.put("payments.cancel", {"tx_ref": payment.tx_ref})


def claim_refund(tx_ref: str) -> Payment | None:
    """The payment, for the one who may ask Chapa to give it back: the first, and until `unclaim_refund` no other."""
    claimed = Payment.objects.filter(tx_ref=tx_ref, state=State.REFUNDING, refund_sent_at=None)
    return Payment.objects.get(tx_ref=tx_ref) if claimed.update(refund_sent_at=Now()) else None


def unclaim_refund(tx_ref: str) -> None:
    """The request never left."""
    Payment.objects.filter(tx_ref=tx_ref, state=State.REFUNDING).update(refund_sent_at=None)


@transaction.atomic
def refunded(tx_ref: str) -> None:
    """Chapa gave it back."""
    payment = locked(tx_ref)
    if may(State(payment.state), State.REFUNDED, Mover.CHAPA):
        payment.trouble = ""
        _move(payment, State.REFUNDED, Mover.CHAPA)
        payment.save()


def trouble(tx_ref: str, why: str) -> None:
    """A person has to look at a refund, unless it was made meanwhile."""
    if Payment.objects.filter(tx_ref=tx_ref, state=State.REFUNDING).update(trouble=why[:300]):
        log.error("payment_in_trouble", tx_ref=tx_ref, reason=why)


def unanswered() -> QuerySet[Payment]:
    """What Chapa has to be asked about, those first that wait longest."""
    since = F("created_at")
    waits = Q(state__in=UNSETTLED, created_at__lte=Now() - IN_FLIGHT) | Q(state=State.OPEN)
    again = Q(state__in=(State.FAILED, State.CANCELLED), created_at__gt=Now() - EVER)
    refunding = Q(state=State.REFUNDING, refund_sent_at__lte=Now() - IN_FLIGHT, trouble="")
    young = Q(created_at__gt=Now() - OFTEN) | Q(asked_at=None) | Q(asked_at__lte=Now() - OFTEN)
    return Payment.objects.filter((waits | again) & young | refunding).order_by(
        F("asked_at").asc(nulls_first=True), since
    )


def owed() -> QuerySet[Payment]:
    """What has to go back and was not asked for yet, although there was time: the worker could not reach Chapa."""
    return Payment.objects.filter(
        state=State.REFUNDING, refund_sent_at=None, trouble="", settled_at__lte=Now() - IN_FLIGHT
    )


def locked(tx_ref: str) -> Payment:
    """A payment with its booking, both locked, always in this order. Raise Payment.DoesNotExist."""
    booking_id = Payment.objects.values_list("booking_id", flat=True).get(tx_ref=tx_ref)
    booking = Booking.objects.select_for_update().get(pk=booking_id)
    payment = Payment.objects.select_for_update().get(tx_ref=tx_ref)
    payment.booking = booking
    return payment


def _move(payment: Payment, after: State, mover: Mover) -> None:
    before = State(payment.state)
    if not may(before, after, mover):
        raise ValueError(f"{mover} cannot move a payment from {before} to {after}")
    payment.state = after
    log.info("payment_moved", tx_ref=payment.tx_ref, before=before, after=after, mover=mover)


def _credit(payment: Payment) -> str:
    """The money is here: it pays the booking, or goes back."""
    booking = payment.booking
    paid = booking.payments.filter(state=State.PAID).exclude(pk=payment.pk).exists()
    if paid or booking.status != BookingStatus.CONFIRMED:
        _give_back(payment)
        return "paid, and goes back: its booking is " + ("paid already" if paid else "cancelled")
    payment.trouble = ""
    payment.save()
    booking.pay_by = None
    booking.save(update_fields=["pay_by"])
    mail.post(
        to=booking.guest.email,
        subject=f"Paid: {booking.listing.title}",
        body=f"{booking.listing}\n{booking.check_in} to {booking.check_out}, {booking.guests} guests\n"
        f"Paid: {payment.amount} {payment.currency}\nReceipt: {payment.reference}\nReference: {booking.reference}\n",
    )
    return "credited"


def _give_back(payment: Payment) -> None:
    _move(payment, State.REFUNDING, Mover.BOOKING)
    payment.save()
    queue.put("payments.refund", {"tx_ref": payment.tx_ref})
