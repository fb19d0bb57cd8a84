"""Paying: a booking is paid exactly once, whatever arrives, how often and in what order."""

import csv
import json
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from urllib.parse import parse_qs

import httpx
import pytest
import stamina
from django.core import mail
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.test import Client
from prometheus_client import REGISTRY

from marefia.cleanup import expired
from marefia.outbox.models import OutboxRow, Status
from marefia.payments import chapa, checkout, exports, gateway, inbox, ledger, states, work
from marefia.payments import webhook as hook
from marefia.payments.ledger import CannotPayError, ChapaAwayError
from marefia.payments.models import Payment, PaymentEvent, Verdict
from marefia.payments.states import MOVES, Mover, State, may
from marefia.sandbox import transport
from marefia.sandbox.deliveries import Tamper, webhook
from marefia.stays import bookings
from marefia.stays.models import Booking, BookingStatus
from tests.app import make, paying

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def at_once() -> Iterator[None]:
    """Nobody waits between attempts."""
    with stamina.set_testing(True, attempts=chapa.ATTEMPTS):
        yield


def receipts() -> list[str]:
    return [f"{one.subject}" for one in mail.outbox if one.subject.startswith("Paid")]


def test_a_guest_books_pays_and_gets_the_receipt() -> None:
    payment = paying.begun()
    assert payment.checkout_url.startswith("http://testserver/sandbox/chapa/checkout/")
    paying.end(payment)
    paying.work()
    payment.refresh_from_db()
    assert (payment.state, payment.trouble) == (State.PAID, "")
    assert payment.reference == paying.at_chapa(payment).reference
    assert payment.settled_at
    assert payment.booking.pay_by is None
    assert len(receipts()) == 1
    event = PaymentEvent.objects.get()
    assert (event.verdict, event.kind, event.deliveries) == (Verdict.DONE, "charge.success", 1)
    assert json.loads(bytes(event.body))["tx_ref"] == payment.tx_ref


def test_asked_twice_it_is_one_payment() -> None:
    booking = paying.booked()
    other = paying.begun()
    assert paying.begun(booking) == paying.begun(booking) != other
    assert Payment.objects.count() == 2


def test_a_payment_that_failed_can_be_begun_again_and_the_first_still_counts() -> None:
    booking = paying.booked()
    first = paying.begun(booking)
    paying.end(first, "failed")
    paying.work()
    assert paying.state(first) == State.FAILED
    second = paying.begun(booking)
    assert second.tx_ref != first.tx_ref
    paying.end(first)  # its page was open still
    paying.work()
    assert paying.state(first) == State.PAID
    paying.end(second)
    paying.work()
    assert paying.state(second) == State.REFUNDED  # paid twice: once goes back
    assert paying.at_chapa(second).status == "refunded"
    assert len(receipts()) == 1


@pytest.mark.parametrize("copies", [1, 7])
def test_a_webhook_delivered_often_credits_once(copies: int) -> None:
    payment = paying.begun()
    paying.end(payment, copies=copies)
    paying.work()
    assert paying.state(payment) == State.PAID
    assert len(receipts()) == 1
    assert PaymentEvent.objects.get().deliveries == copies


def test_failure_told_after_success_changes_nothing() -> None:
    payment = paying.begun()
    paying.end(payment, "failed", copies=0)
    failed = webhook(paying.at_chapa(payment))
    paying.end(payment)
    paying.work()
    assert paying.sent(*failed) == 200
    paying.work()
    assert paying.state(payment) == State.PAID
    assert PaymentEvent.objects.get(kind="charge.failed/cancelled").reason == "known to be paid"


@pytest.mark.parametrize("tamper", [Tamper.FORGED, Tamper.ALTERED, Tamper.CONSTANT, Tamper.UNSIGNED])
def test_what_chapa_did_not_sign_is_refused_and_kept(tamper: Tamper) -> None:
    payment = paying.begun()
    assert paying.webhook(payment_paid_elsewhere(payment), tamper) == 401
    assert paying.webhook(payment, tamper) == 401
    paying.work()
    assert paying.state(payment) == State.OPEN
    event = PaymentEvent.objects.get()
    assert (event.verdict, event.deliveries) == (Verdict.REJECTED, 2)
    assert "signature" in event.reason


def payment_paid_elsewhere(payment: Payment) -> Payment:
    """Paid at Chapa, who did not tell."""
    paying.end(payment, copies=0)
    return payment


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"amount": "1500.01"}, "amount is 1500.01, not 1500.00"),
        ({"amount": "1"}, "amount is 1, not"),
        ({"currency": "USD"}, "currency is USD, not ETB"),
        ({"mode": "live"}, "mode is live, not test"),
        ({"tx_ref": "of-nobody"}, "no payment of this reference"),
    ],
)
def test_an_event_that_says_otherwise_is_rejected_with_its_reason(
    change: dict[str, str], reason: str
) -> None:
    payment = payment_paid_elsewhere(paying.begun())
    body, _ = webhook(paying.at_chapa(payment))
    assert paying.signed(json.dumps(json.loads(body) | change)) == 200
    paying.work()
    assert paying.state(payment) == State.OPEN
    event = PaymentEvent.objects.get()
    assert event.verdict == Verdict.REJECTED
    assert reason in event.reason


