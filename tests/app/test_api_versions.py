"""Two versions of a resource side by side: what v2 does better, and what v1 says of its end."""

import datetime
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from django.test import Client

from marefia.accounts.models import Role
from marefia.stays.models import Amenity, Listing
from tests.app import make
from tests.app.api import BOOKINGS, LISTINGS, LISTINGS_V2, NEW, Api, assert_problem

pytestmark = pytest.mark.django_db
NEW_V2 = NEW | {"price": {"amount": "700.00", "currency": "ETB"}}


def test_v2_says_money_amenities_and_host_as_objects() -> None:
    place = make.listing(price="70")
    wifi = Amenity.objects.create(name="Wi-Fi")
    place.amenities.add(wifi)
    shown = Api()("GET", f"{LISTINGS_V2}/{place.pk}").json()
    assert shown["price"] == {"amount": "70.00", "currency": "ETB"}
    assert shown["amenities"] == [{"id": wifi.pk, "name": "Wi-Fi"}]
    assert shown["host"] == {"id": place.host_id, "name": "Almaz Tesfaye"}
    assert Api()("GET", LISTINGS_V2).json()["results"] == [shown]
    first = Api()("GET", f"{LISTINGS}/{place.pk}").json()
    assert {name: shown[name] for name in shown if shown[name] != first[name]}.keys() == {
        "price",
        "amenities",
        "host",
    }


def test_what_v2_shows_can_be_written_back_as_it_is() -> None:
    place = make.listing(description="x")
    place.amenities.add(*(Amenity.objects.create(name=name) for name in ("Garden", "Wi-Fi")))
    url, api = f"{LISTINGS_V2}/{place.pk}", Api(place.host)
    shown = api("GET", url).json()
    for method in ("PUT", "PATCH"):
        written = api(method, url, shown)
        assert (written.status_code, written.json()) == (200, shown)


def test_v2_writes_what_it_is_told_and_leaves_the_rest() -> None:
    host, wifi = make.user(Role.HOST), Amenity.objects.create(name="Wi-Fi")
    api = Api(host)
    made = api("POST", LISTINGS_V2, NEW_V2 | {"amenities": [{"id": wifi.pk}, {"id": wifi.pk}]}).json()
    assert made["amenities"] == [{"id": wifi.pk, "name": "Wi-Fi"}]
    changed = api("PATCH", f"{LISTINGS_V2}/{made['id']}", {"price": {"amount": "650.5"}}).json()
    assert changed == made | {"price": {"amount": "650.50", "currency": "ETB"}}
    assert api("PATCH", f"{LISTINGS_V2}/{made['id']}", {"amenities": []}).json()["amenities"] == []


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"price": "700.00"}, "price"),
        ({"price": {"amount": "0", "currency": "ETB"}}, "amount"),
        ({"price": {"amount": "1" + "0" * 500}}, "amount"),
        ({"price": {"amount": "1", "currency": "USD"}}, "currency"),
        ({"price": {}}, "amount"),
        ({"amenities": ["Wi-Fi"]}, "amenities"),
        ({"amenities": [{"id": 10**30}]}, "amenities"),
        ({"amenities": [{"id": 7}]}, "no amenity 7"),
        ({"amenities": [{}]}, "amenities"),
        ({"amenities": [{"id": 1}] * 51}, "amenities"),
    ],
)
def test_what_v2_cannot_take_is_refused_by_field(wrong: dict[str, Any], word: str) -> None:
    api = Api(make.user(Role.HOST))
    assert_problem(api("POST", LISTINGS_V2, NEW_V2 | wrong), 400, word)
    assert not Listing.objects.exists()


def test_an_amenity_without_an_id_is_refused_in_a_change_too() -> None:
    place = make.listing()
    assert_problem(
        Api(place.host)("PATCH", f"{LISTINGS_V2}/{place.pk}", {"amenities": [{}]}), 400, "amenities"
    )


def test_v1_names_its_successor_and_its_end_with_every_answer() -> None:
    place = make.listing()
    for path in (LISTINGS, f"{LISTINGS}/{place.pk}", f"{LISTINGS}/0"):
        response = Client().get(path)
        since = datetime.datetime.fromtimestamp(int(response["Deprecation"].removeprefix("@")), datetime.UTC)
        assert since < parsedate_to_datetime(response["Sunset"])
        target, relation = response["Link"].split("; ")
        assert relation == 'rel="successor-version"'
        assert Client().get(target.strip("<>")).status_code == response.status_code
    for path in (LISTINGS_V2, BOOKINGS, f"{LISTINGS}/{place.pk}/reviews"):
        assert "Deprecation" not in Client().get(path)
