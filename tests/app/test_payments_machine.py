"""Bookings and payments in any order of events: money and nights stay right."""

from __future__ import annotations

import itertools
import os
from contextlib import suppress
from datetime import timedelta

import pytest
import stamina
from django.db import transaction
from django.db.models.functions import Now
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from marefia.outbox.models import OutboxRow
from marefia.payments import chapa, ledger, work
from marefia.payments.models import Payment
from marefia.payments.states import State
from marefia.sandbox import deliveries
from marefia.sandbox.deliveries import Tamper
from marefia.sandbox.models import Fault, Outcome, Transaction
from marefia.stays import bookings
from marefia.stays.models import Booking, BookingStatus
from tests.app import make, paying

BACK = {State.REFUNDING, State.REFUNDED, State.REVERSED}
RUNS = int(os.environ.get("RUNS", "25"))
"""Sequences of 30 steps; many more by hand."""


class Money(RuleBasedStateMachine):
    """Guests, Chapa, its webhooks and its failures, the worker and the clock take turns."""

    booked = Bundle("booked")

    def __init__(self) -> None:
        super().__init__()
        self.all = transaction.atomic()
        self.all.__enter__()
        self.place = make.listing()
        self.guests = [make.user(), make.user()]

    @precondition(lambda self: Booking.objects.filter(status=BookingStatus.CONFIRMED).count() < 2)
    @rule(target=booked, guest=st.integers(0, 1), begins=st.integers(1, 6), nights=st.integers(1, 5))
    def book(self, guest: int, begins: int, nights: int) -> object:
        try:
            booking, _ = bookings.book(
                self.guests[guest], make.wish(self.place, begins=begins, nights=nights)
            )
        except bookings.ConflictError:
            return multiple()
        return booking

    @rule(booking=booked)
    def begin(self, booking: Booking) -> None:
        with suppress(ledger.CannotPayError):
            paying.begun(booking)

    @rule(
        booking=booked,
        outcome=st.sampled_from(["success", "success", "failed", "cancelled"]),
        copies=st.integers(0, 2),
    )
    def end(self, booking: Booking, outcome: str, copies: int) -> None:
        for payment in booking.payments.all():
            if Transaction.objects.filter(tx_ref=payment.tx_ref).exists():
                paying.end(payment, outcome, copies=copies)

    @rule(booking=booked, copies=st.integers(0, 2))
    def pay(self, booking: Booking, copies: int) -> None:
        self.begin(booking)
        self.end(booking, "success", copies)

    @rule(booking=booked)
    def try_again(self, booking: Booking) -> None:
        """A card is refused, and another payment begun; the first page stays open."""
        self.end(booking, "failed", copies=1)
        paying.again()
        self.begin(booking)

    @rule(booking=booked)
    def cancel(self, booking: Booking) -> None:
        bookings.cancel(booking)

    @rule()
    def half_an_hour_passes(self) -> None:
        Booking.objects.filter(pay_by__isnull=False).update(pay_by=Now() - timedelta(seconds=1))
        bookings.expire()

    @rule(booking=booked, tamper=st.sampled_from(Tamper))
    def forge(self, booking: Booking, tamper: Tamper) -> None:
        """Success that never was; with a right signature, too: its key has leaked."""
        for payment in booking.payments.all():
            if told := Transaction.objects.filter(tx_ref=payment.tx_ref).first():
                told.status = Outcome.SUCCESS
                assert paying.sent(*deliveries.webhook(told, tamper)) == (401 if tamper else 200)

    @precondition(lambda self: not Fault.objects.filter(left__gt=0).exists())
    @rule(kind=st.sampled_from(["down", "lost", "garbage"]), left=st.integers(1, 4))
    def chapa_fails(self, kind: str, left: int) -> None:
        paying.fault(kind, left)

    @rule()
    def work(self) -> None:
        paying.again()

    @rule()
    def a_minute_passes(self) -> None:
        Payment.objects.filter(state=State.NEW).update(created_at=Now() - ledger.IN_FLIGHT)
        Payment.objects.filter(refund_sent_at__isnull=False).update(refund_sent_at=Now() - ledger.IN_FLIGHT)
        for payment in ledger.unanswered():
            with suppress(chapa.ChapaError):
                work.ask(payment)

    @invariant()
    def each_booking_is_paid_at_most_once(self) -> None:
        for booking in Booking.objects.all():
            assert booking.payments.filter(state=State.PAID).count() <= 1
            if booking.status == BookingStatus.CANCELLED:
                assert not booking.payments.filter(state=State.PAID).exists()

    @invariant()
    def what_is_credited_is_at_chapa(self) -> None:
        for payment in Payment.objects.filter(state=State.PAID):
            assert paying.at_chapa(payment).status == Outcome.SUCCESS
            assert paying.at_chapa(payment).amount == payment.amount == payment.booking.total

    @invariant()
    def no_receipt_is_sent_twice(self) -> None:
        mails = OutboxRow.objects.filter(handler="outbox.mail").values_list("payload", flat=True)
        receipts = [
            one["body"].split("Receipt: ")[1].split()[0] for one in mails if "Receipt: " in one["body"]
        ]
        assert len(receipts) == len(set(receipts))

    @invariant()
    def no_two_bookings_overlap(self) -> None:
        stays = Booking.objects.filter(status=BookingStatus.CONFIRMED).order_by("check_in")
        nights = list(stays.values_list("check_in", "check_out"))
        assert all(before[1] <= after[0] for before, after in itertools.pairwise(nights))

    @invariant()
    def nights_are_counted(self) -> None:
        paying.work("stays.count_nights")
        self.place.refresh_from_db()
        stays = Booking.objects.filter(status=BookingStatus.CONFIRMED)
        assert self.place.nights_booked == sum(stay.nights for stay in stays)

    def teardown(self) -> None:
        """Chapa is well again, and all that waits is done: no money is where it should not be."""
        try:
            Fault.objects.all().delete()
            for _ in range(2):
                paying.again()
                self.a_minute_passes()
            for payment in Payment.objects.exclude(trouble__startswith="asked to be refunded"):
                at_chapa = Transaction.objects.filter(tx_ref=payment.tx_ref).first()
                held = at_chapa is not None and at_chapa.status == Outcome.SUCCESS
                assert (payment.state == State.PAID) == held, (payment, at_chapa)
                gone = at_chapa is not None and at_chapa.status == Outcome.REFUNDED
                assert (payment.state in BACK) == gone, (payment, at_chapa)
        finally:
            transaction.set_rollback(True)
            self.all.__exit__(None, None, None)


@pytest.mark.django_db
def test_no_order_of_events_brings_money_or_nights_into_a_wrong_state() -> None:
    told = settings(
        max_examples=RUNS, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
    )
    with stamina.set_testing(True, attempts=chapa.ATTEMPTS):
        run_state_machine_as_test(Money, settings=told)
