"""Browsing and searching, and what any list of things costs."""

import datetime
import uuid
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from marefia.accounts.models import Role
from marefia.stays import bookings, listings
from marefia.stays.bookings import today
from marefia.stays.models import Amenity, Booking, Listing, Review
from tests.app import make

pytestmark = pytest.mark.django_db


def titles(client: Client, **asked: Any) -> list[str]:
    """What a search finds, in its order."""
    answer = client.get("/", asked)
    assert answer.status_code == 200
    return [place.title for place in answer.context["page"]]


def day(number: int) -> datetime.date:
    """So many days from today."""
    return today() + datetime.timedelta(days=number)


def test_places_are_browsed_by_page_and_by_town(client: Client) -> None:
    host = make.user(Role.HOST)
    for number in range(14):
        make.listing(host=host, title=f"House {number}", place="Axum" if number == 13 else "Jimma")
    first = client.get("/").content.decode()
    assert first.count("House ") == 12
    assert "Page 1 of 2" in first
    assert "House 13" in client.get("/?page=2").content.decode()
    axum = client.get("/?place=axum").content.decode()
    assert axum.count("House ") == 1
    for page in ("x", "0", "-1", "9" * 5000, "\0"):
        assert client.get("/", {"page": page}).status_code == 200


def test_a_page_leads_to_the_next_one_of_the_same_search(client: Client) -> None:
    host = make.user(Role.HOST)
    for number in range(25):
        make.listing(host=host, title=f"ቤት {number}", place="Jimma & Kaffa")
    page = client.get("/", {"place": "Jimma & Kaffa", "guests": "2", "page": "2"}).content.decode()
    for number in (1, 3):
        assert f'href="?place=Jimma+%26+Kaffa&amp;guests=2&amp;page={number}"' in page


def test_words_are_found_in_title_town_and_description(client: Client) -> None:
    make.listing(title="Old mill", place="Axum", description="By the LAKE")
    make.listing(title="ጎጆ ቤት", place="Hawassa")
    make.listing(title="100% rest", place="Harar")
    assert (
        titles(client, text="mill")
        == titles(client, text="axu")
        == titles(client, text="lake")
        == ["Old mill"]
    )
    assert titles(client, text="ጎጆ") == ["ጎጆ ቤት"]
    assert titles(client, text="%") == ["100% rest"]
    assert titles(client, text="_") == titles(client, text="🙂") == []


def test_places_are_found_by_guests_price_and_order(client: Client) -> None:
    for title, price, capacity in (("a", 300, 2), ("b", 100, 4), ("c", 200, 6)):
        make.listing(title=title, price=Decimal(price), capacity=capacity)
    assert titles(client) == ["a", "b", "c"]
    assert titles(client, guests=4) == ["b", "c"]
    assert titles(client, min_price=200, max_price="300.00") == ["a", "c"]
    assert titles(client, max_price=200) == ["b", "c"]
    assert titles(client, order="cheapest") == ["b", "c", "a"]
    assert titles(client, order="dearest") == ["a", "c", "b"]
    assert titles(client, order="newest") == ["c", "b", "a"]


def test_a_place_is_found_when_it_offers_all_that_is_asked_for(client: Client) -> None:
    wifi, garden = (Amenity.objects.create(name=name) for name in ("Wi-Fi", "Garden"))
    make.listing(title="both").amenities.set([wifi, garden])
    make.listing(title="one").amenities.set([wifi])
    assert titles(client, amenities=[wifi.pk, garden.pk]) == ["both"]
    assert titles(client, amenities=[wifi.pk, wifi.pk]) == ["both", "one"]
    for bad in ("0", "x", "9" * 500, "\0"):
        answer = client.get("/", {"amenities": bad})
        assert answer.context["form"].errors.keys() == {"amenities"}


def test_a_place_is_free_between_two_dates_when_nobody_sleeps_there(client: Client) -> None:
    guest, place = make.user(), make.listing(title="booked")
    make.listing(title="empty")
    booking, _ = bookings.book(guest, make.wish(place, begins=10, nights=3))
    for begins, ends, free in (
        (8, 10, True),  # leaves when the other comes
        (13, 15, True),
        (9, 11, False),
        (12, 14, False),
        (11, 12, False),
        (5, 20, False),
    ):
        found = titles(client, check_in=day(begins), check_out=day(ends))
        assert ("booked" in found, "empty" in found) == (free, True), (begins, ends)
    bookings.cancel(booking)
    assert list(listings.free_between(Listing.objects.filter(pk=place.pk), day(5), day(20))) == [place]


