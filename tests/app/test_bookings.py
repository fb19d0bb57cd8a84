"""Booking: nobody's nights overlap, one reference is one booking, and prices stay as agreed."""

import datetime
import threading
import uuid
from dataclasses import replace
from decimal import Decimal
from importlib import import_module
from typing import Any

import pytest
from django.db import IntegrityError, OperationalError, connection, connections, transaction
from django.utils import timezone

from marefia.accounts.models import User
from marefia.outbox import mail, queue
from marefia.outbox.models import OutboxRow
from marefia.stays import bookings, nights, reviews
from marefia.stays.models import Booking, BookingStatus, Listing, Review
from tests.app import make

pytestmark = pytest.mark.django_db


def test_a_booking_keeps_the_price_of_its_day() -> None:
    place = make.listing(price=Decimal("499.50"))
    booking, new = bookings.book(make.user(), make.wish(place, nights=3))
    assert new
    place.price = Decimal(900)
    place.save()
    booking.refresh_from_db()
    assert booking.total == Decimal("1498.50")


@pytest.mark.parametrize(("begins", "nights"), [(10, 3), (9, 2), (12, 5), (11, 1), (8, 9)])
def test_nights_that_are_taken_cannot_be_booked(begins: int, nights: int) -> None:
    place = make.listing()
    bookings.book(make.user(), make.wish(place, begins=10, nights=3))
    with pytest.raises(bookings.ConflictError, match="taken"):
        bookings.book(make.user(), make.wish(place, begins=begins, nights=nights))


