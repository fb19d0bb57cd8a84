"""REST: what it says, who may, and how it refuses."""

import datetime
import re
import uuid
from typing import Any

import pytest
from django.db import OperationalError
from django.db.models import QuerySet
from django.test import Client
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from knox.models import AuthToken
from rest_framework.serializers import ModelSerializer

from marefia.accounts.models import Role
from marefia.api.serializers import ListingSerializer
from marefia.stays.models import Amenity, Booking, Listing
from tests.app import make
from tests.app.api import BOOKINGS, LISTINGS, NEW, TOKENS, Api, assert_problem, booking_body

pytestmark = pytest.mark.django_db


def test_anyone_reads_listings_without_the_hosts_address() -> None:
    place = make.listing()
    place.amenities.add(Amenity.objects.create(name="Wi-Fi"))
    response = Api()("GET", LISTINGS)
    assert response.status_code == 200
    (shown,) = response.json()["results"]
    assert shown == Api()("GET", f"{LISTINGS}/{place.pk}").json()
    assert shown["amenities"] == ["Wi-Fi"]
    assert shown["host"] == "Almaz Tesfaye"
    assert place.host.email not in response.content.decode()


def test_what_is_written_by_hand_for_speed_is_what_the_fields_would_say() -> None:
    place = make.listing(price="70", description="x")
    place.amenities.add(*(Amenity.objects.create(name=name) for name in ("Wi-Fi", "Coffee")))
    place.refresh_from_db()
    serializer = ListingSerializer(place)
    by_fields = ModelSerializer.to_representation(serializer, place)
    by_fields["host"] = "Almaz Tesfaye"
    assert serializer.data == by_fields
    assert list(serializer.data) == list(by_fields)


@pytest.mark.parametrize(
    ("query", "titles"),
    [
        ("place=gond", ["A", "C"]),
        ("min_price=300", ["B", "C"]),
        ("max_price=300", ["A", "B"]),
        ("capacity=3", ["C"]),
        ("ordering=-price", ["C", "B", "A"]),
        ("place=gond&ordering=-capacity", ["C", "A"]),
    ],
)
def test_listings_are_filtered_and_ordered(query: str, titles: list[str]) -> None:
    for title, place, price, capacity in [
        ("A", "Gondar", 100, 1),
        ("B", "Axum", 300, 2),
        ("C", "Gondar", 500, 3),
    ]:
        make.listing(title=title, place=place, price=price, capacity=capacity)
    found = Api()("GET", f"{LISTINGS}?{query}").json()["results"]
    assert [listing["title"] for listing in found] == titles


def test_pages_lead_through_all_listings_once_also_when_values_are_equal() -> None:
    host = make.user(Role.HOST)
    ids = [make.listing(host=host).pk for _ in range(7)]
    seen, url = [], f"{LISTINGS}?page_size=3&ordering=price"
    while url:
        page = Api()("GET", url).json()
        seen += [listing["id"] for listing in page["results"]]
        url = page["next"]
    assert seen == ids


def test_a_list_costs_the_same_queries_however_long(django_assert_num_queries: Any) -> None:
    guest = make.user()
    api = Api(guest)
    for count in (2, 9):
        for _ in range(count):
            place = make.listing()
            place.amenities.add(Amenity.objects.create(name=f"A{place.pk}"))
            make.past_stay(guest, place)
        with django_assert_num_queries(2):
            Api()("GET", LISTINGS)
        with django_assert_num_queries(2):
            api("GET", BOOKINGS)


def test_a_host_writes_the_own_listings_only() -> None:
    host, other = make.user(Role.HOST), make.user(Role.HOST)
    Amenity.objects.create(name="Wi-Fi")
    created = Api(host)("POST", LISTINGS, NEW | {"amenities": ["Wi-Fi"]})
    assert created.status_code == 201
    url = f"{LISTINGS}/{created.json()['id']}"
    assert Listing.objects.get().host == host
    assert_problem(Api(other)("PATCH", url, {"price": "1.00"}), 403)
    assert_problem(Api(other)("DELETE", url), 403)
    assert_problem(Api()("PATCH", url, {"price": "1.00"}), 401)
    assert Api(host)("PATCH", url, {"price": "650.00"}).json()["price"] == "650.00"
    assert Api(host)("PUT", url, NEW).json()["price"] == "700.00"
    assert Api(host)("DELETE", url).status_code == 204


def test_a_guest_offers_nothing_and_nobody_sets_what_is_counted() -> None:
    assert_problem(Api(make.user())("POST", LISTINGS, NEW), 403)
    body = NEW | {"nights_booked": 7, "host": 1}
    assert Api(make.user(Role.HOST))("POST", LISTINGS, body).json()["nights_booked"] == 0


def test_a_listing_with_bookings_is_not_deleted() -> None:
    place = make.listing()
    make.past_stay(make.user(), place)
    assert_problem(Api(place.host)("DELETE", f"{LISTINGS}/{place.pk}"), 409)


