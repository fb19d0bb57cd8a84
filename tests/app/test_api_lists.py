"""Lists: searched, filtered, in pages that neither skip nor repeat, and at the same cost however long."""

import base64
import datetime
import itertools
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client

from marefia.accounts.models import Role
from marefia.stays import bookings
from marefia.stays.models import Amenity, Booking, Listing, Review
from tests.app import make
from tests.app.api import BOOKINGS, LISTINGS, LISTINGS_V2, Api, assert_problem

pytestmark = pytest.mark.django_db
V2_AMENITIES = "/api/v2/amenities"


def titles(query: str, path: str = LISTINGS) -> list[str]:
    response = Api()("GET", f"{path}?{query}")
    assert response.status_code == 200, response.content
    return [listing["title"] for listing in response.json()["results"]]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("q=lake", ["Hut", "Villa"]),
        ("q=LAKE quiet", ["Hut"]),
        ("q=bahir", ["Hut"]),
        ("q=%25", []),
        ("q=%F0%9F%8F%A1", ["Villa"]),
        ("q=%D7%A9%D7%9C%D7%95%D7%9D", []),
    ],
)
def test_words_are_found_in_title_place_and_description(query: str, found: list[str]) -> None:
    make.listing(title="Hut", place="Bahir Dar", description="Quiet, at the lake")
    make.listing(title="Villa", place="Hawassa", description="Lake view 🏡")
    assert titles(query) == found


def test_a_place_has_all_the_amenities_that_are_named() -> None:
    wifi, garden = (Amenity.objects.create(name=name) for name in ("Wi-Fi", "Garden"))
    make.listing(title="both").amenities.add(wifi, garden)
    make.listing(title="one").amenities.add(wifi)
    make.listing(title="none")
    assert titles("amenities=Wi-Fi") == ["both", "one"]
    assert titles("amenities=Wi-Fi&amenities=Garden&amenities=Garden") == ["both"]
    assert titles(f"amenities={wifi.pk}&amenities={garden.pk}", LISTINGS_V2) == ["both"]
    assert_problem(Api()("GET", f"{LISTINGS}?amenities=Moon"), 400, "amenities", "Moon")
    assert_problem(Api()("GET", f"{LISTINGS_V2}?amenities=Wi-Fi"), 400, "amenities")


def test_a_place_is_free_when_no_active_booking_takes_a_night() -> None:
    guest, place = make.user(), make.listing(title="taken")
    make.listing(title="free")
    booking, _ = bookings.book(guest, make.wish(place, begins=10, nights=3))

    def free(begins: int, ends: int) -> list[str]:
        first, last = (bookings.today() + datetime.timedelta(days=days) for days in (begins, ends))
        return titles(f"free_from={first}&free_to={last}")

    assert free(8, 10) == free(13, 14) == ["taken", "free"]
    assert free(8, 11) == free(12, 14) == free(11, 12) == free(1, 30) == ["free"]
    bookings.cancel(booking)
    assert free(11, 12) == ["taken", "free"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("free_from=2027-01-02", "free_to"),
        ("free_to=2027-01-02", "free_from"),
        ("free_from=2027-01-02&free_to=2027-01-02", "free_to"),
        ("free_from=2027-01-05&free_to=2027-01-02", "free_to"),
        ("free_from=10000-01-01&free_to=10000-01-02", "free_from"),
        ("free_from=2027-02-30&free_to=2027-03-01", "free_from"),
        ("min_price=1" + "0" * 500, "min_price"),
        ("max_price=100000000", "max_price"),
        ("max_price=-1", "max_price"),
        ("min_price=NaN", "min_price"),
        ("min_price=Infinity", "min_price"),
        ("capacity=" + "9" * 5000, "capacity"),
        ("capacity=2.5", "capacity"),
        ("place=a%00b", "place"),
        ("q=" + "x" * 101, "q"),
        ("q=%00", "q"),
        ("place=Axum&place=Gondar", "place"),
        ("ordering=host", "ordering"),
        ("ordering=--price", "ordering"),
        ("page_size=0", "page_size"),
        ("page_size=many", "page_size"),
        ("page_size=" + "9" * 5000, "page_size"),
        ("cursor=%00", "cursor"),
        ("cursor=%F0%9F%8F%A1", "cursor"),
        ("cursor=abc", "cursor"),
        ("amenities=" + "x" * 61, "amenities"),
        ("amenities=%25s", "amenities"),
        ("&".join(f"amenities={number}" for number in range(51)), "amenities"),
    ],
)
@pytest.mark.parametrize("path", [LISTINGS, LISTINGS_V2])
def test_a_query_that_cannot_be_is_refused_by_name(path: str, query: str, field: str) -> None:
    response = Api()("GET", f"{path}?{query}")
    assert_problem(response, 400)
    assert field in response.json()["errors"]


@pytest.mark.parametrize("query", ["q=%ff", "place=%ff%fe", "q=%ed%a0%80", "%ff=%ff"])
def test_bytes_that_are_no_utf_8_find_nothing_and_break_nothing(query: str) -> None:
    make.listing()
    for path in (LISTINGS, LISTINGS_V2):
        response = Client(raise_request_exception=False).get(path, QUERY_STRING=query)
        assert response.status_code in {200, 400}


