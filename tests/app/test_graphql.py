"""GraphQL: what is read, by whom, in which order and with how many queries."""

import datetime
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from graphql_relay.utils.base64 import base64

from marefia.accounts.models import Role
from marefia.stays import bookings
from marefia.stays.bookings import today
from marefia.stays.models import Amenity, Booking, Listing
from tests.app import make
from tests.app.graph import Graph, id_of, nodes

pytestmark = pytest.mark.django_db
TITLES = "query ($filter: ListingFilter, $order: ListingOrder! = CHEAPEST)"
TITLES += "{listings(filter: $filter, order: $order) {edges {node {title}}}}"
NODE = "query ($id: ID!) {node(id: $id) {__typename id}}"


def test_anyone_reads_a_listing_with_all_that_belongs_to_it_without_private_addresses() -> None:
    place, guest = make.listing(description="Quiet."), make.user(first_name="Hana", last_name="Girma")
    place.amenities.add(*(Amenity.objects.create(name=name) for name in ("Wi-Fi", "Coffee")))
    review = make.review(guest, place, 4, text="Good.")
    response = Graph()(
        """{listings {edges {node {
          id title place description price capacity nightsBooked
          amenities {name} host {id name} reviews {edges {node {id rating text author}}}
        }}}}"""
    )
    (shown,) = nodes(response.json()["data"]["listings"])
    assert nodes(shown.pop("reviews")) == [
        {"id": id_of(review), "rating": 4, "text": "Good.", "author": "Hana Girma"}
    ]
    assert shown == {
        "id": id_of(place),
        "title": "Garden house",
        "place": "Gondar",
        "description": "Quiet.",
        "price": "500.00",
        "capacity": 4,
        "nightsBooked": 0,
        "amenities": [{"name": "Coffee"}, {"name": "Wi-Fi"}],
        "host": {"id": id_of(place.host, "Host"), "name": "Almaz Tesfaye"},
    }
    assert "example.org" not in response.content.decode()


@pytest.mark.parametrize(
    ("wanted", "titles"),
    [
        ({}, ["A", "B", "C"]),
        ({"place": "gond"}, ["A", "C"]),
        ({"minPrice": "300", "maxPrice": 300}, ["B"]),
        ({"minPrice": 100.01}, ["B", "C"]),
        ({"capacity": 3}, ["C"]),
        ({"amenities": ["Wi-Fi"]}, ["A", "B"]),
        ({"amenities": ["Wi-Fi", "Coffee", "Wi-Fi"]}, ["B"]),
        ({"amenities": ["Moon"]}, []),
        ({"text": "lake GONDAR"}, ["C"]),
        ({"text": "  "}, ["A", "B", "C"]),
        ({"text": "lake", "amenities": ["Wi-Fi"], "place": None}, ["B"]),
    ],
)
def test_listings_are_narrowed_by_all_that_a_filter_says(wanted: dict[str, Any], titles: list[str]) -> None:
    offered = [Amenity.objects.create(name=name) for name in ("Wi-Fi", "Coffee")]
    for title, place, price, capacity, description, amenities in [
        ("A", "Gondar", 100, 1, "", 1),
        ("B", "Axum", 300, 2, "By the lake", 2),
        ("C", "Gondar", 500, 3, "Lake and hills", 0),
    ]:
        listing = make.listing(
            title=title, place=place, price=price, capacity=capacity, description=description
        )
        listing.amenities.add(*offered[:amenities])
    found = Graph().data(TITLES, filter=wanted)["listings"]
    assert [listing["title"] for listing in nodes(found)] == titles


@pytest.mark.parametrize(
    ("begins", "nights", "free"),
    [(10, 3, False), (9, 2, False), (12, 5, False), (1, 30, False), (8, 2, True), (13, 2, True)],
)
def test_a_listing_is_free_up_to_the_day_of_the_next_arrival_and_from_the_day_of_departure(
    begins: int, nights: int, free: bool
) -> None:
    taken, other = make.listing(title="taken"), make.listing(title="other")
    guest = make.user()
    bookings.book(guest, make.wish(taken, begins=10, nights=3))
    bookings.cancel(bookings.book(guest, make.wish(other, begins=10, nights=3))[0])
    check_in = today() + datetime.timedelta(days=begins)
    stay = {"checkIn": str(check_in), "checkOut": str(check_in + datetime.timedelta(days=nights))}
    found = {listing["title"] for listing in nodes(Graph().data(TITLES, filter=stay)["listings"])}
    assert found == ({"taken", "other"} if free else {"other"})


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"checkIn": "2030-01-02"}, "checkOut"),
        ({"checkIn": "2030-01-02", "checkOut": "2030-01-02"}, "earlier"),
        ({"place": "x" * 121}, "120 characters"),
        ({"amenities": ["x"] * 11}, "at most 10"),
    ],
)
def test_a_filter_that_makes_no_sense_is_told_so_at_its_field(wanted: dict[str, Any], words: str) -> None:
    response = Graph()(TITLES, filter=wanted).json()
    assert response["data"] == {"listings": None}
    (error,) = response["errors"]
    assert words in error["message"]
    assert (error["path"], error["extensions"]["code"]) == (["listings"], "BAD_INPUT")


