"""GraphQL: what a request may ask for, and that all else ends soon with a clear answer."""

import json
from dataclasses import replace
from typing import Any

import pytest
from graphql import get_introspection_query

from tests.app.graph import Graph, assert_refused, bounded

pytestmark = pytest.mark.django_db


def deep(levels: int) -> str:
    """As many objects inside of one another."""
    names = ["listings(first: 1)", "edges", "node", "host"]
    return "".join(f"{{{names[level % 4]}" for level in range(levels)) + "{__typename" + "}" * (levels + 1)


def page(inside: str, first: int = 100) -> str:
    """A page of listings."""
    return f"{{listings(first: {first}) {{edges {{node {{{inside}}}}}}}}}"


def reviews(first: int | str) -> str:
    """A page of reviews in it."""
    return f"reviews(first: {first}) {{edges {{node {{text}}}}}}"


def fragments(count: int, inside: str) -> str:
    """A chain of fragments, each in the one before it."""
    chain = (f"fragment f{number} on Query {{{inside.format(number + 1)}}}" for number in range(count))
    return f"{{...f0}} {' '.join(chain)} fragment f{count} on Query {{viewer {{email}}}}"


ABUSE: dict[str, Any] = {
    "a depth of 50": deep(50),
    "a depth of 5000": deep(5_000),
    "a thousand aliases": "{" + " ".join(f"a{n}: viewer {{email}}" for n in range(1_000)) + "}",
    "31 aliases": "{" + " ".join(f"a{n}: viewer {{email}}" for n in range(31)) + "}",
    "directives": "{viewer" + " @include(if: true)" * 21 + " {email}}",
    "operations": " ".join(f"query q{n} {{viewer {{email}}}}" for n in range(31)),
    "tokens": "{" + "a " * 1_001 + "}",
    "100,000 tokens": "{" + "a " * 100_000 + "}",
    "a comment of 500 KB": "{viewer {email}} #" + "x" * 500_000,
    "comments": "#\n" * 101 + "{viewer {email}}",
    "one name of 500 KB": "{" + "a" * 500_000 + "}",
    "a fragment in itself": "{...f} fragment f on Query {...f}",
    "fragments in a circle": "{...a} fragment a on Query {...b} fragment b on Query {...a}",
    "fields in a circle": "{listings {...a}} fragment a on ListingConnection {edges {node {host {listings {...a}}}}}",
    "an undefined fragment": "{...nowhere}",
    "an undefined fragment in one": "{...f} fragment f on Query {...nowhere}",
    "what is no field": "{" + "".join(f"x{n} " for n in range(900)) + "}",
    "deep lists": '{listings(filter: {amenities: "x"}) {edges {cursor}}}'.replace(
        '"x"', "[" * 450 + "]" * 450
    ),
    "deep objects": "{listings(filter: " + "{a: " * 300 + "1" + "}" * 300 + ") {edges {cursor}}}",
    "a subscription": "subscription {listings {edges {cursor}}}",
    "a type": "type A {b: C}",
    "nothing": "",
    "no GraphQL": "SELECT 1",
    "NUL": "{viewer\0 {email}}",
    "NUL, written": '{listings(filter: {place: "\\u0000"}) {edges {cursor}}}',
    "half a character": '{listings(filter: {place: "\\ud800"}) {edges {cursor}}}',
    "an integer of 5,000 digits": "{listings(first: " + "9" * 5_000 + ") {edges {cursor}}}",
    "an integer of 11 digits": "{listings(first: 99999999999) {edges {cursor}}}",
    "all rows": page(reviews(100)),
    "a value under many names": page(" ".join(f"d{n}: description" for n in range(22))),
    "21 mutations": "mutation {"
    + " ".join(f'c{n}: cancelBooking(input: {{booking: "x"}}) {{clientMutationId}}' for n in range(21))
    + "}",
}
VARIABLES = """query ($first: Int, $filter: ListingFilter, $after: String, $id: ID = "x") {
  listings(first: $first, filter: $filter, after: $after) {edges {cursor}} node(id: $id) {id}}"""
