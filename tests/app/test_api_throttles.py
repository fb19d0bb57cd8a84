"""REST: who asks too often is told when to come again, and nobody else."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from rest_framework.settings import api_settings

from marefia.api.throttles import Throttle
from tests.app import make
from tests.app.api import BOOKINGS, LISTINGS, TOKENS, Api, assert_problem, booking_body
from tests.app.test_api import basic_auth

pytestmark = pytest.mark.django_db
NOW = 1_800_000_010.0


@pytest.fixture(autouse=True)
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two a minute, at a standing clock."""
    monkeypatch.setattr(
        Throttle, "THROTTLE_RATES", dict.fromkeys(api_settings.DEFAULT_THROTTLE_RATES, "2/min")
    )
    monkeypatch.setattr(Throttle, "timer", lambda _: NOW)
    cache.clear()
    yield
    cache.clear()


def assert_throttled(response: Any) -> None:
    assert_problem(response, 429)
    assert response["Retry-After"] == "50"


def test_a_user_reads_and_writes_so_often_a_minute_and_then_again(monkeypatch: pytest.MonkeyPatch) -> None:
    api, other, place = Api(make.user()), Api(make.user()), make.listing()
    for _ in range(2):
        assert api("GET", BOOKINGS).status_code == 200
        assert api("POST", BOOKINGS, booking_body(place, guests=9)).status_code == 400
    assert_throttled(api("GET", BOOKINGS))
    assert_throttled(api("POST", BOOKINGS, booking_body(place)))
    assert other("GET", BOOKINGS).status_code == 200
    monkeypatch.setattr(Throttle, "timer", lambda _: NOW + 50)
    assert api("GET", BOOKINGS).status_code == 200


def test_an_address_is_the_peer_s_whatever_the_client_says_of_it() -> None:
    answers = [
        Client().get(LISTINGS, headers={"X-Forwarded-For": f"6.6.6.{n}"}).status_code for n in range(4)
    ]
    assert answers == [200, 200, 429, 429]
    assert Client(REMOTE_ADDR="10.0.0.9").get(LISTINGS).status_code == 200


@pytest.mark.parametrize("basic", [True, False])
def test_passwords_are_tried_so_often_right_or_wrong(basic: bool) -> None:
    user = make.user()

    def try_one(email: str, password: str) -> Any:
        if basic:
            return Client().post(TOKENS, headers={"Authorization": basic_auth(email, password)})
        body = {"email": email, "password": password}
        return Client().post(TOKENS, body, content_type="application/json")

    assert [try_one(user.email, "no").status_code for _ in range(2)] == [401, 401]
    assert_throttled(try_one(user.email.upper(), make.PASSWORD))
    assert_throttled(try_one(make.user().email, make.PASSWORD))  # this address has tried too often, too


def test_a_cache_that_fails_throttles_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any) -> None:
        raise OSError("away")

    monkeypatch.setattr("django.core.cache.backends.locmem.LocMemCache.incr", away)
    assert [Client().get(LISTINGS).status_code for _ in range(4)] == [200] * 4


def test_the_shipped_rates_let_a_whole_machine_ask_from_one_address() -> None:
    shipped: Any = api_settings.DEFAULT_THROTTLE_RATES
    rates = {scope: Throttle().parse_rate(rate) for scope, rate in shipped.items()}
    per_second = {scope: (most or 0) / (seconds or 1) for scope, (most, seconds) in rates.items()}
    assert per_second["read_address"] >= 1000  # a crowd behind one proxy, or `make bench`
    assert per_second["read"] >= 50  # a client that looks up what it wrote
    assert per_second["write"] >= 10  # a client of the load, which waits 0.2 seconds or more