@pytest.mark.parametrize(
    "body", ["", "null", "[]", '{"event": "charge.success"}', "\x00", "{" * 5000, '{"event": 5}']
)
def test_an_event_that_cannot_be_read_is_kept_and_rejected(body: str) -> None:
    assert paying.signed(body) == 200  # sent again it would be no better
    event = PaymentEvent.objects.get()
    assert (event.verdict, bytes(event.body)) == (Verdict.REJECTED, body.encode())
    assert event.reason.startswith("the event cannot be read: ")


def test_what_was_rejected_is_forgotten_after_a_month_and_what_chapa_told_is_not() -> None:
    paying.end(paying.begun())
    paying.work()
    paying.signed("nothing")
    expired.send(None)
    assert PaymentEvent.objects.count() == 2
    PaymentEvent.objects.update(received_at=Now() - inbox.KEEP_REJECTED)
    expired.send(None)
    assert PaymentEvent.objects.get().verdict == Verdict.DONE


def test_an_event_that_is_too_large_is_refused() -> None:
    assert paying.signed(" " * 70_000) == 413
    assert not PaymentEvent.objects.exists()


def test_success_that_chapa_does_not_confirm_credits_nothing() -> None:
    """The webhook's key has leaked: Chapa's answer is what counts."""
    payment = paying.begun()
    transaction = paying.at_chapa(payment)
    transaction.status = "success"  # in the event only
    assert paying.sent(*webhook(transaction)) == 200
    paying.work()
    assert paying.state(payment) == State.OPEN
    row = OutboxRow.objects.get(handler="payments.event")
    assert (row.status, row.attempts) == (Status.PENDING, 1)  # asked again later
    paying.end(payment, copies=0)
    paying.again()
    assert paying.state(payment) == State.PAID


def test_a_callback_is_a_hint_and_no_proof() -> None:
    payment = paying.begun()
    for name in ("trx_ref", "tx_ref"):
        assert (
            Client().get("/payments/callback", {name: payment.tx_ref, "status": "success"}).status_code == 200
        )
    assert paying.work("payments.ask") == 1  # the second came too soon
    assert paying.state(payment) == State.OPEN
    paying.end(payment, copies=0)
    Payment.objects.update(asked_at=None)
    assert Client().get("/payments/callback", {"trx_ref": payment.tx_ref}).status_code == 200
    paying.work()
    assert paying.state(payment) == State.PAID
    for wrong in ("", "nobody", "\x00", f"{payment.tx_ref}\x00", "x" * 500):
        assert Client().get("/payments/callback", {"trx_ref": wrong}).status_code == 404


def test_a_booking_that_is_cancelled_is_refunded_once() -> None:
    payment = paying.begun()
    paying.end(payment)
    paying.work()
    bookings.cancel(payment.booking)
    bookings.cancel(payment.booking)
    assert paying.state(payment) == State.REFUNDING
    paying.work()
    assert paying.state(payment) == State.REFUNDED
    assert paying.at_chapa(payment).status == "refunded"
    assert PaymentEvent.objects.get(kind="charge.refunded").reason == "known to be refunded"


def test_a_booking_that_is_cancelled_before_it_is_paid_can_be_paid_no_more() -> None:
    payment = paying.begun()
    bookings.cancel(payment.booking)
    paying.work()
    assert (paying.state(payment), paying.at_chapa(payment).status) == (State.CANCELLED, "cancelled")
    with pytest.raises(CannotPayError, match="cancelled"):
        paying.begun(payment.booking)


def test_money_that_comes_for_a_cancelled_booking_goes_back() -> None:
    payment = paying.begun()
    paying.end(payment, copies=0)
    bookings.cancel(payment.booking)  # nobody knows yet that it was paid; Chapa refuses to cancel it
    paying.work()
    assert paying.state(payment) == State.REFUNDED
    assert payment.booking.status == BookingStatus.CONFIRMED  # as it was; the row is cancelled
    assert Booking.objects.get().status == BookingStatus.CANCELLED
    assert not receipts()


def test_a_booking_that_is_not_paid_in_time_is_cancelled_and_its_guest_told() -> None:
    payment = paying.begun()
    paid = paying.begun()
    paying.end(paid)
    paying.work()
    assert bookings.expire() == 0
    Booking.objects.filter(pay_by__isnull=False).update(pay_by=Now() - timedelta(seconds=1))
    assert bookings.expire() == 1
    assert bookings.expire() == 0
    paying.work()
    assert paying.state(payment) == State.CANCELLED
    assert Booking.objects.get(pk=paid.booking_id).status == BookingStatus.CONFIRMED
    assert [one.to for one in mail.outbox if one.subject.startswith("Cancelled")] == [
        [payment.booking.guest.email]
    ]
    with pytest.raises(CannotPayError, match="paid"):
        paying.begun(Booking.objects.get(pk=paid.booking_id))


