"""REST: every cell of the table of rights, and no endpoint without a row."""

from collections.abc import Iterator

import pytest
from django.urls import URLPattern, URLResolver, get_resolver

from marefia.stays.models import Booking, Listing
from tests.app import rights
from tests.app.api import Api

pytestmark = pytest.mark.django_db
CELLS = [(deed, who, heard) for deed, row in rights.REST.items() for who, heard in row.items()]


def endpoints(under: URLResolver, prefix: str = "/") -> Iterator[str]:
    """Every method and path below a resolver; what a view answers beside its methods (HEAD, OPTIONS) is DRF's."""
    for pattern in under.url_patterns:
        path = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from endpoints(pattern, path)
        elif isinstance(pattern, URLPattern):
            view = getattr(pattern.callback, "cls", None)
            offered = getattr(pattern.callback, "actions", None) or (view and dir(view)) or ["get"]
            for method in ("get", "post", "put", "patch", "delete"):
                if method in offered:
                    yield f"{method.upper()} {path.replace('<int:pk>', '{pk}')}"


def test_every_endpoint_of_the_api_has_its_row_in_the_table_of_rights() -> None:
    assert {deed for deed in endpoints(get_resolver()) if " /api/" in deed} == rights.REST.keys()


@pytest.mark.parametrize(("deed", "who", "heard"), CELLS, ids=[f"{deed}-{who}" for deed, who, _ in CELLS])
def test_each_may_do_what_the_table_says(deed: str, who: str, heard: str) -> None:
    scene = rights.Scene()
    method, template = deed.split()
    rows = Listing.objects.count(), Booking.objects.count()
    response = Api(scene.people.get(who))(
        method, scene.path(template), scene.body(method, template, who), Accept="*/*"
    )
    assert str(response.status_code) == heard, response.content
    if heard.startswith("4"):
        assert response["Content-Type"] == "application/problem+json"
        assert (Listing.objects.count(), Booking.objects.count()) == rows


def test_a_list_of_bookings_is_one_s_own() -> None:
    scene = rights.Scene()
    for who, person in scene.people.items():
        shown = Api(person)("GET", "/api/v1/bookings").json()["results"]
        assert len(shown) == (2 if who == "owner" else 0)