def test_a_search_hands_its_nights_to_the_place(client: Client) -> None:
    place = make.listing()
    asked: dict[str, Any] = {"check_in": day(10), "check_out": day(12), "guests": "2"}
    page = client.get("/", asked).content.decode()
    link = f"{reverse('listing', args=[place.pk])}?check_in={day(10)}&amp;check_out={day(12)}&amp;guests=2"
    assert f'href="{link}"' in page
    client.force_login(make.user())
    assert f'value="{day(12)}"' in client.get(link.replace("&amp;", "&")).content.decode()


@pytest.mark.parametrize(
    ("asked", "field", "words"),
    [
        ({"check_in": day(3), "check_out": day(2)}, "check_out", "end after it begins"),
        ({"check_in": day(-3), "check_out": day(2)}, "check_in", "in the past"),
        ({"check_in": day(3), "check_out": day(300)}, "check_out", "at most 90 nights"),
        ({"check_in": day(3)}, "check_out", "both dates"),
        ({"check_out": day(3)}, "check_in", "both dates"),
        ({"check_in": "10000-01-01", "check_out": "2030-02-31"}, "check_out", "valid date"),
        ({"min_price": "9" * 500}, "min_price", "no more than 10 digits"),
        ({"max_price": "NaN"}, "max_price", "Enter a number"),
        ({"min_price": 9, "max_price": 8}, "max_price", "less than the lowest"),
        ({"guests": -1}, "guests", "greater than or equal to 1"),
        ({"order": "id; drop table"}, "order", "valid choice"),
        ({"text": "x" * 81}, "text", "at most 80"),
        ({"place": "\0"}, "place", "Null characters"),
    ],
)
def test_a_search_that_cannot_be_says_why_and_finds_nothing(
    asked: dict[str, Any], field: str, words: str, client: Client
) -> None:
    make.listing()
    answer = client.get("/", asked)
    assert answer.status_code == 200
    assert words in str(answer.context["form"].errors[field])
    assert not answer.context["page"].object_list


def queries(client: Client, path: str) -> int:
    """How many queries a page takes."""
    with CaptureQueriesContext(
        connection,
    ) as captured:
        assert client.get(path).status_code == 200
    return len(captured)


def test_a_page_costs_the_same_queries_however_many_it_shows(client: Client) -> None:
    host, guest = make.user(Role.HOST), make.user()
    place = make.listing(host=host)

    def grow(count: int) -> None:
        for number in range(count):
            other = make.listing(host=host)
            other.amenities.add(Amenity.objects.create(name=str(uuid.uuid4())))
            place.amenities.add(*Amenity.objects.all())
            Review.objects.create(booking=make.past_stay(guest, other), rating=5)
            Review.objects.create(booking=make.past_stay(guest, place), rating=5)
            for each in (place, other):
                begins: dict[str, Any] = {
                    "check_in": day(number * 2 + Booking.objects.count()),
                    "guests": 1,
                    "total": 1,
                }
                ends = begins | {"check_out": begins["check_in"] + datetime.timedelta(days=1)}
                Booking.objects.create(listing=each, guest=guest, **ends)
                Booking.objects.create(listing=each, guest=guest, status="cancelled", **ends)

    nights = f"check_in={day(400)}&check_out={day(401)}"
    periods = ("upcoming", "past", "cancelled")
    pages = {
        guest: [
            "/",
            f"/?text=a&place=G&guests=1&min_price=1&max_price=999&order=newest&{nights}",
            reverse("listing", args=[place.pk]),
            *(f"/bookings/?period={period}" for period in periods),
        ],
        host: ["/hosting/", "/hosting/add/", *(f"/hosting/bookings/?period={period}" for period in periods)],
    }

    def cost() -> dict[str, int]:
        found: dict[str, int] = {}
        for user, paths in pages.items():
            client.force_login(user)
            found |= {path: queries(client, path) for path in paths}
        return found

    grow(1)
    few = cost()
    grow(30)
    assert cost() == few
    assert max(few.values()) <= 10
