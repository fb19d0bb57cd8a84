"""Whom an event, a callback and a round mean: which payment is asked about, refunded and judged, and which is not."""

import json
from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import parse_qs

import httpx
import pytest
import stamina
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.test import Client
from prometheus_client import REGISTRY

from marefia.payments import chapa, gateway, inbox, ledger, work
from marefia.payments import webhook as hook
from marefia.payments.ledger import CannotPayError, ChapaAwayError
from marefia.payments.models import Payment, PaymentEvent, Verdict
from marefia.payments.states import State
from marefia.sandbox import transport
from marefia.sandbox.deliveries import webhook
from marefia.sandbox.models import Outcome, Transaction
from marefia.stays import bookings
from marefia.stays.models import Booking
from tests.app import paying

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def at_once() -> Iterator[None]:
    """Nobody waits between attempts."""
    with stamina.set_testing(True, attempts=chapa.ATTEMPTS):
        yield


def test_money_that_came_and_went_before_anybody_told_is_no_trouble() -> None:
    payment = paying.begun_and_paid()
    transaction = paying.at_chapa(payment)
    transaction.status = "refunded"
    transaction.save()
    assert paying.webhook(payment) == 200
    paying.work()
    payment.refresh_from_db()
    assert (payment.state, payment.trouble) == (State.REFUNDED, "")
    assert not paying.receipts()


def test_with_a_live_key_only_live_money_counts(settings: object) -> None:
    payment = paying.begun_and_paid()
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
        assert paying.webhook(paying.begun_and_paid()) == 200
    counted = [events("rejected"), events("accepted")]
    for number in range(4):
        assert paying.signed(str(number)) == 200
    assert PaymentEvent.objects.filter(verdict=Verdict.REJECTED).count() == 2
    assert paying.signed("0") == 200  # known: counted
    assert PaymentEvent.objects.get(body=b"0").deliveries == 2
    payment = paying.begun_and_paid()
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
        here = transport.Here()
        patched.setattr(gateway, "chapa", lambda: chapa.Chapa("wrong", transport.URL, transport=here))
        paying.work("payments.cancel")
    assert paying.at_chapa(payment).status == "pending"
    paying.again()
    assert paying.at_chapa(payment).status == "cancelled"


def test_a_refund_is_claimed_for_one_payment_and_only_when_it_has_to_go_back() -> None:
    payment, other, paid = paying.refunding(), paying.refunding(), paying.begun_and_paid()
    work.ask(paid)
    assert ledger.claim_refund(paid.tx_ref) is None
    assert ledger.claim_refund(other.tx_ref) == other
    assert ledger.claim_refund(payment.tx_ref) == payment
    ledger.unclaim_refund(payment.tx_ref)
    assert ledger.claim_refund(other.tx_ref) is None  # was asked for, and stays so
    assert ledger.claim_refund(payment.tx_ref) == payment


def test_what_is_owed_is_what_nobody_asked_for_in_time() -> None:
    owed, asked, troubled = paying.refunding(), paying.refunding(), paying.refunding()
    paid = paying.begun_and_paid()
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
    payment = paying.refunding()
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
    payment, other = paying.refunding(), paying.begun_and_paid()
    work.ask(payment)  # before anybody asked for the refund
    assert not Payment.objects.exclude(trouble="").exists()
    ledger.claim_refund(payment.tx_ref)
    work.ask(other)
    assert not Payment.objects.exclude(trouble="").exists()
    ledger.unclaim_refund(payment.tx_ref)
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
    assert paying.state(payment) == State.NEW, "it may be being told of it this moment"
    Payment.objects.update(created_at=Now() - ledger.IN_FLIGHT)
    payment.refresh_from_db()
    assert work.ask(payment) == why
    payment.refresh_from_db()
    assert (payment.state, payment.trouble) == (State.FAILED, why)


def test_it_is_said_why_money_goes_back() -> None:
    payment = paying.begun_and_paid()
    bookings.cancel(payment.booking)
    assert work.ask(payment) == "paid, and goes back: its booking is cancelled"
    booking = paying.booked()
    first = paying.begun_and_paid(booking)
    Payment.objects.filter(pk=first.pk).update(state=State.FAILED)
    second = paying.begun_and_paid(booking)
    assert work.ask(first) == "credited"
    assert work.ask(second) == "paid, and goes back: its booking is paid already"