BAD_VARIABLES: dict[str, Any] = {
    "a list": [1],
    "a string": "x",
    "an object for a number": {"first": {"a": 1}},
    "a list for a number": {"first": [1]},
    "a large number": {"first": 10**300},
    "an infinite number": {"first": "INFINITE"},
    "a large integer": {"first": 2**31},
    "a text for a number": {"first": "5"},
    "a number for a text": {"after": 5},
    "a list for an object": {"filter": [[[]]]},
    "an unknown key": {"filter": {"nothing": 1}},
    "an object for a text": {"filter": {"place": {"a": "b"}}},
    "a list in a list": {"filter": {"amenities": [["x"]]}},
    "a null in a list": {"filter": {"amenities": [None]}},
    "NUL": {"filter": {"place": "\0"}},
    "NUL in a name": {"\0": 1},
    "half a character": {"after": "\ud800"},
    "no date": {"filter": {"checkIn": "2030-02-30"}},
    "a date as a number": {"filter": {"checkIn": 20300101}},
    "a long date": {"filter": {"checkIn": "x" * 900_000}},
    "no money": {"filter": {"minPrice": "NaN"}},
    "negative money": {"filter": {"minPrice": -1}},
    "much money": {"filter": {"minPrice": 1e300}},
    "a truth for money": {"filter": {"minPrice": True}},
    "an object for money": {"filter": {"minPrice": {}}},
    "an object for an id": {"id": {}},
    "900 KB of a list": {"filter": {"amenities": [1] * 300_000}},
}


@pytest.mark.parametrize("query", ABUSE.values(), ids=ABUSE)
def test_a_query_that_is_wrong_or_too_much_is_refused_before_it_reads_anything(query: str) -> None:
    assert_refused(bounded(lambda: Graph()(query)))


@pytest.mark.parametrize("variables", BAD_VARIABLES.values(), ids=BAD_VARIABLES)
def test_variables_of_a_wrong_shape_are_refused_before_anything_is_read(variables: Any) -> None:
    body = json.dumps({"query": VARIABLES, "variables": variables}).replace('"INFINITE"', "1e400").encode()
    assert_refused(bounded(lambda: Graph().send(body)))


def test_ten_levels_are_enough_and_eleven_are_too_deep() -> None:
    Graph().data(deep(10))
    assert Graph().errors(deep(11)) == (400, "This goes deeper than 10 levels.")


def test_as_many_rows_as_are_allowed_may_be_asked_for_in_one_request() -> None:
    Graph().data(page(reviews(39), first=50))
    status, message = Graph().errors(page(reviews(40), first=50))
    assert (status, "more than 2000 rows" in message) == (400, True)


def test_what_is_left_out_or_asked_for_twice_is_not_counted_twice() -> None:
    Graph().data(page(f"{reviews(30)} ...more", first=50) + f"fragment more on Listing {{{reviews(30)}}}")
    left_out = reviews(100).replace(")", ") @include(if: $yes)", 1)
    Graph().data("query ($yes: Boolean = false)" + page(f"title {left_out}"))


def test_rows_that_a_variable_asks_for_count() -> None:
    text = "query ($n: Int = 100)" + page(reviews("$n"))
    assert Graph().errors(text)[0] == 400
    Graph().data(text, n=5)


@pytest.mark.parametrize(
    "query",
    [
        "{" + "viewer {email} " * 240 + "}",
        "{" + "...f " * 100 + "} fragment f on Query {" + "viewer {email} " * 160 + "}",
        fragments(28, "...f{0} ...f{0}"),
        fragments(9, "viewer {{bookings {{edges {{cursor}}}}}} ...f{0}"),
    ],
    ids=["fields", "spreads", "doubling", "long"],
)
def test_what_is_written_often_and_means_one_thing_is_answered_soon(query: str) -> None:
    """Rules that compare each with each, and fragments that double."""
    assert bounded(lambda: Graph()(query)).json() == {"data": {"viewer": None}}


def in_production(settings: Any) -> None:
    settings.ENV = replace(settings.ENV, name="production")


def test_production_tells_nobody_the_schema_nor_hints_at_it(settings: Any) -> None:
    assert Graph().data(get_introspection_query())["__schema"]["types"]
    assert "Did you mean" in Graph().errors("{listing {edges {cursor}}}")[1]
    in_production(settings)
    for query in (
        get_introspection_query(),
        '{__type(name: "Query") {name}}',
        "{...f} fragment f on Query {__schema {types {name}}}",
    ):
        assert Graph().errors(query)[0] == 400
    assert Graph().data("{__typename}") == {"__typename": "Query"}
    for query, variables in {
        "{listing {edges {cursor}}}": {},
        "{listings(frist: 1) {edges {cursor}}}": {},
        "{listings(order: CHEAP) {edges {cursor}}}": {},
        "query ($filter: ListingFilte) {listings(filter: $filter) {edges {cursor}}}": {},
        "query ($filter: ListingFilter) {listings(filter: $filter) {edges {cursor}}}": {
            "filter": {"pla": "x"}
        },
    }.items():
        status, message = Graph().errors(query, **variables)
        assert (status, "Did you mean" in message) == (400, False), message


def test_introspection_has_its_own_limit() -> None:
    text = "{__schema {types {fields {type {fields {type {fields {type {name}}}}}}}}}"
    assert Graph().errors(text)[0] == 400
