"""What the worker does for payments: everything that asks Chapa. Each bears being done twice."""

import asyncio
from collections.abc import Sequence

import structlog
from celery import shared_task
from django.db.models.functions import Now

from marefia.outbox.models import OutboxRow
from marefia.outbox.registry import errand
from marefia.payments import chapa, gateway, ledger
from marefia.payments.models import Payment, PaymentEvent, Verdict
from marefia.payments.states import State

AT_ONCE = 20
A_ROUND = 500
BY_THEMSELVES = {"charge.refunded", "charge.reversed"}
"""Events that take away, and that Chapa's answer may not show: their signature is enough."""
log = structlog.stdlib.get_logger(__name__)


class NotYetError(Exception):
    """Chapa told of a payment of which it knows nothing when it is asked: to be asked again."""


@errand("payments.event")
def look_at_event(row: OutboxRow) -> None:
    """Find out what an event means for its payment, and write that beside it."""
    event = PaymentEvent.objects.get(pk=row.payload["event"])
    told = chapa.transaction(chapa.loads(bytes(event.body)))
    payment = Payment.objects.filter(tx_ref=told.tx_ref).first()
    if payment is None:
        return _rejected(event, "there is no payment of this reference")
    if differs := ledger.differences(payment, told):
        return _rejected(event, differs)
    if event.kind in BY_THEMSELVES:
        said = ledger.settle(told)
    else:
        said = ask(payment)
        if told.status == chapa.Status.SUCCESS and said == NOT_PAID:
            _judged(event, Verdict.REJECTED, "Chapa does not confirm it")  # until it does
            raise NotYetError(said)
    return _judged(event, Verdict.DONE, said)


@errand("payments.ask")
def look_at(row: OutboxRow) -> None:
    """Ask Chapa what became of a payment."""
    ask(Payment.objects.get(tx_ref=row.payload["tx_ref"]))


@errand("payments.cancel")
def cancel(row: OutboxRow) -> None:
    """Let nobody pay any more; whoever was quicker has paid."""
    payment = Payment.objects.get(tx_ref=row.payload["tx_ref"])
    try:
        with gateway.chapa() as client:
            client.cancel(payment.tx_ref)
    except chapa.UnauthorizedError:
        raise
    except chapa.RefusedError:
        ask(payment)


@errand("payments.refund")
def refund(row: OutboxRow) -> None:
    """Give money back."""
    give_back(row.payload["tx_ref"])


def give_back(tx_ref: str) -> None:
    """Ask for a refund, unless it was: two requests might be two refunds.

    Raise chapa.UnavailableError when the request never left: then it may be tried again.
    """
    payment = ledger.claim_refund(tx_ref)
    if payment is None:
        return
    try:
        with gateway.chapa() as client:
            client.refund(payment.reference, reason="cancelled", own=payment.tx_ref)
    except chapa.RefusedError as error:
        ledger.trouble(payment.tx_ref, f"not refunded: {error}")
    except chapa.UnavailableError as error:
        if not error.sent:
            ledger.unclaim_refund(payment.tx_ref)
            raise
        log.warning("refund_unknown", tx_ref=payment.tx_ref, reason=str(error))  # the next round asks
    else:
        ledger.refunded(payment.tx_ref)


@shared_task(name="marefia.payments.reconcile")
def reconcile() -> None:
    """Ask Chapa about every payment of which no webhook told, and for the refunds that nobody could ask for yet."""
    for payment in ledger.owed()[:AT_ONCE]:
        try:
            give_back(payment.tx_ref)
        except chapa.UnavailableError as error:
            log.warning("not_refunded_yet", tx_ref=payment.tx_ref, reason=str(error))
            break
    payments = list(ledger.unanswered()[:A_ROUND])
    answers = asyncio.run(_ask_all([payment.tx_ref for payment in payments]))
    for payment, answer in zip(payments, answers, strict=True):
        if isinstance(answer, chapa.ChapaError):
            log.warning("not_reconciled", tx_ref=payment.tx_ref, reason=str(answer))
        _take(payment, answer)


def ask(payment: Payment, **changes: object) -> str:
    """Ask Chapa what became of a payment, and settle it. Return in a few words what that changed.

    Raise chapa.UnavailableError when Chapa does not answer, chapa.UnauthorizedError when it does not know our key.
    """
    answer: Answer
    with gateway.chapa(**changes) as client:
        try:
            answer = client.verify(payment.tx_ref)
        except chapa.UnknownTransactionError as error:
            answer = error
    return _take(payment, answer)


Answer = chapa.Transaction | chapa.ChapaError | None
NOT_PAID = "not paid yet"


def _take(payment: Payment, answer: Answer) -> str:
    """Write down what Chapa answered."""
    if not isinstance(answer, chapa.UnavailableError):
        Payment.objects.filter(pk=payment.pk).update(asked_at=Now())
    if isinstance(answer, chapa.Transaction):
        said = ledger.settle(answer)
        still = Payment.objects.filter(pk=payment.pk, state=State.REFUNDING, refund_sent_at__isnull=False)
        if answer.status == chapa.Status.SUCCESS and still.exists():
            ledger.trouble(payment.tx_ref, "asked to be refunded, and Chapa says that it is not")
        return said
    if isinstance(answer, chapa.UnknownTransactionError):
        ledger.unknown(payment, str(answer))
    return NOT_PAID if answer is None else str(answer)


async def _ask_all(tx_refs: Sequence[str]) -> list[Answer]:
    """Chapa's answers in the order of the questions, some at a time."""
    slots = asyncio.Semaphore(AT_ONCE)
    async with gateway.async_chapa() as client:

        async def one(tx_ref: str) -> Answer:
            async with slots:
                try:
                    return await client.verify(tx_ref)
                except chapa.ChapaError as error:
                    return error

        return await asyncio.gather(*map(one, tx_refs))


def _rejected(event: PaymentEvent, why: str) -> None:
    log.error("payment_event_rejected", row=event.pk, reason=why)
    _judged(event, Verdict.REJECTED, why)


def _judged(event: PaymentEvent, verdict: Verdict, said: str) -> None:
    PaymentEvent.objects.filter(pk=event.pk).update(verdict=verdict, reason=said[:300])
