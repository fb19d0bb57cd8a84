"""`Idempotency-Key`: a POST that is sent again has its effect once, and its answer every time."""

import threading
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, OperationalError, connections
from django.test import Client
from django.utils import timezone

from marefia.accounts.models import Role, User
from marefia.api.models import CLAIM, KEPT, IdempotencyKey
from marefia.ops import work
from marefia.outbox.models import OutboxRow
from marefia.stays import bookings
from marefia.stays.models import Booking, Listing, Review
from tests.app import make
from tests.app.api import BOOKINGS, LISTINGS, LISTINGS_V2, NEW, Api, assert_problem, booking_body

pytestmark = pytest.mark.django_db
KEY = "7a1c"


def aged(by: timedelta) -> None:
    IdempotencyKey.objects.update(claimed_at=timezone.now() - by - timedelta(seconds=1))


def assert_same(again: Any, first: Any) -> None:
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again["Content-Type"] == first["Content-Type"]
    assert again["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first


def creations() -> list[tuple[Api, str, Any, Callable[[], int]]]:
    """Everything that a POST creates."""
    host, guest, place = make.user(Role.HOST), make.user(), make.listing()
    review = {"booking": make.past_stay(guest, place).pk, "rating": 5, "text": "ጥሩ"}
    booking = booking_body(place)
    del booking["reference"]
    return [
        (Api(host), LISTINGS, NEW, Listing.objects.count),
        (Api(host), LISTINGS_V2, NEW | {"price": {"amount": "1"}}, Listing.objects.count),
        (Api(guest), BOOKINGS, booking, Booking.objects.count),
        (Api(guest), f"{LISTINGS}/{place.pk}/reviews", review, Review.objects.count),
    ]


def test_the_same_request_with_the_same_key_creates_once_and_is_answered_alike() -> None:
    for number, (api, path, body, count) in enumerate(creations()):
        first = api("POST", path, body, Idempotency_Key=f"{KEY}-{number}")
        assert first.status_code == 201
        rows = count()
        reordered = dict(reversed(body.items()))
        for said in (body, reordered):
            assert_same(api("POST", path, said, Idempotency_Key=f"{KEY}-{number}"), first)
        assert count() == rows


def test_a_key_says_what_it_stands_for() -> None:
    host = make.user(Role.HOST)
    api = Api(host)
    assert api("POST", LISTINGS, NEW, Idempotency_Key=KEY).status_code == 201
    assert_problem(api("POST", LISTINGS, NEW | {"price": "1.00"}, Idempotency_Key=KEY), 422)
    assert_problem(api("POST", f"{LISTINGS}?x=1", NEW, Idempotency_Key=KEY), 422)
    assert_problem(api("POST", LISTINGS_V2, NEW, Idempotency_Key=KEY), 422)
    assert Api(make.user(Role.HOST))("POST", LISTINGS, NEW, Idempotency_Key=KEY).status_code == 201
    assert api("POST", LISTINGS, NEW, Idempotency_Key=KEY.upper()).status_code == 201
    assert api("POST", LISTINGS, NEW).status_code == 201
    assert Listing.objects.count() == 4


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb", "ключ", "\x7f"])
def test_a_malformed_key_is_refused_and_nothing_is_done(key: str) -> None:
    response = Api(make.user(Role.HOST))("POST", LISTINGS, NEW, Idempotency_Key=key)
    assert_problem(response, 400, "Idempotency-Key")
    assert not Listing.objects.exists()
    assert not IdempotencyKey.objects.exists()


def test_a_key_of_the_longest_form_is_taken() -> None:
    response = Api(make.user(Role.HOST))("POST", LISTINGS, NEW, Idempotency_Key=" ~" * 127 + "x")
    assert response.status_code == 201


def test_a_refusal_is_repeated_though_it_would_be_granted_now() -> None:
    place, api = make.listing(), Api(make.user())
    taken, _ = bookings.book(make.user(), make.wish(place))
    refused = api("POST", BOOKINGS, body := booking_body(place), Idempotency_Key=KEY)
    assert_problem(refused, 409, "taken")
    bookings.cancel(taken)
    assert_same(api("POST", BOOKINGS, body, Idempotency_Key=KEY), refused)
    assert api("POST", BOOKINGS, body, Idempotency_Key=f"{KEY}-2").status_code == 201


def test_what_was_refused_before_it_was_looked_at_leaves_the_key_free() -> None:
    guest = make.user()
    api = Api(guest)
    assert_problem(api("POST", LISTINGS, NEW, Idempotency_Key=KEY), 403)
    headers = api.headers | {"Idempotency-Key": KEY}
    torn = Client().generic("POST", BOOKINGS, b"{", content_type="application/json", headers=headers)
    assert_problem(torn, 400)
    assert not IdempotencyKey.objects.exists()
    assert api("POST", BOOKINGS, booking_body(make.listing()), Idempotency_Key=KEY).status_code == 201


@pytest.mark.parametrize(("error", "status"), [(OperationalError("away"), 503), (KeyError("a fault"), 500)])
def test_a_failure_has_no_effect_and_leaves_the_key_free(
    error: Exception, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: Any) -> None:
        raise error

    api, body = Api(make.user()), booking_body(make.listing())
    with monkeypatch.context() as patch:
        patch.setattr("marefia.outbox.mail.post", fail)
        assert_problem(api("POST", BOOKINGS, body, Idempotency_Key=KEY), status)
    assert not Booking.objects.exists()
    assert not OutboxRow.objects.exists()
    response = api("POST", BOOKINGS, body, Idempotency_Key=KEY)
    assert response.status_code == 201
    assert "Idempotent-Replayed" not in response


def test_the_reference_works_as_before_beside_the_key() -> None:
    api, body = Api(make.user()), booking_body(make.listing())
    first = api("POST", BOOKINGS, body, Idempotency_Key=KEY)
    assert_same(api("POST", BOOKINGS, body, Idempotency_Key=KEY), first)
    assert api("POST", BOOKINGS, body).status_code == 200
    assert api("POST", BOOKINGS, body, Idempotency_Key=f"{KEY}-2").status_code == 200
    assert Booking.objects.count() == 1


def in_flight(user: User, body: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the key as a process leaves it that was killed while it worked."""

    def killed(*_: Any) -> None:
        raise SystemExit

    api = Api(user)
    with monkeypatch.context() as patch:
        patch.setattr("marefia.stays.bookings.book", killed)
        patch.setattr("django.db.models.query.QuerySet.delete", lambda _: None)
        with pytest.raises(SystemExit):
            api("POST", BOOKINGS, body, Idempotency_Key=KEY)
    key = IdempotencyKey.objects.get()
    assert key.status is None
    assert str(key) == f"{user.email}: in flight"


def test_a_key_in_flight_is_a_conflict_until_whoever_works_on_it_has_been_silent_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    user, body = make.user(), booking_body(make.listing())
    in_flight(user, body, monkeypatch)
    response = Api(user)("POST", BOOKINGS, body, Idempotency_Key=KEY)
    assert_problem(response, 409, "being worked on")
    assert response["Retry-After"] == "1"
    assert_problem(Api(user)("POST", BOOKINGS, body | {"guests": 1}, Idempotency_Key=KEY), 422)
    aged(CLAIM)
    first = Api(user)("POST", BOOKINGS, body, Idempotency_Key=KEY)
    assert first.status_code == 201
    assert_same(Api(user)("POST", BOOKINGS, body, Idempotency_Key=KEY), first)


def test_whoever_was_taken_for_dead_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    user, body = make.user(), booking_body(make.listing())
    book = bookings.book

    def slowly(*args: Any) -> Any:
        done = book(*args)
        IdempotencyKey.objects.update(claim=uuid.uuid4())  # another has taken over
        return done

    monkeypatch.setattr("marefia.stays.bookings.book", slowly)
    assert_problem(Api(user)("POST", BOOKINGS, body, Idempotency_Key=KEY), 409, "being worked on")
    assert not Booking.objects.exists()
    assert not OutboxRow.objects.exists()


def test_a_key_is_forgotten_after_a_day_and_cleaned_up() -> None:
    api = Api(make.user(Role.HOST))
    for key in ("old", "young"):
        api("POST", LISTINGS, NEW, Idempotency_Key=key)
        if key == "old":
            aged(KEPT)
    work.clean_up(OutboxRow())
    assert IdempotencyKey.objects.count() == 1
    aged(KEPT)
    for key in ("old", "young"):
        response = api("POST", LISTINGS, NEW | {"price": "1.00"}, Idempotency_Key=key)
        assert response.status_code == 201
        assert "Idempotent-Replayed" not in response
    assert Listing.objects.count() == 4


@pytest.mark.django_db(transaction=True)
def test_of_many_at_the_same_moment_one_has_the_effect_and_all_hear_its_answer_in_the_end() -> None:
    api = Api(make.user(Role.HOST))  # nothing but the key keeps a host from offering a flat twice
    start, heard = threading.Barrier(6), []

    def send() -> None:
        start.wait()
        try:
            while (response := api("POST", LISTINGS, NEW, Idempotency_Key=KEY)).status_code == 409:
                pass
            heard.append(response)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=send) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [response.status_code for response in heard] == [201] * 6
    assert len({response.content for response in heard}) == 1
    assert sum("Idempotent-Replayed" not in response for response in heard) == 1
    assert Listing.objects.count() == 1


def given_back(**_: Any) -> Any:
    raise IntegrityError("the key was there, and then it was not")


@pytest.mark.parametrize("found", [given_back, lambda **_: (IdempotencyKey(pk=0), False)])
def test_a_key_given_back_between_two_looks_at_it_is_in_flight(
    found: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = Api(make.user(Role.HOST))
    monkeypatch.setattr("marefia.api.idempotency.keys.get_or_create", found)
    assert_problem(api("POST", LISTINGS, NEW, Idempotency_Key=KEY), 409)
    assert not Listing.objects.exists()


def test_an_answer_that_cannot_be_stored_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise DatabaseError("disk full")

    api, body = Api(make.user()), booking_body(make.listing())
    with monkeypatch.context() as patch:
        patch.setattr("marefia.api.idempotency._store", fail)
        assert api("POST", BOOKINGS, body, Idempotency_Key=KEY).status_code == 500
    assert not Booking.objects.exists()
    assert api("POST", BOOKINGS, body, Idempotency_Key=KEY).status_code == 201