@pytest.mark.parametrize("values", [["abc"], ["9" * 400], ["NaN", "1"], ["1", "x\0"], ["700.00", "9" * 30]])
@pytest.mark.parametrize("ordering", ["id", "price", "-capacity", "created_at"])
def test_a_forged_cursor_is_no_fault_of_ours(values: list[str], ordering: str) -> None:
    make.listing()
    cursor = base64.b64encode(urlencode([("p", value) for value in values]).encode()).decode()
    response = Api()("GET", f"{LISTINGS}?{urlencode({'ordering': ordering, 'cursor': cursor})}")
    assert response.status_code in {200, 400}


ORDERINGS = ["id", "-id", "price", "-price", "capacity", "-capacity,price", "created_at", "-created_at"]


def walk(url: str | None, key: str = "next") -> list[list[int]]:
    pages = []
    while url:
        page = Api()("GET", url).json()
        pages.append([row["id"] for row in page["results"]])
        url = page[key]
    return pages


@pytest.mark.parametrize("ordering", ORDERINGS)
def test_pages_hold_every_row_once_in_order_and_lead_back_the_same_way(ordering: str) -> None:
    host = make.user(Role.HOST)
    for price, capacity in itertools.product((500, 700), (1, 2, 2, 4)):
        make.listing(host=host, price=price, capacity=capacity)
    terms = [term.replace("created_at", "id") for term in ordering.split(",")]
    order = [*terms, "-id" if terms[-1].startswith("-") else "id"]
    wanted = list(Listing.objects.order_by(*order).values_list("pk", flat=True))
    first = f"{LISTINGS}?page_size=3&ordering={ordering}"
    pages = walk(first)
    assert list(itertools.chain(*pages)) == wanted
    last = Api()("GET", Api()("GET", first).json()["next"]).json()["next"]
    assert walk(last, "previous") == pages[::-1]


@pytest.mark.parametrize("ordering", ORDERINGS)
def test_rows_that_come_and_go_meanwhile_make_no_page_skip_or_repeat_another(ordering: str) -> None:
    host = make.user(Role.HOST)
    stay = [make.listing(host=host).pk for _ in range(6)]
    goes = make.listing(host=host)
    url, seen = f"{LISTINGS}?page_size=2&ordering={ordering}", []
    for _ in range(9):
        page = Api()("GET", url).json()
        seen += [row["id"] for row in page["results"] if row["id"] in stay]
        make.listing(host=host)
        if goes.pk:
            goes.delete()
        url = page["next"]
        if not url:
            break
    assert sorted(seen) == stay


def test_a_cursor_of_an_earlier_release_still_leads_on() -> None:
    ids = [make.listing().pk for _ in range(3)]
    cursor = base64.b64encode(f"p={ids[0]}".encode()).decode()
    assert walk(f"{LISTINGS}?cursor={cursor}") == [ids[1:]]


def test_one_row_is_found_by_its_path_whatever_the_query_says() -> None:
    guest = make.user()
    booking = make.past_stay(guest, make.listing())
    for path in (f"{BOOKINGS}/{booking.pk}", f"{LISTINGS}/{booking.listing_id}"):
        assert Api(guest)("GET", f"{path}?status=cancelled&place=elsewhere&q=%00").status_code == 200


def test_a_parameter_that_nobody_reads_is_an_error_in_v2() -> None:
    assert Api()("GET", f"{LISTINGS}?max_prize=100").status_code == 200
    assert_problem(Api()("GET", f"{LISTINGS_V2}?max_prize=100"), 400, "max_prize")
    assert_problem(Api()("GET", f"{V2_AMENITIES}?q=Wi-Fi"), 400, "q")


@pytest.mark.parametrize(
    ("path", "queries"),
    [
        (LISTINGS, 2),
        (LISTINGS_V2, 2),
        (f"{LISTINGS}?q=house&amenities=Wi-Fi&free_from=2030-01-01&free_to=2030-01-09&ordering=-price", 3),
        (BOOKINGS, 2),
        ("/reviews", 2),
        (V2_AMENITIES, 1),
    ],
)
def test_a_list_costs_the_same_queries_with_one_row_and_with_thirty(
    path: str, queries: int, django_assert_num_queries: Any
) -> None:
    guest, reviewed = make.user(), make.listing()
    wifi = Amenity.objects.create(name="Wi-Fi")
    api = Api(guest if path == BOOKINGS else None)
    url = f"{LISTINGS}/{reviewed.pk}/reviews" if path == "/reviews" else path
    for rows in (1, 30):
        while Listing.objects.count() < rows + 1:
            place = make.listing()
            place.amenities.add(wifi, Amenity.objects.create(name=f"A{place.pk}"))
            make.past_stay(guest, place)
            past = bookings.today() - datetime.timedelta(days=3 * place.pk)
            stay = Booking.objects.create(
                listing=reviewed,
                guest=make.user(),
                check_in=past,
                check_out=past + datetime.timedelta(days=2),
                guests=1,
                total=1,
            )
            Review.objects.create(booking=stay, rating=5)
        joint = "&" if "?" in url else "?"
        with django_assert_num_queries(queries):
            response = api("GET", f"{url}{joint}page_size=100" if rows > 1 else url)
        assert len(response.json()["results"]) >= rows
