"""Asking the API, for the tests."""

import json
from typing import Any

from django.test import Client
from knox.models import AuthToken

from marefia.accounts.models import User
from marefia.stays.models import Listing
from tests.app import make

LISTINGS, BOOKINGS, TOKENS = "/api/v1/listings", "/api/v1/bookings", "/api/v1/tokens"
LISTINGS_V2, PROFILE = "/api/v2/listings", "/api/v1/profile"
NEW = {"title": "Flat", "place": "Harar", "price": "700.00", "capacity": 2}


class Api:
    """A client that speaks JSON, as a user or as nobody."""

    def __init__(self, user: User | None = None) -> None:
        self.client = Client(raise_request_exception=False)
        self.headers = {"Authorization": f"Token {AuthToken.objects.create(user)[1]}"} if user else {}

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        said = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.generic(
            method, path, json.dumps(body), content_type="application/json", headers=self.headers | said
        )


def assert_problem(response: Any, status: int, *words: str) -> None:
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == status
    assert problem["title"]
    for word in words:
        assert word in response.content.decode()


def booking_body(place: Listing, **changes: Any) -> dict[str, Any]:
    wish = make.wish(place)
    body = {
        "listing": place.pk,
        "check_in": str(wish.check_in),
        "check_out": str(wish.check_out),
        "guests": 2,
        "reference": str(wish.reference),
    }
    return body | changes
