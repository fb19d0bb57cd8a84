"""GraphQL and pages: every cell of the tables of rights, and nothing without a row. REST has test_api_rights.py."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.mail import EmailMessage
from django.test import Client
from django.urls import URLResolver, get_resolver

from marefia.graph.schema import schema
from marefia.stays.models import Booking, Listing, Review
from tests.app import make, rights
from tests.app.graph import Graph, id_of

pytestmark = pytest.mark.django_db
WRITE = "mutation ($input: %sInput!) {%s(input: $input) {%s {id} errors {code}}}"
INPUTS = {"review": "ReviewStay"}
OWN = {"book": "booking", "cancelBooking": "booking", "payBooking": "payment", "review": "review"}


def cells(table: rights.Table) -> list[Any]:
    """Deed, person and answer of each."""
    return [
        pytest.param(deed, who, row[who], id=f"{deed}-{who}") for deed, row in table.items() for who in row
    ]


# -- GraphQL


def test_every_field_that_a_query_begins_with_has_its_row() -> None:
    graph = schema.graphql_schema
    roots = {*graph.query_type.fields, *graph.mutation_type.fields} - {"node"}
    nodes = {
        f"node {kind}" for kind in (each.name for each in graph.get_possible_types(graph.type_map["Node"]))
    }
    assert roots | nodes == rights.GRAPH.keys()


def heard(response: Any, deed: str) -> str:
    """`data`, `null` or the error's code."""
    body = response.json()
    assert response.status_code == 200, body
    assert "errors" not in body, body
    (answer,) = body["data"].values()
    if answer and "errors" in answer:
        return answer["errors"][0]["code"] if answer["errors"] else "data" if answer[OWN[deed]] else "null"
    return "data" if answer else "null"


@pytest.mark.parametrize(("deed", "who", "expected"), cells(rights.GRAPH))
def test_each_may_do_by_graphql_what_the_table_says(deed: str, who: str, expected: str) -> None:
    scene = rights.Scene()
    graph = Graph(scene.people.get(who))
    if deed == "listings":
        response = graph("{listings {edges {node {id}}}}")
    elif deed == "viewer":
        response = graph("{viewer {email}}")
    elif deed.startswith("node "):
        review = Review.objects.create(booking=make.past_stay(scene.owner, scene.empty), rating=5)
        rows = {"Listing": scene.empty, "Review": review, "Amenity": scene.amenity, "Host": scene.host}
        rows |= {"Booking": scene.booking, "Payment": scene.payment}
        kind = deed.removeprefix("node ")
        response = graph("query ($id: ID!) {node(id: $id) {id}}", id=id_of(rows[kind], kind))
    else:
        wish = make.wish(scene.booked, begins=60)
        inputs: dict[str, Any] = {
            "book": {
                "listing": id_of(scene.booked),
                "checkIn": str(wish.check_in),
                "checkOut": str(wish.check_out),
                "guests": 1,
            },
            "review": {"booking": id_of(scene.stay), "rating": 5},
        }
        given = inputs.get(deed, {"booking": id_of(scene.booking)})
        name = INPUTS.get(deed, deed[0].upper() + deed[1:])
        response = graph(WRITE % (name, deed, OWN[deed]), input=given)
    assert heard(response, deed) == expected


# -- pages


def paths(under: URLResolver, prefix: str = "/") -> Iterator[str]:
    """Every path that is no API's; the admin has rights of its own, of which its first page is an example."""
    for pattern in under.url_patterns:
        path = prefix + re.sub(r"<(\w+:)?(\w+)>", r"{\2}", str(pattern.pattern))
        if isinstance(pattern, URLResolver):
            yield from ["/admin/"] if pattern.namespace == "admin" else paths(pattern, path)
        elif not path.startswith(("/api/", "/sandbox/chapa/v1/")):
            yield path


def test_every_page_has_its_row() -> None:
    rows = {deed.split()[1] for deed in rights.PAGES}
    assert set(paths(get_resolver())) - rights.EVERYBODY == rows


@pytest.mark.parametrize(("deed", "who", "expected"), cells(rights.PAGES))
def test_each_may_do_on_a_page_what_the_table_says(
    deed: str, who: str, expected: str, client: Client, settings: Any, tmp_path: Path
) -> None:
    scene = rights.Scene()
    settings.EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
    settings.EMAIL_FILE_PATH = str(tmp_path)
    EmailMessage("Hello", "!", to=[scene.owner.email]).send()
    (mail,) = tmp_path.iterdir()
    if who in scene.people:
        client.force_login(scene.people[who])
    method, template = deed.split()
    row: Listing | Booking = (
        scene.booked if "listings" in template or "hosting" in template else scene.booking
    )
    row = scene.stay if "review" in template else row
    path = template.format(pk=row.pk, tx_ref=scene.payment.tx_ref, file=mail.name, number=0)
    wish = make.wish(scene.booked, begins=60)
    bodies: dict[str, Any] = {
        "/listings/{pk}/": {
            "check_in": wish.check_in, "check_out": wish.check_out, "guests": 1, "reference": wish.reference
        },
        "/bookings/{pk}/review/": {"rating": 5},
    }  # fmt: skip
    place = {"title": "Flat", "place": "Harar", "price": "700", "capacity": 2}
    before = Listing.objects.count(), Booking.objects.count(), Review.objects.count()
    response = (
        client.generic(method, path) if method == "GET" else client.post(path, bodies.get(template, place))
    )
    to_login = response.status_code == 302 and "/login/" in response.headers["Location"]
    assert ("login" if to_login else str(response.status_code)) == expected
    if expected not in ("200", "302"):
        assert (Listing.objects.count(), Booking.objects.count(), Review.objects.count()) == before