@pytest.mark.parametrize("kind", ["down", "garbage", "slow"])
def test_chapa_failing_a_while_is_asked_again(kind: str) -> None:
    payment = paying.begun()
    paying.end(payment, copies=1)
    paying.fault(kind, left=chapa.ATTEMPTS, seconds=0.1)
    paying.work()
    paying.again()
    assert paying.state(payment) == State.PAID
    assert len(receipts()) == 1


def test_chapa_that_does_not_answer_lets_nobody_pay_and_says_so() -> None:
    booking = paying.booked()
    paying.fault("down", left=1)
    with pytest.raises(ChapaAwayError, match="Nothing was paid"):
        checkout.begin(booking, paying.ORIGIN)
    with pytest.raises(CannotPayError, match="in a minute"):
        checkout.begin(booking, paying.ORIGIN)
    Payment.objects.update(created_at=Now() - ledger.IN_FLIGHT)
    payment = checkout.begin(booking, paying.ORIGIN)
    assert payment.state == State.OPEN
    assert Payment.objects.count() == 2


def test_an_answer_that_was_lost_leaves_nothing_that_could_be_paid_twice() -> None:
    booking = paying.booked()
    paying.fault("lost")
    with pytest.raises(ChapaAwayError):
        checkout.begin(booking, paying.ORIGIN)
    lost = Payment.objects.get()
    assert paying.at_chapa(lost).status == "pending"
    Payment.objects.update(created_at=Now() - ledger.IN_FLIGHT)
    payment = checkout.begin(booking, paying.ORIGIN)
    paying.end(payment)
    paying.end(lost)  # somebody found its page
    paying.work()
    assert (paying.state(payment), paying.state(lost)) == (State.PAID, State.REFUNDED)


def test_a_refund_whose_answer_was_lost_is_not_asked_for_twice() -> None:
    payment = paying.begun()
    paying.end(payment)
    paying.work()
    bookings.cancel(payment.booking)
    paying.fault("lost")
    paying.work("payments.refund")
    assert paying.state(payment) == State.REFUNDING
    assert not ledger.claim_refund(payment.tx_ref)
    Payment.objects.update(refund_sent_at=Now() - ledger.IN_FLIGHT)
    assert list(ledger.unanswered()) == [payment]
    work.ask(payment)
    assert paying.state(payment) == State.REFUNDED


def test_a_refund_that_chapa_did_not_make_needs_a_person() -> None:
    payment = paying.begun()
    paying.end(payment)
    paying.work()
    bookings.cancel(payment.booking)
    paying.fault("down")
    paying.work("payments.refund")
    Payment.objects.update(refund_sent_at=Now() - ledger.IN_FLIGHT)
    work.ask(payment)
    payment.refresh_from_db()
    assert payment.state == State.REFUNDING
    assert "asked to be refunded" in payment.trouble
    assert not ledger.unanswered().exists()


def test_a_refund_that_chapa_refuses_needs_a_person(monkeypatch: pytest.MonkeyPatch) -> None:
    payment = paying.begun()
    paying.end(payment)
    paying.work()
    transaction = paying.at_chapa(payment)
    transaction.status = "failed"
    transaction.save()
    bookings.cancel(payment.booking)
    paying.work("payments.refund")
    payment.refresh_from_db()
    assert (payment.state, payment.trouble[:12]) == (State.REFUNDING, "not refunded")


def test_a_refund_that_never_left_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    payment = paying.begun()
    paying.end(payment)
    paying.work()
    bookings.cancel(payment.booking)
    with monkeypatch.context() as patched:
        unreachable = httpx.MockTransport(
            lambda request: (_ for _ in ()).throw(httpx.ConnectError("no route"))
        )
        patched.setattr(gateway, "chapa", lambda **_: chapa.Chapa("key", transport=unreachable))
        paying.work("payments.refund")
    assert paying.state(payment) == State.REFUNDING
    paying.again()
    assert paying.state(payment) == State.REFUNDED


@pytest.mark.django_db(transaction=True)
def test_a_refund_that_the_worker_gave_up_is_asked_for_by_the_round(monkeypatch: pytest.MonkeyPatch) -> None:
    payment, other = refunding(), payment_paid_elsewhere(paying.begun())
    OutboxRow.objects.filter(handler="payments.refund").update(status=Status.DEAD)
    work.reconcile()
    assert paying.state(payment) == State.REFUNDING  # the worker has a minute
    Payment.objects.update(settled_at=Now() - ledger.IN_FLIGHT)
    with monkeypatch.context() as patched:
        unreachable = httpx.MockTransport(
            lambda request: (_ for _ in ()).throw(httpx.ConnectError("no route"))
        )
        patched.setattr(gateway, "chapa", lambda **_: chapa.Chapa("key", transport=unreachable))
        Payment.objects.filter(pk=other.pk).update(state=State.OPEN)
        work.reconcile()
    assert paying.state(payment) == State.REFUNDING
    assert paying.state(other) == State.PAID  # the round went on
    work.reconcile()
    assert paying.state(payment) == State.REFUNDED
    assert paying.at_chapa(payment).status == "refunded"