@pytest.mark.parametrize(
    "wrong",
    [
        {"price": "0"},
        {"price": "NaN"},
        {"capacity": 0},
        {"title": ""},
        {"amenities": ["Moon"]},
        {"place": "\0"},
    ],
)
def test_a_listing_that_cannot_be_is_refused_by_field(wrong: dict[str, Any]) -> None:
    response = Api(make.user(Role.HOST))("POST", LISTINGS, NEW | wrong)
    assert_problem(response, 400, next(iter(wrong)))


def test_a_booking_is_made_found_by_its_reference_and_cancelled() -> None:
    guest, place = make.user(), make.listing()
    api, body = Api(guest), booking_body(make.listing())
    made = api("POST", BOOKINGS, body)
    assert made.status_code == 201
    assert made.json()["total"] == "1500.00"
    assert api("POST", BOOKINGS, booking_body(place)).status_code == 201
    found = api("GET", f"{BOOKINGS}?reference={body['reference']}").json()["results"]
    assert found == [made.json()]
    url = f"{BOOKINGS}/{made.json()['id']}"
    for _ in range(2):
        assert api("PATCH", url, {"status": "cancelled"}).json()["status"] == "cancelled"
    assert api("GET", url).json()["status"] == "cancelled"


def test_a_booking_sent_again_is_the_same_booking() -> None:
    api, body = Api(make.user()), booking_body(make.listing())
    first, again = api("POST", BOOKINGS, body), api("POST", BOOKINGS, body)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert_problem(api("POST", BOOKINGS, body | {"guests": 1}), 409, "reference")
    assert Booking.objects.count() == 1


def test_a_booking_without_a_reference_gets_one() -> None:
    body = booking_body(make.listing())
    del body["reference"]
    made = Api(make.user())("POST", BOOKINGS, body).json()
    assert str(uuid.UUID(made["reference"])) == made["reference"]


def test_taken_nights_are_a_conflict_and_broken_rules_bad_input() -> None:
    place = make.listing()
    Api(make.user())("POST", BOOKINGS, booking_body(place))
    api = Api(make.user())
    assert_problem(api("POST", BOOKINGS, booking_body(place)), 409, "taken")
    assert_problem(api("POST", BOOKINGS, booking_body(place, guests=9)), 400, "1 to 4")
    assert_problem(api("POST", BOOKINGS, booking_body(place, listing=10**9)), 400, "listing")
    assert_problem(api("POST", BOOKINGS, {}), 400, "check_in", "check_out", "guests")


def test_nobody_sees_or_cancels_anothers_booking() -> None:
    booking = make.past_stay(make.user(), make.listing())
    other = Api(make.user())
    assert other("GET", BOOKINGS).json()["results"] == []
    assert_problem(other("GET", f"{BOOKINGS}/{booking.pk}"), 404)
    assert_problem(other("PATCH", f"{BOOKINGS}/{booking.pk}", {"status": "cancelled"}), 404)
    assert_problem(Api()("GET", BOOKINGS), 401)


def test_a_stay_that_is_over_stays_booked() -> None:
    guest = make.user()
    booking = make.past_stay(guest, make.listing())
    assert_problem(Api(guest)("PATCH", f"{BOOKINGS}/{booking.pk}", {"status": "cancelled"}), 409)
    assert_problem(Api(guest)("PATCH", f"{BOOKINGS}/{booking.pk}", {"status": "confirmed"}), 400)


@pytest.mark.parametrize("basic", [True, False])
def test_credentials_buy_a_token_which_ends_when_it_is_given_back(basic: bool) -> None:
    user, client = make.user(), Client()
    if basic:
        response = client.post(TOKENS, headers={"Authorization": basic_auth(user.email, make.PASSWORD)})
    else:
        body = {"email": user.email.upper(), "password": make.PASSWORD}
        response = client.post(TOKENS, body, content_type="application/json")
    assert response.status_code == 201
    assert datetime.datetime.fromisoformat(response.json()["expiry"]) > timezone.now()
    header = {"Authorization": f"Token {response.json()['token']}"}
    assert AuthToken.objects.get().digest not in header["Authorization"]
    assert client.get(BOOKINGS, headers=header).status_code == 200
    assert client.delete(TOKENS, headers=header).status_code == 204
    assert client.get(BOOKINGS, headers=header).status_code == 401


def basic_auth(name: str, password: str) -> str:
    import base64

    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def test_wrong_credentials_and_tokens_are_refused() -> None:
    user, client = make.user(), Client()
    wrong = {"email": user.email, "password": "no"}
    assert_problem(client.post(TOKENS, wrong, content_type="application/json"), 401)
    assert_problem(client.post(TOKENS, headers={"Authorization": basic_auth(user.email, "no")}), 401)
    assert_problem(client.delete(TOKENS), 401)
    for header in ("Token", "Token a b", "Token unknown", "Token \xff\xfe", "Basic x"):
        assert Client().get(BOOKINGS, headers={"Authorization": header}).status_code == 401
    _, secret = AuthToken.objects.create(user, expiry=datetime.timedelta(seconds=-1))
    assert_problem(client.get(BOOKINGS, headers={"Authorization": f"Token {secret}"}), 401)


