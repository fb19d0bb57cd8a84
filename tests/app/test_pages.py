"""A guest's pages: looking at a place, booking it, the own bookings, a review."""

import datetime
import uuid

import pytest
from django.test import Client
from django.urls import reverse

from marefia.stays import bookings
from marefia.stays import nights as free_nights
from marefia.stays.models import Booking, BookingStatus, Listing, Review
from tests.app import make
from tests.app.markup import faults

pytestmark = pytest.mark.django_db


def nights(begins: int = 10) -> dict[str, object]:
    wish = make.wish(Listing(pk=1), begins=begins)
    return {"check_in": wish.check_in, "check_out": wish.check_out, "guests": 2, "reference": uuid.uuid4()}


@pytest.mark.parametrize(
    "path", ["/", "/api/docs", "/admin/login/", "/readyz", "/version", "/api/v1/listings"]
)
def test_what_answers_get_answers_head(client: Client, path: str) -> None:
    assert client.head(path).status_code == client.get(path).status_code == 200


def test_a_guest_books_on_the_page_and_sending_it_twice_books_once(client: Client) -> None:
    place, guest = make.listing(description="By the lake"), make.user()
    url = reverse("listing", args=[place.pk])
    assert "By the lake" in client.get(url).content.decode()
    form = nights()
    assert client.post(url, form)["Location"].startswith("/accounts/login/")
    client.force_login(guest)
    assert "reference" in client.get(url).content.decode()
    for _ in range(2):
        assert client.post(url, form).status_code == 302
    assert Booking.objects.get().guest == guest
    assert "1500.00 ETB" in client.get("/bookings/").content.decode()
    assert "taken" in client.post(url, nights()).content.decode()


def test_a_guest_cancels_the_own_booking_only(client: Client) -> None:
    guest = make.user()
    booking, _ = bookings.book(guest, make.wish(make.listing()))
    url = reverse("cancel_booking", args=[booking.pk])
    client.force_login(make.user())
    assert client.post(url).status_code == 404
    client.force_login(guest)
    assert client.get(url).status_code == 405
    client.post(url)
    booking.refresh_from_db()
    assert booking.status == BookingStatus.CANCELLED
    over = make.past_stay(guest, make.listing())
    page = client.post(reverse("cancel_booking", args=[over.pk]), follow=True)
    assert "The stay has begun" in page.content.decode()


def test_a_stay_that_is_over_is_reviewed_and_the_place_shows_it(client: Client) -> None:
    guest, place = make.user(), make.listing()
    over = make.past_stay(guest, place)
    client.force_login(guest)
    assert "How was it?" in client.get("/bookings/?period=past").content.decode()
    url = reverse("review_booking", args=[over.pk])
    assert client.get(url).status_code == 200
    assert client.post(url, {"rating": 4, "text": "Superb"}).status_code == 302
    shown = client.get(reverse("listing", args=[place.pk])).content.decode()
    assert "Superb" in shown
    assert "4.0 of 5" in shown
    assert "have reviewed" in client.post(url, {"rating": 1}).content.decode()
    past = client.get("/bookings/?period=past").content.decode()
    assert "How was it?" not in past
    assert "You said: 4 of 5" in past
    assert Review.objects.get().rating == 4


def test_what_users_write_is_escaped(client: Client) -> None:
    place = make.listing(title="<script>x</script>", description="<b>y</b>")
    for url in ("/", reverse("listing", args=[place.pk])):
        page = client.get(url).content.decode()
        assert "<script>" not in page
        assert "<b>" not in page


def test_the_form_says_beside_each_field_what_is_wrong_with_it(client: Client) -> None:
    place = make.listing()
    url = reverse("listing", args=[place.pk])
    client.force_login(make.user())
    good = nights()
    for change, field, words in (
        ({"check_in": "soon"}, "check_in", "Enter a valid date."),
        ({"check_in": "10000-01-01"}, "check_in", "Enter a valid date."),
        ({"check_in": "2001-01-01", "check_out": "2001-01-02"}, "check_in", "cannot begin in the past"),
        ({"check_out": good["check_in"]}, "check_out", "has to end after it begins"),
        ({"check_out": "9999-12-31"}, "check_out", "at most 90 nights"),
        ({"guests": 5}, "guests", "holds 1 to 4 guests"),
        ({"guests": "9" * 500}, "guests", "less than or equal to 50"),
        ({"guests": ""}, "guests", "This field is required."),
    ):
        answer = client.post(url, good | change)
        assert answer.status_code == 422
        (said,) = answer.context["form"].errors[field]
        assert words in said
        page = answer.content.decode()
        assert f'id="id_{field}_error"' in page
        assert f'aria-describedby="id_{field}_error"' in page
        assert page.count("errorlist") == 1
    assert not Booking.objects.exists()