def test_a_payment_that_chapa_refuses_says_so_and_is_no_payment() -> None:
    booking = paying.booked()
    Booking.objects.update(total=Decimal("10000000.00"))
    with pytest.raises(CannotPayError, match="no such amount"):
        paying.begun(booking)
    Booking.objects.update(total=Decimal("400.00"))
    payment = paying.begun(booking)
    payment.booking.payments.all().delete()  # and Chapa knows its reference already
    with pytest.raises(CannotPayError, match="does not take"):
        paying.begun(booking)
    refused = Payment.objects.get()
    assert (refused.state, refused.trouble) == (
        State.FAILED,
        "Chapa refused (400): Transaction reference has been used before",
    )


@pytest.mark.django_db(transaction=True)
def test_what_no_webhook_told_is_found_in_one_round() -> None:
    payments = [paying.begun() for _ in range(25)]
    for number, payment in enumerate(payments):
        paying.end(payment, "failed" if number % 5 == 0 else "success", copies=0)
    waiting = paying.begun()
    work.reconcile()
    assert [paying.state(payment) for payment in payments] == [
        State.FAILED if number % 5 == 0 else State.PAID for number in range(25)
    ]
    assert paying.state(waiting) == State.OPEN
    assert Payment.objects.get(pk=waiting.pk).asked_at
    paying.work()
    assert len(receipts()) == 20


@pytest.mark.django_db(transaction=True)
def test_a_round_with_chapa_down_changes_nothing_and_the_next_one_settles() -> None:
    payment = paying.begun()
    paying.end(payment, copies=0)
    paying.fault("down", left=chapa.ATTEMPTS)
    work.reconcile()
    assert paying.state(payment) == State.OPEN
    work.reconcile()
    assert paying.state(payment) == State.PAID


def test_who_is_asked_about_and_when() -> None:
    payment = paying.begun()
    other = paying.begun()
    Payment.objects.filter(pk=other.pk).update(state=State.PAID)
    due = ledger.unanswered()
    assert list(due) == [payment]
    Payment.objects.update(created_at=Now() - ledger.OFTEN, asked_at=Now())
    assert not due.all().exists()
    Payment.objects.update(asked_at=Now() - ledger.OFTEN)
    assert list(due.all()) == [payment]
    for closed in (State.FAILED, State.CANCELLED):
        Payment.objects.filter(pk=payment.pk).update(state=closed)
        assert list(due.all()) == [payment]  # its page may still be open
    Payment.objects.update(created_at=Now() - ledger.EVER)
    assert not due.all().exists()


def test_money_that_goes_back_while_the_booking_stands_needs_a_person() -> None:
    payment = paying.begun()
    paying.end(payment)
    paying.work()
    transaction = paying.at_chapa(payment)
    transaction.status = "refunded"  # on Chapa's dashboard
    transaction.save()
    assert paying.webhook(payment) == 200
    paying.work()
    payment.refresh_from_db()
    assert (payment.state, payment.trouble) == (State.REFUNDED, "refunded, and its booking stands")


def test_a_payment_that_chapa_answers_otherwise_is_not_credited(monkeypatch: pytest.MonkeyPatch) -> None:
    payment = paying.begun()
    transaction = paying.at_chapa(payment)
    transaction.amount -= 1
    transaction.save()
    paying.end(payment, copies=0)
    assert work.ask(payment) == "amount is 1499.0, not 1500.00"
    payment.refresh_from_db()
    assert (payment.state, payment.trouble) == (State.OPEN, "amount is 1499.0, not 1500.00")


def test_no_state_is_moved_by_who_may_not() -> None:
    for before in State:
        for after in State:
            movers = MOVES.get((before, after), frozenset())
            assert [may(before, after, mover) for mover in Mover] == [mover in movers for mover in Mover]
    payment = paying.begun()
    with pytest.raises(ValueError, match="guest cannot move"):
        ledger._move(payment, State.PAID, Mover.GUEST)


def test_nobody_has_to_pay_where_nobody_takes_money(settings: object) -> None:
    settings.PAYMENTS = False  # type: ignore[attr-defined]
    assert paying.booked().pay_by is None
    assert "to be paid" not in OutboxRow.objects.get(handler="outbox.mail").payload["body"]
    assert paying.signed("{}") == 404


def test_a_stay_that_is_over_can_be_paid_no_more() -> None:
    booking = paying.booked(begins=0, nights=1)
    days = Booking.objects.filter(pk=booking.pk)
    days.update(check_in=bookings.today() - timedelta(days=2), check_out=bookings.today())
    with pytest.raises(CannotPayError, match="is over"):
        paying.begun(booking)
    days.update(check_out=bookings.today() + timedelta(days=1))
    assert paying.begun(booking).state == State.OPEN


@pytest.mark.parametrize("total", ["0.00", "10000000.00"])
def test_an_amount_that_chapa_does_not_take_is_not_asked_for(total: str) -> None:
    booking = paying.booked()
    Booking.objects.update(total=Decimal(total))
    with pytest.raises(CannotPayError, match="no such amount"):
        paying.begun(booking)
    assert not Payment.objects.exists()


@pytest.mark.parametrize("total", [Decimal("0.01"), chapa.LARGEST])
def test_the_smallest_and_the_largest_amount_can_be_paid(total: Decimal) -> None:
    booking = paying.booked()
    Booking.objects.update(total=total)
    assert paying.begun(booking).amount == total


