"""Whatever is typed, in whatever field: a clear answer, and nothing stored that should not be."""

from typing import Any

import pytest
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from marefia.accounts.models import Role, User
from marefia.stays.models import Amenity, Booking, Listing, Review
from tests.app import make
from tests.app.markup import faults

BAD = {
    "nothing": "",
    "NUL": "a\0b",
    "500 digits": "9" * 500,
    "an exponent": "1e400",
    "no number": "NaN",
    "negative": "-1",
    "too long": "x" * 10_000,
    "emoji": "🙂👩‍👩‍👧",
    "to the left": "\u202eשלום\u200f",  # noqa: RUF001 - Hebrew, by intent
    "year 10000": "10000-01-01",
    "no day": "2030-02-31",
    "the last day": "9999-12-31",
    "the first day": "0001-01-01",
    "markup": "<script>alert(1)</script>",
    "SQL": "' OR 1=1 --",
}
SHOWN = {"NUL", "markup"}
"""Those after which the form's markup is looked at, too."""
STORED: tuple[type[Model], ...] = (User, Listing, Booking, Review)


def count() -> list[int]:
    """How many rows there are."""
    return [model._default_manager.count() for model in STORED]


def form_of(name: str) -> tuple[User | None, str, dict[str, Any]]:
    """Who sends a form, where to, and what would be accepted."""
    host, guest = make.user(Role.HOST), make.user()
    place = make.listing(host=host)
    place.amenities.add(Amenity.objects.create(name="Wi-Fi"))
    amenity = Amenity.objects.get().pk
    wish = make.wish(place)
    stay = {field: getattr(wish, field) for field in ("check_in", "check_out", "guests", "reference")}
    content = {
        "title": "t",
        "place": "p",
        "description": "d",
        "price": 1,
        "capacity": 1,
        "amenities": amenity,
    }
    person = {"email": "new@example.org", "first_name": "a", "last_name": "b", "role": "host", "phone": ""}
    passwords = {"password1": make.PASSWORD, "password2": make.PASSWORD}
    return {
        "book": (guest, reverse("listing", args=[place.pk]), stay),
        "review": (
            guest,
            reverse("review_booking", args=[make.past_stay(guest, place).pk]),
            {"rating": 5, "text": "t"},
        ),
        "offer": (host, "/hosting/add/", content),
        "change": (host, reverse("edit_listing", args=[place.pk]), content),
        "sign up": (None, "/accounts/sign-up/", person | passwords),
        "log in": (None, "/accounts/login/", {"username": guest.email, "password": make.PASSWORD}),
        "reset": (None, "/accounts/password_reset/", {"email": guest.email}),
    }[name]


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["book", "review", "offer", "change", "sign up", "log in", "reset"])
def test_a_form_answers_bad_input_in_words_and_stores_nothing(name: str, client: Client) -> None:
    user, url, good = form_of(name)
    for field in good:
        for kind, bad in BAD.items():
            client.logout()
            if user:
                client.force_login(user)
            before = count()
            answer = client.post(url, good | {field: bad})
            asked = f"{field}: {kind}"
            assert answer.status_code in {200, 302, 422}, asked
            if answer.status_code == 302:
                # It was fit for this field: it is taken back, so that the next one meets the same state.
                Review.objects.all().delete()
                Booking.objects.filter(check_out__gt=make.wish(Listing(pk=1)).check_in).delete()
                User.objects.filter(email="new@example.org").delete()
                continue
            assert count() == before, asked
            assert answer.context["form"].errors, asked
            if kind in SHOWN:
                assert faults(answer.content.decode()) == [], asked
    client.logout()
    if user:
        client.force_login(user)
    assert client.post(url, good).status_code == 302, "the good one is good"


@pytest.mark.django_db
def test_a_search_answers_whatever_is_asked(client: Client) -> None:
    make.listing()
    for field in (
        "text",
        "place",
        "check_in",
        "check_out",
        "guests",
        "min_price",
        "max_price",
        "amenities",
        "order",
    ):
        for kind, bad in BAD.items():
            answer = client.get("/", {field: bad, "page": bad})
            assert answer.status_code == 200, f"{field}: {kind}"
            if kind in SHOWN:
                assert faults(answer.content.decode()) == [], f"{field}: {kind}"


@pytest.mark.django_db
@pytest.mark.parametrize("price", ["0", "0.001", "-5", "9" * 500, "1e9", "NaN", "Infinity", "١٢"])
def test_a_price_is_an_amount_that_can_be_paid(price: str, client: Client) -> None:
    host, url, good = form_of("offer")
    assert host
    client.force_login(host)
    before = count()
    answer = client.post(url, good | {"price": price})
    if price == "١٢":
        assert Listing.objects.latest("pk").price == 12  # Arabic digits are digits
        return
    assert answer.status_code == 422
    assert answer.context["form"].errors["price"]
    assert count() == before