def test_a_session_may_write_with_its_csrf_token_only() -> None:
    user, body = make.user(), booking_body(make.listing())
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    assert_problem(client.post(BOOKINGS, body, content_type="application/json"), 403, "CSRF")
    client.get("/accounts/login/")
    headers = {"X-CSRFToken": client.cookies["csrftoken"].value}
    assert client.post(BOOKINGS, body, content_type="application/json", headers=headers).status_code == 201


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"{", "application/json", 400),
        (b"\xff", "application/json", 400),
        (b"[1]", "application/json", 400),
        (b'{"guests": 1, "guests": 2}', "application/json", 400),
        (b'{"a": [{"b": 1, "b": 1}]}', "application/json", 400),
        (b'{"reference": "\\ud800"}', "application/json", 400),
        (b'{"\\udfff": 1}', "application/json", 400),
        (b'{"guests": NaN}', "application/json", 400),
        (b'{"guests": ' + b"9" * 5000 + b"}", "application/json", 400),
        (b'{"guests": 1e999}', "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b'{"a": ' * 5_000 + b"1" + b"}" * 5_000, "application/json", 400),
        (b"{}", "application/json; charset=bz2", 400),
        (b"a=1", "application/x-www-form-urlencoded", 415),
        (b'{"a": "' + b"x" * 2_700_000 + b'"}', "application/json", 413),
    ],
)
def test_a_body_that_is_no_json_of_reasonable_size_is_refused(
    body: bytes, content_type: str, status: int
) -> None:
    user = make.user()
    response = Client().generic("POST", BOOKINGS, body, content_type=content_type, headers=Api(user).headers)
    assert_problem(response, status)


def test_what_is_not_there_and_not_allowed_is_a_problem_too() -> None:
    assert_problem(Api()("GET", "/api/v1/nothing"), 404)
    assert_problem(Api()("GET", f"{LISTINGS}/99999999999999999999999"), 404)
    assert_problem(Api(make.user(Role.HOST))("PATCH", LISTINGS), 405)
    assert_problem(Api()("OPTIONS", LISTINGS), 405)
    for path in (LISTINGS, "/api/schema"):
        assert_problem(Api()("GET", path, Accept="text/html"), 406)
    assert_problem(Api()("POST", "/api/schema"), 405)
    for path in ("/api/v3/listings", f"{LISTINGS}/", "/api/"):
        assert_problem(Api()("GET", path), 404)
    assert_problem(Api()("GET", LISTINGS, Host="elsewhere.example"), 400)


def test_a_change_of_a_listing_keeps_what_the_worker_counts_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = make.listing()
    locked: list[Any] = []
    lock = QuerySet.select_for_update

    def watched(rows: Any) -> Any:
        locked.append(rows.model)
        return lock(rows)

    monkeypatch.setattr(QuerySet, "select_for_update", watched)
    assert Api(place.host)("PATCH", f"{LISTINGS}/{place.pk}", {"title": "Hut"}).status_code == 200
    assert locked == [Listing]


@pytest.mark.parametrize("where", ["marefia.api.listings.ListingViewSet.list", "marefia.ops.health.version"])
def test_a_request_that_needs_a_database_that_is_away_is_told_to_come_again(
    where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise OperationalError("unable to open database file")

    monkeypatch.setattr(where, away)
    if "version" in where:
        monkeypatch.setattr("marefia.stays.views.Paginator", away)
    response = Api()("GET", LISTINGS if "api" in where else "/")
    assert response.status_code == 503
    assert response["Retry-After"] == "5"


values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.dates().map(str),
    st.uuids().map(str),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.dictionaries(st.sampled_from(["listing", "check_in", "check_out", "guests", "reference"]), values)
)
def test_no_booking_that_a_client_can_think_of_is_a_fault_of_ours(body: dict[str, Any]) -> None:
    place = Listing.objects.first() or make.listing()
    response = Api(make.user())("POST", BOOKINGS, booking_body(place, **body))
    assert response.status_code < 500, response.content


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(["place", "min_price", "max_price", "capacity", "ordering", "cursor", "page_size"]),
    value=st.text(max_size=12) | st.integers().map(str) | st.floats().map(str),
)
def test_no_search_that_a_client_can_think_of_is_a_fault_of_ours(name: str, value: str) -> None:
    if not Listing.objects.exists():
        make.listing()
    response = Client(raise_request_exception=False).get(LISTINGS, {name: value})
    assert response.status_code < 500, response.content


def test_the_schema_describes_every_path_and_the_page_shows_it() -> None:
    schema = Client().get("/api/schema", headers={"Accept": "application/json"}).content.decode()
    page = Client().get("/api/docs").content.decode()
    for path in ("/listings", "/listings/{id}", "/bookings", "/bookings/{id}", "/tokens"):
        assert f"/api/v1{path}" in schema
        assert f"/api/v1{path}" in page
    assert not re.search(r'(src|href)="(https?:)?//', page)