def test_chapa_is_told_who_pays_for_what_and_where_to_send_them_back() -> None:
    booking = paying.booked()
    booking.listing.title = "Abebe's house, 50 % off"
    booking.listing.save()
    booking.guest.last_name = "Bekele"
    booking.guest.save()
    booking.guest.profile.phone = "0912345678"
    booking.guest.profile.save()
    payment = paying.begun(Booking.objects.get())
    assert paying.at_chapa(payment).asked == {
        "amount": "1500.00", "currency": "ETB", "tx_ref": payment.tx_ref, "email": booking.guest.email,
        "first_name": "Hana", "last_name": "Bekele", "phone_number": "0912345678",
        "callback_url": "http://testserver/payments/callback",
        "return_url": f"http://testserver/payments/{payment.tx_ref}/",
        "customization": {"title": "Marefia", "description": "Abebe s house  50   off  Gondar"},
    }  # fmt: skip


def test_a_phone_that_chapa_does_not_know_is_not_told() -> None:
    booking = paying.booked()
    booking.guest.profile.phone = "+251 911 234567"
    booking.guest.profile.save()
    assert "phone_number" not in paying.at_chapa(paying.begun(booking)).asked


def test_a_guest_of_whom_we_know_nothing_more_can_pay() -> None:
    booking = paying.booked()
    booking.guest.profile.delete()
    assert paying.begun(Booking.objects.get()).state == State.OPEN


def test_a_booking_that_is_cancelled_while_chapa_is_asked_sends_nobody_to_pay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    booking, ask = paying.booked(), chapa.Chapa.initialize

    def slow(client: chapa.Chapa, payment: chapa.Payment) -> chapa.Checkout:
        bookings.cancel(booking)
        return ask(client, payment)

    monkeypatch.setattr(chapa.Chapa, "initialize", slow)
    with pytest.raises(CannotPayError, match="cancelled"):
        checkout.begin(booking, paying.ORIGIN)
    paying.work()
    payment = Payment.objects.get()
    assert (payment.state, paying.at_chapa(payment).status) == (State.CANCELLED, "cancelled")


def test_a_booking_that_is_paid_at_the_last_moment_stands() -> None:
    late = paying.begun()
    Booking.objects.update(pay_by=Now() - timedelta(seconds=1))
    paying.end(late)
    paying.work()
    cancelled, other = paying.booked(), paying.booked()
    Booking.objects.filter(pk__in=(cancelled.pk, other.pk)).update(pay_by=Now() - timedelta(seconds=1))
    bookings.cancel(cancelled)
    for seen in (late.booking_id, cancelled.pk):  # to be late, before the money came or the guest cancelled
        assert not bookings._expire(seen)
    assert set(Booking.objects.filter(status=BookingStatus.CONFIRMED)) == {late.booking, other}


def test_what_is_not_late_takes_no_place_among_what_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bookings, "A_ROUND", 1)
    late, cancelled, waiting = (paying.booked() for _ in range(3))
    Booking.objects.exclude(pk=waiting.pk).update(pay_by=Now() - timedelta(seconds=1))
    bookings.cancel(cancelled)
    assert bookings.expire() == 1
    late.refresh_from_db()
    assert late.status == BookingStatus.CANCELLED


def test_money_that_came_and_went_before_anybody_told_is_no_trouble() -> None:
    payment = payment_paid_elsewhere(paying.begun())
    transaction = paying.at_chapa(payment)
    transaction.status = "refunded"
    transaction.save()
    assert paying.webhook(payment) == 200
    paying.work()
    payment.refresh_from_db()
    assert (payment.state, payment.trouble) == (State.REFUNDED, "")
    assert not receipts()


def test_with_a_live_key_only_live_money_counts(settings: object) -> None:
    payment = payment_paid_elsewhere(paying.begun())
    settings.CHAPA_KEY = "CHASECK-live"  # type: ignore[attr-defined]
    assert gateway.mode() == "live"
    assert paying.webhook(payment) == 200
    paying.work()
    assert paying.state(payment) == State.OPEN
    assert PaymentEvent.objects.get().reason == "mode is test, not live"


