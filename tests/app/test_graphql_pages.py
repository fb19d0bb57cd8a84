"""GraphQL: pages, by keyset."""

from typing import Any

import pytest
from graphql_relay.utils.base64 import base64

from marefia.accounts.models import Role
from marefia.stays.models import Listing
from tests.app import make
from tests.app.graph import Graph, nodes

pytestmark = pytest.mark.django_db
PAGE = """
query ($order: ListingOrder! = CHEAPEST, $first: Int, $last: Int, $after: String, $before: String) {
  listings(order: $order, first: $first, last: $last, after: $after, before: $before) {
    edges { cursor node { title } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}"""


def equally_dear() -> list[str]:
    """Nine listings, three of a price, from cheap to dear."""
    host = make.user(Role.HOST)
    for number in range(9):
        make.listing(host=host, title=str(number), price=100 * (1 + number // 3))
    return [str(number) for number in range(9)]


@pytest.mark.parametrize(("order", "back"), [("CHEAPEST", False), ("DEAREST", True), ("NEWEST", True)])
@pytest.mark.parametrize("forth", [True, False])
def test_pages_lead_through_all_listings_once_from_either_end(order: str, back: bool, forth: bool) -> None:
    titles = equally_dear()
    expected = titles[::-1] if back else titles
    seen: list[str] = []
    asked: dict[str, Any] = {"first" if forth else "last": 2}
    more = True
    while more:
        page = Graph().data(PAGE, order=order, **asked)["listings"]
        found = [each["title"] for each in nodes(page)]
        info = page["pageInfo"]
        assert info["hasPreviousPage" if forth else "hasNextPage"] is bool(seen)
        seen = seen + found if forth else found + seen
        more = info["hasNextPage" if forth else "hasPreviousPage"]
        asked["after" if forth else "before"] = info["endCursor" if forth else "startCursor"]
    assert seen == expected


def test_a_page_neither_skips_nor_repeats_when_rows_come_and_go_meanwhile() -> None:
    equally_dear()
    first = Graph().data(PAGE, first=4)["listings"]
    Listing.objects.filter(title__in=["1", "3"]).delete()  # 3 is what the cursor points at
    make.listing(title="new", price=50)
    second = Graph().data(PAGE, first=2, after=first["pageInfo"]["endCursor"])["listings"]
    assert [each["title"] for each in nodes(second)] == ["4", "5"]


def test_an_empty_page_has_no_cursors() -> None:
    info = {"hasNextPage": False, "hasPreviousPage": False, "startCursor": None, "endCursor": None}
    assert Graph().data(PAGE)["listings"] == {"edges": [], "pageInfo": info}


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "é",
        "x" * 200,
        base64("id:1"),
        base64("price,id:"),
        base64("price,id:NaN,1"),
        base64("price,id:10.001,1"),
        base64(f"price,id:1,{2**63}"),
    ],
)
def test_what_is_no_cursor_of_this_list_is_told_so(cursor: str) -> None:
    status, message = Graph().errors(PAGE, after=cursor)
    assert (status, message) == (200, "This is no cursor of this list in this order.")


@pytest.mark.parametrize(
    "asked", [{"first": 0}, {"first": -1}, {"last": 0}, {"first": 101}, {"first": 1, "last": 1}]
)
def test_a_page_that_cannot_be_is_refused_before_anything_is_read(
    asked: dict[str, int], django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(0):
        status, message = Graph().errors(PAGE, **asked)
    assert status == 400
    assert "A page" in message


def test_the_first_reviews_of_each_listing_are_the_newest_and_pages_go_on_from_there() -> None:
    places, guest = [make.listing(title=str(number)) for number in range(2)], make.user()
    texts = ["a", "b", "c"]
    for place in places:
        for text in texts:
            make.review(guest, place, text=place.title + text)
    query = """query ($after: String) {listings {edges {node {title reviews(first: 2, after: $after) {
      edges {node {text}} pageInfo {hasNextPage endCursor}}}}}}"""
    newest, oldest = (each["reviews"] for each in nodes(Graph().data(query)["listings"]))
    assert [review["text"] for review in nodes(newest)] == ["1c", "1b"]
    assert [review["text"] for review in nodes(oldest)] == ["0c", "0b"]
    assert newest["pageInfo"]["hasNextPage"]
    assert oldest["pageInfo"]["hasNextPage"]
    newest, _ = (
        each["reviews"]
        for each in nodes(Graph().data(query, after=newest["pageInfo"]["endCursor"])["listings"])
    )
    assert [review["text"] for review in nodes(newest)] == ["1a"]
    assert not newest["pageInfo"]["hasNextPage"]