def test_each_listing_shows_its_own_amenities_also_those_that_others_share() -> None:
    shared, own = (Amenity.objects.create(name=name) for name in ("Wi-Fi", "Coffee"))
    for title, amenities in {"a": [shared], "b": [shared, own], "c": []}.items():
        make.listing(title=title).amenities.add(*amenities)
    query = "query ($first: Int) {listings(first: $first) {edges {node {title amenities {name}}}}}"
    for first in (2, 3):
        shown = nodes(Graph().data(query, first=first)["listings"])
        assert {each["title"]: [amenity["name"] for amenity in each["amenities"]] for each in shown} == dict(
            [("c", []), ("b", ["Coffee", "Wi-Fi"]), ("a", ["Wi-Fi"])][:first]
        )


VIEWER = """query ($status: BookingStatus) {viewer {email name role phone bookings(status: $status, first: 30) {
  edges {node {id status total checkIn listing {title host {name} amenities {name}
    reviews(first: 3) {edges {node {rating author}}}} review {rating text}}}}}}"""


def test_a_viewer_sees_the_own_profile_and_bookings_with_listing_and_review() -> None:
    guest, place = make.user(first_name="Hana", phone="0911"), make.listing()
    stayed = make.review(guest, place, 4).booking
    cancelled = bookings.cancel(bookings.book(guest, make.wish(place))[0])
    make.past_stay(make.user(), make.listing())
    viewer = Graph(guest).data(VIEWER)["viewer"]
    assert [viewer[key] for key in ("email", "name", "role", "phone")] == [
        guest.email,
        "Hana",
        "GUEST",
        "0911",
    ]
    second, first = nodes(viewer["bookings"])
    assert (second["id"], second["status"], second["review"]) == (id_of(cancelled), "CANCELLED", None)
    assert (first["id"], first["review"]) == (id_of(stayed), {"rating": 4, "text": ""})
    assert first["listing"]["title"] == "Garden house"
    confirmed = Graph(guest).data(VIEWER, status="CONFIRMED")["viewer"]["bookings"]
    assert [each["id"] for each in nodes(confirmed)] == [id_of(stayed)]


def test_nobody_is_no_viewer() -> None:
    assert Graph().data(VIEWER) == {"viewer": None}


def test_whatever_is_public_is_found_by_its_id() -> None:
    place = make.listing()
    review = make.review(make.user(), place)
    amenity = Amenity.objects.create(name="Wi-Fi")
    for key in (id_of(place), id_of(review), id_of(amenity), id_of(place.host, "Host")):
        assert Graph().data(NODE, id=key)["node"]["id"] == key


def test_a_booking_is_found_by_its_guest_only() -> None:
    guest, place = make.user(), make.listing()
    key = id_of(make.past_stay(guest, place))
    assert Graph(guest).data(NODE, id=key)["node"] == {"__typename": "Booking", "id": key}
    for other in (None, place.host, make.user()):
        assert Graph(other).data(NODE, id=key)["node"] is None


def test_who_offers_nothing_is_found_by_nobody() -> None:
    assert Graph().data(NODE, id=id_of(make.user(), "Host"))["node"] is None
    assert Graph().data(NODE, id=id_of(make.user(Role.HOST), "Host"))["node"] is None


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "é", base64("Listing:"), base64("Listing:x"), base64("Listing:-1"), base64("Listing:0")),
        *(base64(f"Listing:{2**63}"), base64("Listing:\u0661"), base64("Listing:" + "9" * 5_000)),
        *(
            base64(f"{name}:1")
            for name in ("Query", "Node", "Viewer", "Int", "BookInput", "__Type", "PageInfo")
        ),
    ],
)
def test_what_is_no_id_is_told_so(text: str) -> None:
    status, message = Graph().errors(NODE, id=text)
    assert (status, message) == (200, "This is not the id of anything.")


def test_an_id_of_nothing_finds_nothing() -> None:
    for name in ("Listing", "Booking", "Review", "Amenity", "Host"):
        assert Graph(make.user()).data(NODE, id=id_of(Booking(pk=10**18), name))["node"] is None


EVERYTHING = """{listings(first: 30) {edges {node {title amenities {name}
  host {name listings(first: 3) {edges {node {title amenities {name}}}}}
  reviews(first: 5) {edges {node {rating author}}}}}}}"""


def full_listing(guest: Any, number: int) -> Listing:
    place = make.listing()
    place.amenities.add(*(Amenity.objects.create(name=f"{number}{letter}") for letter in "abc"))
    for _ in range(3):
        make.review(guest, place)
    return place


def test_lists_within_lists_cost_the_same_queries_however_long_they_are() -> None:
    guest = make.user()
    graph = Graph(guest)
    several = "{" + " ".join(f'n{n}: node(id: "{{}}") {{id}}' for n in range(3)) + "}"
    queries: dict[str, list[int]] = {EVERYTHING: [], VIEWER: [], several: []}
    for rows in (1, 30):
        places = [full_listing(guest, number) for number in range(rows * 100, rows * 101)]
        ids = [id_of(places[0]), id_of(places[-1]), id_of(places[len(places) // 2])]
        for query, counts in queries.items():
            text = query
            for key in ids:
                text = text.replace("{}", key, 1) if query is several else text
            with CaptureQueriesContext(connection) as captured:
                graph.data(text)
            counts.append(len(captured))
    token = 1  # what knox asks
    assert queries == {EVERYTHING: [token + 5] * 2, VIEWER: [token + 7] * 2, several: [token + 1] * 2}


def test_no_list_has_a_total() -> None:
    """Counting reads every row that a filter leaves."""
    status, message = Graph().errors("{listings {totalCount}}")
    assert status == 400
    assert "totalCount" in message