def test_a_form_that_comes_back_from_the_history_can_book_again_and_says_so_first(client: Client) -> None:
    """The browser's way back shows the old form, with the reference of a booking that is there."""
    place, guest = make.listing(), make.user()
    url = reverse("listing", args=[place.pk])
    client.force_login(guest)
    form = nights()
    client.post(url, form)
    client.post(reverse("cancel_booking", args=[Booking.objects.get().pk]))
    for change in ({}, {"guests": 1}):
        again = client.post(url, form | change)
        assert again.status_code == 422
        assert "have booked with this form before" in again.content.decode()
        assert Booking.objects.count() == 1
    reference = again.context["form"]["reference"].value()
    assert client.post(url, form | {"reference": reference}).status_code == 302
    assert Booking.objects.filter(status=BookingStatus.CONFIRMED).get().reference == uuid.UUID(reference)
    broken = client.post(url, form | {"reference": "x"})
    assert uuid.UUID(broken.context["form"]["reference"].value()) != uuid.UUID(reference)


def test_one_is_asked_to_log_in_and_then_led_back(client: Client) -> None:
    url = reverse("listing", args=[make.listing().pk]) + "?check_in=2090-01-01"
    make.user(email="hana@example.org")
    answer = client.post(url, nights())
    assert not Booking.objects.exists()
    login = client.post(answer["Location"], {"username": "hana@example.org", "password": make.PASSWORD})
    assert login["Location"] == url
    assert 'value="2090-01-01"' in client.get(url).content.decode()


def test_what_is_not_there_or_not_ones_own_is_not_found(client: Client) -> None:
    over = make.past_stay(make.user(), make.listing())
    client.force_login(make.user())
    for pk in (over.pk, 0, 10**30):
        assert client.post(reverse("review_booking", args=[pk]), {"rating": 5}).status_code == 404
        assert client.post(reverse("cancel_booking", args=[pk])).status_code == 404
    for path in (reverse("listing", args=[10**30]), "/listings/0/", "/listings/x/", "/no/such/page"):
        answer = client.get(path)
        assert answer.status_code == 404
        assert "<h1>Not found</h1>" in answer.content.decode()
    assert not Review.objects.exists()


def test_a_request_for_another_site_is_refused_in_words(client: Client) -> None:
    answer = client.get("/", headers={"host": "elsewhere.example"})
    assert answer.status_code == 400
    assert "<h1>This request is not well-formed</h1>" in answer.content.decode()
    assert faults(answer.content.decode()) == []


def test_bookings_are_shown_by_period(client: Client) -> None:
    guest, place = make.user(), make.listing()
    client.force_login(guest)
    begun, _ = bookings.book(guest, make.wish(place, begins=0))
    later, _ = bookings.book(guest, make.wish(place, begins=20))
    sooner, _ = bookings.book(guest, make.wish(place, begins=10))
    over = make.past_stay(guest, place)
    gone = bookings.cancel(bookings.book(guest, make.wish(place, begins=30))[0])
    make.past_stay(make.user(), place)
    for period, expected in (
        ("upcoming", [begun, sooner, later]),
        ("past", [over]),
        ("cancelled", [gone]),
        ("no such period", [begun, sooner, later]),
    ):
        answer = client.get("/bookings/", {"period": period})
        assert list(answer.context["page"]) == expected, period
    page = client.get("/bookings/").content.decode()
    assert page.count("Give these nights back") == 2  # the one that has begun stays


def test_a_place_shows_which_nights_are_free(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    day = datetime.date(2027, 12, 30)
    place, guest = make.listing(), make.user()
    for begins, status in ((day, "confirmed"), (day + datetime.timedelta(days=9), "cancelled")):
        Booking.objects.create(
            listing=place,
            guest=guest,
            check_in=begins,
            check_out=begins + datetime.timedelta(days=3),
            guests=1,
            total=1,
            status=status,
        )
    monkeypatch.setattr(free_nights, "today", lambda: day + datetime.timedelta(days=1))
    months = free_nights.months(place)
    assert [str(month.begins) for month in months] == ["2027-12-01", "2028-01-01", "2028-02-01"]
    assert all(len(week) == 7 for month in months for week in month.weeks)
    states = [night.state for month in months for week in month.weeks for night in week if night]
    assert states == ["past"] * 30 + ["booked"] * 2 + ["free"] * (30 + 29)
    (january,) = [month for month in months if month.begins.month == 1]
    assert [night and night.day for night in january.weeks[0]] == [None] * 5 + ["1", "2"]  # a Saturday
    page = client.get(reverse("listing", args=[place.pk])).content.decode()
    assert "<caption>January 2028</caption>" in page
    assert '<td class="booked"><span>1</span> booked</td>' in page
    assert '<abbr title="Monday">Mon</abbr>' in page
