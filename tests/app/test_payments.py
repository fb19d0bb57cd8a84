"""Paying: a booking is paid exactly once, whatever arrives, how often and in what order."""

import csv
import json
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import httpx
import pytest
import stamina
from django.core import mail
from django.db.models.functions import Now
from django.test import Client

from marefia.cleanup import expired
from marefia.outbox.models import OutboxRow, Status
from marefia.payments import chapa, checkout, exports, gateway, inbox, ledger, states, work
from marefia.payments.ledger import CannotPayError, ChapaAwayError
from marefia.payments.models import Payment, PaymentEvent, Verdict
from marefia.payments.states import MOVES, Mover, State, may
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
    assert len(paying.receipts()) == 1
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
    assert len(paying.receipts()) == 1


@pytest.mark.parametrize("copies", [1, 7])
def test_a_webhook_delivered_often_credits_once(copies: int) -> None:
    payment = paying.begun()
    paying.end(payment, copies=copies)
    paying.work()
    assert paying.state(payment) == State.PAID
    assert len(paying.receipts()) == 1
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
    assert paying.webhook(paying.paid(payment), tamper) == 401
    assert paying.webhook(payment, tamper) == 401
    paying.work()
    assert paying.state(payment) == State.OPEN
    event = PaymentEvent.objects.get()
    assert (event.verdict, event.deliveries) == (Verdict.REJECTED, 2)
    assert "signature" in event.reason


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
    payment = paying.begun_and_paid()
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
    assert not paying.receipts()


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
    assert len(paying.receipts()) == 1


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
    payment, other = paying.refunding(), paying.begun_and_paid()
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
    assert len(paying.receipts()) == 20


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
    for span, found in (
        ("?first=2020-01-01", 5),
        ("?last=2020-01-01", 0),
        ("?first=9999-12-31", 0),
        ("?first=0001-01-01&last=9999-12-31", 5),
    ):
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