def test_the_real_chapa_is_asked_where_it_is_configured(
    settings: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(404, json={"message": "Payment not paid yet", "status": None, "data": None})

    settings.SANDBOX = False  # type: ignore[attr-defined]
    settings.CHAPA_URL = "https://chapa.example/v1"  # type: ignore[attr-defined]
    settings.CHAPA_KEY = "CHASECK-live"  # type: ignore[attr-defined]
    with gateway.chapa(transport=httpx.MockTransport(answer)) as client:
        assert client.verify("stay-1") is None
    assert str(asked[0].url) == "https://chapa.example/v1/transaction/verify/stay-1"
    assert asked[0].headers["Authorization"] == "Bearer CHASECK-live"


def test_no_more_than_so_many_rejected_events_are_kept_and_all_others_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(inbox, "MOST_REJECTED", 2)
    for _ in range(2):
        assert paying.webhook(payment_paid_elsewhere(paying.begun())) == 200
    counted = [events("rejected"), events("accepted")]
    for number in range(4):
        assert paying.signed(str(number)) == 200
    assert PaymentEvent.objects.filter(verdict=Verdict.REJECTED).count() == 2
    assert paying.signed("0") == 200  # known: counted
    assert PaymentEvent.objects.get(body=b"0").deliveries == 2
    payment = payment_paid_elsewhere(paying.begun())
    assert paying.webhook(payment) == 200
    paying.work()
    assert paying.state(payment) == State.PAID
    assert [events("rejected"), events("accepted")] == [counted[0] + 5, counted[1] + 1]


def events(verdict: str) -> float:
    """How many the metrics count."""
    return REGISTRY.get_sample_value("marefia_payment_events_total", {"verdict": verdict}) or 0


def test_an_event_that_comes_twice_at_the_same_moment_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert paying.signed("nothing") == 200
    update = QuerySet.update
    answers = iter([0])  # the other's row is not there yet when this one looks
    monkeypatch.setattr(
        QuerySet, "update", lambda rows, **fields: next(answers, None) is None and update(rows, **fields)
    )
    assert paying.signed("nothing") == 200
    assert PaymentEvent.objects.get().deliveries == 2


def test_an_event_of_the_largest_size_is_read() -> None:
    assert paying.signed(" " * inbox.MOST_BYTES) == 200
    assert paying.signed(" " * (inbox.MOST_BYTES + 1)) == 413


def test_a_callback_asks_again_when_a_while_has_passed() -> None:
    payment = paying.begun()
    for waited, asked in ((timedelta(0), 1), (timedelta(0), 0), (hook.QUIET, 1)):
        Payment.objects.filter(asked_at__isnull=False).update(asked_at=Now() - waited)
        assert Client().get("/payments/callback", {"trx_ref": payment.tx_ref}).status_code == 200
        assert paying.work("payments.ask") == asked


def test_a_callback_with_more_than_the_reference_asks_about_that_payment_or_none() -> None:
    payment = paying.begun()
    assert Client().get("/payments/callback", {"trx_ref": f"{payment.tx_ref}\0"}).status_code == 404
    assert not OutboxRow.objects.filter(handler="payments.ask").exists()


def test_a_payment_about_which_chapa_did_not_answer_is_asked_about_first() -> None:
    answered, unanswered = paying.begun(), paying.begun()
    work.ask(answered)
    paying.fault("down", left=chapa.ATTEMPTS)
    with pytest.raises(chapa.UnavailableError):
        work.ask(unanswered)
    assert list(ledger.unanswered()) == [unanswered, answered]


def test_a_cancellation_with_a_wrong_key_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    payment = paying.begun()
    bookings.cancel(payment.booking)
    with monkeypatch.context() as patched:
        wrong = {"url": transport.URL, "transport": transport.Here()}
        patched.setattr(gateway, "chapa", lambda **_: chapa.Chapa("wrong", **wrong))
        paying.work("payments.cancel")
    assert paying.at_chapa(payment).status == "pending"
    paying.again()
    assert paying.at_chapa(payment).status == "cancelled"


def refunding() -> Payment:
    """A payment whose money has to go back, for which nobody has asked yet."""
    payment = payment_paid_elsewhere(paying.begun())
    work.ask(payment)
    bookings.cancel(payment.booking)
    return payment


def test_a_refund_is_claimed_for_one_payment_and_only_when_it_has_to_go_back() -> None:
    payment, other, paid = refunding(), refunding(), payment_paid_elsewhere(paying.begun())
    work.ask(paid)
    assert ledger.claim_refund(paid.tx_ref) is None
    assert ledger.claim_refund(other.tx_ref) == other
    assert ledger.claim_refund(payment.tx_ref) == payment
    ledger.unclaim_refund(payment.tx_ref)
    assert ledger.claim_refund(other.tx_ref) is None  # was asked for, and stays so
    assert ledger.claim_refund(payment.tx_ref) == payment


def test_what_is_owed_is_what_nobody_asked_for_in_time() -> None:
    owed, asked, troubled = refunding(), refunding(), refunding()
    paid = payment_paid_elsewhere(paying.begun())
    work.ask(paid)
    ledger.claim_refund(asked.tx_ref)
    ledger.trouble(troubled.tx_ref, "look")
    assert not ledger.owed().exists()  # the worker has a minute
    Payment.objects.update(settled_at=Now() - ledger.IN_FLIGHT)
    assert list(ledger.owed()) == [owed]


def test_a_payment_that_is_being_prepared_is_asked_about_after_a_minute() -> None:
    booking = paying.booked()
    paying.fault("down")
    with pytest.raises(ChapaAwayError):
        paying.begun(booking)
    assert not ledger.unanswered().exists()
    Payment.objects.update(created_at=Now() - ledger.IN_FLIGHT)
    assert ledger.unanswered().count() == 1


def test_a_refund_is_asked_about_when_it_had_its_time_and_no_more_when_it_is_made() -> None:
    payment = refunding()
    assert not ledger.unanswered().exists()  # nobody has asked for it
    ledger.claim_refund(payment.tx_ref)
    assert not ledger.unanswered().exists()
    Payment.objects.update(refund_sent_at=Now() - ledger.IN_FLIGHT)
    assert list(ledger.unanswered()) == [payment]
    ledger.refunded(payment.tx_ref)
    assert not ledger.unanswered().exists()


def test_those_who_were_never_asked_about_are_first_and_of_them_the_oldest() -> None:
    young, old, asked = paying.begun(), paying.begun(), paying.begun()
    Payment.objects.filter(pk__in=(old.pk, asked.pk)).update(created_at=Now() - ledger.OFTEN)
    Payment.objects.filter(pk=asked.pk).update(asked_at=Now() - ledger.OFTEN)
    assert list(ledger.unanswered()) == [old, young, asked]


def test_what_chapa_says_while_a_refund_is_on_its_way_is_no_trouble() -> None:
    payment = refunding()
    work.ask(payment)  # before anybody asked for the refund
    paying.work()
    assert paying.state(payment) == State.REFUNDED
    transaction = paying.at_chapa(payment)
    transaction.status = "success"  # its verify may not tell of refunds
    transaction.save()
    work.ask(payment)
    payment.refresh_from_db()
    assert (payment.state, payment.trouble) == (State.REFUNDED, "")


def test_a_payment_of_which_chapa_knows_nothing_has_failed() -> None:
    booking = paying.booked()
    paying.fault("down")
    with pytest.raises(ChapaAwayError):
        paying.begun(booking)
    payment = Payment.objects.get()
    why = "Chapa refused (404): Invalid transaction or Transaction not found"
    assert work.ask(payment) == why
    payment.refresh_from_db()
    assert (payment.state, payment.trouble) == (State.FAILED, why)


def test_it_is_said_why_money_goes_back() -> None:
    payment = payment_paid_elsewhere(paying.begun())
    bookings.cancel(payment.booking)
    assert work.ask(payment) == "paid, and goes back: its booking is cancelled"
    booking = paying.booked()
    first = payment_paid_elsewhere(paying.begun(booking))
    Payment.objects.filter(pk=first.pk).update(state=State.FAILED)
    second = payment_paid_elsewhere(paying.begun(booking))
    assert work.ask(first) == "credited"
    assert work.ask(second) == "paid, and goes back: its booking is paid already"


def test_of_two_payments_the_one_that_is_meant_is_asked_about_cancelled_and_judged() -> None:
    one, other, third = paying.begun(), paying.begun(), payment_paid_elsewhere(paying.begun())
    Client().get("/payments/callback", {"trx_ref": one.tx_ref})
    bookings.cancel(other.booking)
    assert paying.signed(json.dumps(json.loads(webhook(paying.at_chapa(third))[0]) | {"amount": "1"})) == 200
    assert paying.work() >= 3
    assert [paying.at_chapa(payment).status for payment in (one, other, third)] == [
        "pending", "cancelled", "success",
    ]  # fmt: skip
    asked = Payment.objects.exclude(asked_at=None)
    assert list(asked) == [one]
    paying.end(one)
    paying.work()
    verdicts = PaymentEvent.objects.order_by("pk").values_list("tx_ref", "verdict")
    assert list(verdicts) == [(third.tx_ref, Verdict.REJECTED), (one.tx_ref, Verdict.DONE)]
    ledger.trouble(one.tx_ref, "look")
    assert [*Payment.objects.exclude(trouble="")] == [one]


def test_of_what_others_say_so_much_is_kept_as_there_is_room_for() -> None:
    payment = paying.begun()
    ledger.trouble(payment.tx_ref, "x" * 1000)
    payment.refresh_from_db()
    assert payment.trouble == "x" * 300
    ledger.refused(payment, "y" * 1000)
    payment.refresh_from_db()
    assert payment.trouble == "y" * 300
    body, _ = webhook(paying.at_chapa(payment_paid_elsewhere(payment)))
    assert paying.signed(json.dumps(json.loads(body) | {"event": "e" * 80, "tx_ref": "t" * 80})) == 200
    paying.work()
    event = PaymentEvent.objects.get()
    assert (event.kind, event.tx_ref, event.verdict) == ("e" * 50, "t" * 50, Verdict.REJECTED)


def test_a_refund_is_of_chapas_transaction_and_names_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    payment, asked = refunding(), list[httpx.Request]()

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json={"message": "Refunded", "status": "success", "data": {}})

    monkeypatch.setattr(gateway, "chapa", lambda: chapa.Chapa("key", transport=httpx.MockTransport(answer)))
    work.give_back(payment.tx_ref)
    assert asked[0].url.path == f"/v1/refund/{paying.at_chapa(payment).reference}"
    assert parse_qs(asked[0].content.decode()) == {"reason": ["cancelled"], "reference": [payment.tx_ref]}
    assert paying.state(payment) == State.REFUNDED


