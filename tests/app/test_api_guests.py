"""REST: what guests say of their stays, and what users say of themselves."""

from typing import Any

import pytest

from marefia.accounts.models import Profile, Role, User
from marefia.stays import bookings
from marefia.stays.models import Review
from tests.app import make
from tests.app.api import LISTINGS, NEW, PROFILE, Api, assert_problem

pytestmark = pytest.mark.django_db


def test_a_guest_reviews_a_stay_that_is_over_once() -> None:
    guest, place = make.user(first_name="Dawit", last_name="Alemu"), make.listing()
    stay, url = make.past_stay(guest, place), f"{LISTINGS}/{place.pk}/reviews"
    said = Api(guest)("POST", url, {"booking": stay.pk, "rating": 5, "text": "ጥሩ 🏡"})
    assert said.status_code == 201
    assert said.json()["guest"] == "Dawit Alemu"
    shown = Api()("GET", url)
    assert shown.json()["results"] == [said.json()]
    assert guest.email not in shown.content.decode()
    assert_problem(Api(guest)("POST", url, {"booking": stay.pk, "rating": 1}), 409, "reviewed")
    assert Review.objects.get().rating == 5


def test_what_is_no_own_stay_here_or_not_over_gets_no_review() -> None:
    guest, place = make.user(), make.listing()
    stay, elsewhere = make.past_stay(guest, place), make.past_stay(guest, make.listing())
    coming, _ = bookings.book(guest, make.wish(place))
    url = f"{LISTINGS}/{place.pk}/reviews"
    assert_problem(Api(make.user())("POST", url, {"booking": stay.pk, "rating": 5}), 400, "booking")
    assert_problem(Api(guest)("POST", url, {"booking": elsewhere.pk, "rating": 5}), 400, "booking")
    assert_problem(Api(guest)("POST", url, {"booking": coming.pk, "rating": 5}), 409, "over")
    assert_problem(Api(guest)("POST", f"{LISTINGS}/0/reviews", {"booking": stay.pk, "rating": 5}), 404)
    assert_problem(Api()("GET", f"{LISTINGS}/{'9' * 30}/reviews"), 404)
    assert not Review.objects.exists()


@pytest.mark.parametrize(
    "wrong",
    [
        {"rating": 0},
        {"rating": 6},
        {"rating": None},
        {"text": "x" * 2001},
        {"text": "\0"},
        {"booking": 10**30},
        {"booking": "x"},
    ],
)
def test_a_review_that_cannot_be_is_refused_by_field(wrong: dict[str, Any]) -> None:
    guest, place = make.user(), make.listing()
    body = {"booking": make.past_stay(guest, place).pk, "rating": 5} | wrong
    assert_problem(Api(guest)("POST", f"{LISTINGS}/{place.pk}/reviews", body), 400, next(iter(wrong)))


def test_a_user_reads_and_changes_the_own_profile() -> None:
    user = make.user(first_name="Dawit")
    api = Api(user)
    assert api("GET", PROFILE).json() == {
        "email": user.email,
        "first_name": "Dawit",
        "last_name": "",
        "phone": "",
        "role": "guest",
    }
    changes = {"last_name": "Alemu", "phone": "+251 911 12 34 56", "role": "host"}
    changed = api("PATCH", PROFILE, changes | {"email": "other@example.org"})
    assert changed.status_code == 200
    assert changed.json() == api("GET", PROFILE).json()
    assert changed.json().items() >= (changes | {"phone": "0911123456"}).items()
    assert User.objects.get(pk=user.pk).email == user.email
    assert api("POST", LISTINGS, NEW).status_code == 201


def test_whoever_offers_places_stays_a_host() -> None:
    place = make.listing()
    assert_problem(Api(place.host)("PATCH", PROFILE, {"role": "guest", "phone": "0911 123456"}), 409, "host")
    assert Profile.objects.get(user=place.host).phone == ""
    assert Api(place.host)("PATCH", PROFILE, {"role": "host"}).status_code == 200


def test_a_user_without_a_profile_gets_one_with_the_first_change() -> None:
    user = User.objects.create(email="imported@example.org")
    assert Api(user)("GET", PROFILE).json()["role"] == Role.GUEST
    assert not Profile.objects.exists()
    assert Api(user)("PATCH", PROFILE, {"role": "host"}).json()["role"] == "host"
    assert Api(user)("PATCH", PROFILE, {}).json()["role"] == "host"


@pytest.mark.parametrize(
    "wrong",
    [
        {"phone": "call me"},
        {"phone": "1" * 21},
        {"role": "admin"},
        {"role": None},
        {"first_name": "x" * 151},
        {"last_name": "\0"},
    ],
)
def test_a_profile_that_cannot_be_is_refused_by_field(wrong: dict[str, Any]) -> None:
    user = make.user()
    assert_problem(Api(user)("PATCH", PROFILE, wrong), 400, next(iter(wrong)))
    assert Api(user)("GET", PROFILE).json()["role"] == "guest"