def test_of_two_payments_the_one_that_is_meant_is_asked_about_cancelled_and_judged() -> None:
    one, other, third = paying.begun_and_paid(), paying.begun(), paying.begun_and_paid()
    Client().get("/payments/callback", {"trx_ref": one.tx_ref})
    bookings.cancel(other.booking)
    assert paying.signed(json.dumps(json.loads(webhook(paying.at_chapa(third))[0]) | {"amount": "1"})) == 200
    assert paying.work() >= 3
    assert [paying.at_chapa(payment).status for payment in (one, other, third)] == [
        "success", "cancelled", "success",
    ]  # fmt: skip
    assert [paying.state(payment) for payment in (one, other, third)] == ["paid", "cancelled", "open"]
    assert paying.webhook(one) == 200
    paying.work()
    verdicts = PaymentEvent.objects.order_by("pk").values_list("tx_ref", "verdict")
    assert list(verdicts) == [(third.tx_ref, Verdict.REJECTED), (one.tx_ref, Verdict.DONE)]
    ledger.trouble(one.tx_ref, "look")
    assert not Payment.objects.exclude(trouble="").exists(), "nothing of it is to be refunded"
    bookings.cancel(one.booking)
    ledger.trouble(one.tx_ref, "look")
    assert [*Payment.objects.exclude(trouble="")] == [one]


def test_of_what_others_say_so_much_is_kept_as_there_is_room_for() -> None:
    payment = paying.refunding()
    ledger.trouble(payment.tx_ref, "x" * 1000)
    payment.refresh_from_db()
    assert payment.trouble == "x" * 300
    ledger.refused(payment, "y" * 1000)
    payment.refresh_from_db()
    assert payment.trouble == "y" * 300
    body, _ = webhook(paying.at_chapa(payment))
    assert paying.signed(json.dumps(json.loads(body) | {"event": "e" * 80, "tx_ref": "t" * 80})) == 200
    paying.work("payments.event")
    event = PaymentEvent.objects.get()
    assert (event.kind, event.tx_ref, event.verdict) == ("e" * 50, "t" * 50, Verdict.REJECTED)


def test_a_refund_is_of_chapas_transaction_and_names_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    payment, asked = paying.refunding(), list[httpx.Request]()

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json={"message": "Refunded", "status": "success", "data": {}})

    monkeypatch.setattr(gateway, "chapa", lambda: chapa.Chapa("key", transport=httpx.MockTransport(answer)))
    work.give_back(payment.tx_ref)
    assert asked[0].url.path == f"/v1/refund/{paying.at_chapa(payment).reference}"
    assert parse_qs(asked[0].content.decode()) == {"reason": ["cancelled"], "reference": [payment.tx_ref]}
    assert paying.state(payment) == State.REFUNDED


@pytest.mark.parametrize("begun", [False, True])
def test_when_the_time_to_pay_is_over_nobody_is_sent_to_pay(begun: bool) -> None:
    booking = paying.booked()
    if begun:
        paying.begun(booking)
    Booking.objects.update(pay_by=Now() - timedelta(seconds=1))
    with pytest.raises(CannotPayError, match="time to pay it is over"):
        paying.begun(booking)


def test_what_chapa_does_not_confirm_is_rejected_until_it_does() -> None:
    payment = paying.begun_and_paid()
    body, _ = webhook(paying.at_chapa(payment))
    Transaction.objects.update(status=Outcome.PENDING)
    assert paying.signed(body) == 200
    paying.work()
    event = PaymentEvent.objects.get()
    assert (event.verdict, event.reason) == (Verdict.REJECTED, "Chapa does not confirm it")
    assert paying.state(payment) == State.OPEN
    paying.paid(payment)
    paying.again()
    event.refresh_from_db()
    assert (event.verdict, paying.state(payment)) == (Verdict.DONE, State.PAID)


@pytest.mark.parametrize("field", ["event", "tx_ref", "currency", "reference"])
def test_an_event_with_half_a_character_is_rejected(field: str) -> None:
    body = json.loads(webhook(paying.at_chapa(paying.begun_and_paid()))[0]) | {field: "\ud800"}
    assert paying.signed(json.dumps(body)) == 200
    assert PaymentEvent.objects.get().verdict == Verdict.REJECTED


def test_a_refund_that_chapa_did_not_do_is_no_promise_to_the_guest() -> None:
    payment = paying.refunding()
    ledger.trouble(payment.tx_ref, "look")
    guest = Client()
    guest.force_login(payment.booking.guest)
    assert b"Chapa has not done it yet" in guest.get(f"/payments/{payment.tx_ref}/").content
    assert f"/payments/{payment.tx_ref}/" in guest.get("/bookings/?period=cancelled").content.decode()