# -- the pages


def test_the_page_of_a_payment_shows_what_became_of_it(client: Client) -> None:
    booking = paying.booked()
    bookings.book(booking.guest, make.wish(make.listing()))
    client.force_login(booking.guest)
    sent_to = client.post(f"/payments/booking/{booking.pk}/")
    payment = Payment.objects.get()
    assert payment.booking == booking
    assert paying.at_chapa(payment).asked["return_url"] == f"http://testserver/payments/{payment.tx_ref}/"
    assert sent_to.headers["Location"] == payment.checkout_url
    page = client.get(f"/payments/{payment.tx_ref}/")
    assert "Nothing was paid yet" in page.content.decode()
    assert page.headers["Refresh"] == "5"
    paying.end(payment, copies=0)
    page = client.get(f"/payments/{payment.tx_ref}/")
    assert "Thank you" in page.content.decode()
    assert "Refresh" not in page.headers
    bookings.cancel(booking)
    assert "goes back to you" in client.get(f"/payments/{payment.tx_ref}/").content.decode()
    paying.work()
    assert "went back" in client.get(f"/payments/{payment.tx_ref}/").content.decode()


def test_a_page_with_chapa_down_says_so(client: Client) -> None:
    payment = paying.begun()
    client.force_login(payment.booking.guest)
    paying.fault("down", left=chapa.ATTEMPTS)
    page = client.get(f"/payments/{payment.tx_ref}/")
    assert "does not answer now" in page.content.decode()
    paying.fault("down")
    other = paying.booked()
    client.force_login(other.guest)
    page = client.post(f"/payments/booking/{other.pk}/", follow=True)
    assert "Nothing was paid; try again in a minute" in page.content.decode()


