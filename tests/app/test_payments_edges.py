"""What can be paid just so and what cannot, what Chapa is told of it, and the moment at which a booking expires."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

import pytest
import stamina
from django.db.models.functions import Now

from marefia.payments import chapa, checkout
from marefia.payments.ledger import CannotPayError
from marefia.payments.models import Payment
from marefia.payments.states import State
from marefia.stays import bookings
from marefia.stays.models import Booking, BookingStatus
from tests.app import paying

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def at_once() -> Iterator[None]:
    """Nobody waits between attempts."""
    with stamina.set_testing(True, attempts=chapa.ATTEMPTS):
        yield


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