@pytest.mark.parametrize(("begins", "nights"), [(8, 2), (13, 1)])
def test_one_may_arrive_on_the_day_another_leaves(begins: int, nights: int) -> None:
    place = make.listing()
    bookings.book(make.user(), make.wish(place, begins=10, nights=3))
    assert bookings.book(make.user(), make.wish(place, begins=begins, nights=nights))[1]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"guests": 5}, "1 to 4 guests"),
        ({"guests": 0}, "1 to 4 guests"),
        ({"check_in": datetime.date(2020, 1, 1), "check_out": datetime.date(2020, 1, 2)}, "past"),
        ({"check_in": datetime.date(2090, 1, 2), "check_out": datetime.date(2090, 1, 2)}, "end after"),
        ({"check_in": datetime.date(2090, 1, 1), "check_out": datetime.date(2090, 5, 2)}, "at most 90"),
    ],
)
def test_a_wish_that_breaks_a_rule_is_refused_with_the_reason(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(bookings.CannotBookError, match=reason):
        bookings.book(make.user(), replace(make.wish(make.listing()), **change))


@pytest.mark.parametrize(("nights", "guests"), [(1, 1), (bookings.MAX_NIGHTS, 4)])
def test_the_shortest_and_the_longest_stay_and_as_many_as_a_place_holds(nights: int, guests: int) -> None:
    assert bookings.book(make.user(), make.wish(make.listing(), nights=nights, guests=guests))[1]
    with pytest.raises(bookings.CannotBookError, match="at most 90"):
        bookings.book(make.user(), make.wish(make.listing(), nights=bookings.MAX_NIGHTS + 1))


def test_a_guest_is_told_what_was_booked_and_until_when_to_pay() -> None:
    guest, place = make.user(), make.listing()
    before = timezone.now()
    booking, _ = bookings.book(guest, make.wish(place, nights=2))
    assert booking.pay_by
    assert before < booking.pay_by - bookings.PAY_WITHIN < timezone.now()
    payload = OutboxRow.objects.get(handler="outbox.mail").payload
    assert (payload["to"], payload["subject"]) == (guest.email, "Booked: Garden house")
    told = (
        "Garden house, Gondar",
        f"{booking.check_in} to {booking.check_out}, 2 guests",
        f"Total: 1000.00 ETB, to be paid by {timezone.localtime(booking.pay_by):%H:%M}\n",
        str(booking.reference),
    )
    assert all(line in payload["body"] for line in told)


def test_a_host_cannot_book_the_own_place() -> None:
    place = make.listing()
    with pytest.raises(bookings.CannotBookError, match="host"):
        bookings.book(place.host, make.wish(place))


def test_the_same_reference_and_content_is_the_same_booking_and_the_same_work() -> None:
    guest, wish = make.user(), make.wish(make.listing())
    first, _ = bookings.book(guest, wish)
    work = OutboxRow.objects.count()
    assert bookings.book(guest, wish) == (first, False)
    assert Booking.objects.count() == 1
    assert OutboxRow.objects.count() == work


def test_a_known_reference_is_refused_for_another_wish_and_another_guest() -> None:
    guest, place = make.user(), make.listing()
    wish = make.wish(place)
    bookings.book(guest, wish)
    for other, changed in [(guest, replace(wish, guests=1)), (make.user(), wish)]:
        with pytest.raises(bookings.ConflictError, match="reference"):
            bookings.book(other, changed)
    elsewhere = replace(wish, listing_id=make.listing().pk)
    with pytest.raises(bookings.ConflictError, match="reference"):
        bookings.book(guest, elsewhere)


def test_a_reference_taken_at_the_same_moment_is_found_after_the_constraint_spoke(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    guest, wish = make.user(), make.wish(make.listing())
    first, _ = bookings.book(guest, wish)
    look = bookings._same
    answers = iter([None])  # the other's row is not there yet when this transaction looks
    monkeypatch.setattr(bookings, "_same", lambda *args: next(answers, "look") and look(*args))
    elsewhere = replace(wish, listing_id=make.listing().pk)
    with pytest.raises(bookings.ConflictError):
        bookings.book(guest, elsewhere)
    assert Booking.objects.get() == first


def test_cancelling_gives_the_nights_back_once() -> None:
    guest, place = make.user(), make.listing()
    booking, _ = bookings.book(guest, make.wish(place))
    for _ in range(2):
        assert bookings.cancel(booking).status == BookingStatus.CANCELLED
    nights = [row.payload["nights"] for row in OutboxRow.objects.filter(handler="stays.count_nights")]
    assert nights == [3, -3]
    assert bookings.book(make.user(), make.wish(place))[1]


def test_a_stay_that_has_begun_cannot_be_cancelled() -> None:
    booking, _ = bookings.book(make.user(), make.wish(make.listing(), begins=0))
    with pytest.raises(bookings.ConflictError, match="begun"):
        bookings.cancel(booking)


def race(wishes: list[tuple[User, bookings.Wish]]) -> list[str]:
    """Book all at once, each in a thread and connection of its own; return what became of each."""
    barrier, results = threading.Barrier(len(wishes)), []

    def one(guest: User, wish: bookings.Wish) -> None:
        try:
            barrier.wait()
            results.append("new" if bookings.book(guest, wish)[1] else "same")
        except bookings.ConflictError:
            results.append("conflict")
        except (
            OperationalError
        ):  # on PostgreSQL, where two who wait for each other find themselves in a deadlock
            results.append("conflict")
        finally:
            connections.close_all()

    threads = [threading.Thread(target=one, args=pair) for pair in wishes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(results)


@pytest.mark.django_db(transaction=True)
def test_of_many_who_want_the_same_night_at_once_one_gets_it() -> None:
    place, guests = make.listing(), [make.user() for _ in range(8)]
    pairs = [(guest, make.wish(place, begins=10 + n % 3, nights=3)) for n, guest in enumerate(guests)]
    assert race(pairs) == ["conflict"] * 7 + ["new"]
    assert Booking.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_one_reference_sent_many_times_at_once_is_one_booking() -> None:
    guest, wish = make.user(), make.wish(make.listing())
    assert race([(guest, wish)] * 6) == ["new"] + ["same"] * 5
    assert Booking.objects.count() == 1


@pytest.fixture
def unlocked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check alone, without the lock, by two who have both passed it before either writes."""
    both = threading.Barrier(2)
    monkeypatch.setattr(bookings, "_book", bookings._book.__wrapped__)  # type: ignore[attr-defined]
    monkeypatch.setattr(Listing.objects, "select_for_update", Listing.objects.all)
    monkeypatch.setattr(queue, "put", lambda *_: None)
    monkeypatch.setattr(mail, "post", lambda **_: None)
    create = Booking.objects.create
    monkeypatch.setattr(
        Booking.objects, "create", lambda **fields: both.wait(5) is not None and create(**fields)
    )


@pytest.mark.django_db(transaction=True)
def test_without_the_lock_and_the_constraint_the_race_is_lost(unlocked: None) -> None:
    """The negative control."""
    place = make.listing()
    wishes = [(make.user(), make.wish(place)) for _ in range(2)]
    constraints = [
        import_module(f"marefia.stays.migrations.{name}")
        for name in ("0002_no_overlap", "0003_no_overlap_inserted")
    ]
    with connection.schema_editor() as editor:
        for constraint in constraints:
            constraint.drop(None, editor)
    try:
        assert race(wishes) == ["new", "new"]
    finally:
        Booking.objects.all().delete()
        with connection.schema_editor() as editor:
            for constraint in constraints:
                constraint.add(None, editor)


@pytest.mark.skipif(
    connection.vendor == "sqlite", reason="SQLite has one writer at a time and no such constraint"
)
@pytest.mark.django_db(transaction=True)
def test_on_a_server_the_constraint_alone_lets_one_of_two_have_the_night(unlocked: None) -> None:
    place = make.listing()
    assert race([(make.user(), make.wish(place)) for _ in range(2)]) == ["conflict", "new"]
    assert Booking.objects.count() == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"check_out": datetime.date(2090, 1, 1)},
        {"guests": 0},
        {"total": -1},
        {"status": "maybe"},
    ],
)
def test_the_database_itself_refuses_what_no_booking_can_be(wrong: dict[str, object]) -> None:
    fields = {
        "listing": make.listing(),
        "guest": make.user(),
        "check_in": datetime.date(2090, 1, 1),
        "check_out": datetime.date(2090, 1, 2),
        "guests": 1,
        "total": 1,
    }
    Booking.objects.create(**fields)
    with pytest.raises(IntegrityError), transaction.atomic():
        Booking.objects.create(**fields | {"reference": uuid.uuid4()} | wrong)


def test_only_the_guest_reviews_and_only_after_the_stay_and_once() -> None:
    guest, place = make.user(), make.listing()
    coming, _ = bookings.book(guest, make.wish(place))
    over = make.past_stay(guest, place)
    for who, booking, reason in [(guest, coming, "over"), (make.user(), over, "not your")]:
        with pytest.raises(reviews.CannotReviewError, match=reason):
            reviews.review(who, booking, rating=5, text="")
    reviews.review(guest, over, rating=5, text="Superb coffee")
    with pytest.raises(reviews.CannotReviewError, match="have reviewed"):
        reviews.review(guest, over, rating=1, text="")
    assert Review.objects.get().rating == 5


def test_a_stay_can_be_reviewed_on_the_day_it_ends() -> None:
    guest = make.user()
    booking = make.past_stay(guest, make.listing())
    booking.check_out = bookings.today()
    assert reviews.may_review(booking)
    booking.check_out += datetime.timedelta(days=1)
    assert not reviews.may_review(booking)


def test_a_booking_takes_no_night_of_another_place() -> None:
    place, other = make.listing(), make.listing()
    bookings.book(make.user(), make.wish(place, begins=0, nights=1))
    assert [night.state for night in shown(place)].count("booked") == 1
    assert "booked" not in [night.state for night in shown(other)]


def shown(place: Listing) -> list[nights.Night]:
    """What its page shows of some months."""
    months = nights.months(place)
    return [night for month in months for week in month.weeks for night in week if night]


def test_a_cancelled_stay_cannot_be_reviewed() -> None:
    guest = make.user()
    booking = make.past_stay(guest, make.listing())
    booking.status = BookingStatus.CANCELLED
    assert not reviews.may_review(booking)