def test_the_page_of_a_failed_payment(client: Client) -> None:
    payment = paying.begun()
    client.force_login(payment.booking.guest)
    paying.end(payment, "failed", copies=0)
    assert "Nothing was paid." in client.get(f"/payments/{payment.tx_ref}/").content.decode()


def test_nobody_sees_or_pays_the_booking_of_another(client: Client) -> None:
    payment = paying.begun()
    assert client.get(f"/payments/{payment.tx_ref}/").status_code == 302
    assert client.post(f"/payments/booking/{payment.booking_id}/").status_code == 302
    client.force_login(make.user())
    assert client.get(f"/payments/{payment.tx_ref}/").status_code == 404
    assert client.post(f"/payments/booking/{payment.booking_id}/").status_code == 404
    assert client.get("/payments/%00/").status_code == 404


def test_bookings_show_what_is_to_be_paid(client: Client) -> None:
    booking = paying.booked()
    client.force_login(booking.guest)
    assert f"/payments/booking/{booking.pk}/" in client.get("/bookings/").content.decode()
    paying.end(paying.begun(booking))
    paying.work()
    assert f"/payments/booking/{booking.pk}/" not in client.get("/bookings/").content.decode()


def test_staff_ask_chapa_again_and_ask_for_a_refund_again(admin_client: Client) -> None:
    payment = paying.begun()
    paying.end(payment)
    paying.work()
    bookings.cancel(payment.booking)
    paying.fault("down")
    paying.work("payments.refund")
    ledger.trouble(payment.tx_ref, "look")
    for action in ("ask", "refund_again"):
        told = {"action": action, "_selected_action": [payment.pk]}
        assert admin_client.post("/admin/payments/payment/", told).status_code == 302
    paying.work()
    payment.refresh_from_db()
    assert (payment.state, payment.trouble) == (State.REFUNDED, "")
    assert admin_client.get("/admin/payments/payment/?trouble__isempty=0").status_code == 200
    assert admin_client.get("/admin/payments/paymentevent/").status_code == 200
    assert admin_client.get(f"/admin/payments/payment/{payment.pk}/change/").status_code == 200
    assert (
        admin_client.post(f"/admin/payments/payment/{payment.pk}/delete/", {"post": "yes"}).status_code == 403
    )


def test_the_account_is_exported_in_batches_and_runs_nothing(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "BATCH", 2)
    payments = [paying.begun() for _ in range(5)]
    payments[0].booking.listing.title = "=cmd|' /C calc'!A0"
    payments[0].booking.listing.save()
    answer = admin_client.get("/payments/export.csv")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="payments.csv"'
    rows = list(csv.DictReader(answer.getvalue().decode().splitlines()))
    assert [row["tx_ref"] for row in rows] == [payment.tx_ref for payment in payments]
    assert rows[0]["booking_listing_title"] == "'=cmd|' /C calc'!A0"
    assert (rows[0]["amount"], rows[0]["settled_at"], rows[0]["state"]) == ("1500.00", "", "open")
    for span, found in (("?first=2020-01-01", 5), ("?last=2020-01-01", 0), ("?first=9999-12-31", 0)):
        assert (
            len(admin_client.get(f"/payments/export.csv{span}").getvalue().decode().splitlines()) == found + 1
        )
    for wrong in ("first=yesterday", "last=%00", "first=10000-01-01"):
        assert admin_client.get(f"/payments/export.csv?{wrong}").status_code == 400


def test_the_account_is_for_staff(client: Client) -> None:
    client.force_login(make.user())
    assert client.get("/payments/export.csv").status_code == 302


def test_the_page_draws_the_states_as_they_are() -> None:
    assert f"```mermaid\n{states.diagram()}\n```" in Path("docs/payments.md").read_text()
