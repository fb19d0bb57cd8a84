"""GraphQL over HTTP: what comes in by which method and type, and what goes out when something is wrong."""

from io import BytesIO
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client

from marefia.graph import limits
from tests.app import make
from tests.app.graph import URL, Graph, assert_refused, bounded, nodes

pytestmark = pytest.mark.django_db
TITLES = "{listings {edges {node {title}}}}"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"null", 400),
        (b"1", 400),
        (b'"{viewer {email}}"', 400),
        (b'[{"query": "{viewer {email}}"}]', 400),
        (b'{"qeury": "{viewer {email}}"}', 400),
        (b'{"query": ["{viewer {email}}"]}', 400),
        (b'{"query": "{viewer {email}}", "operationName": 1}', 400),
        (b'{"query": "{viewer {email}}", "operationName": "other"}', 400),
        (b'{"query": "{viewer {email}}", "extensions": 1}', 400),
        (b'{"query": "query a {viewer {email}} query b {viewer {email}}"}', 400),
        (b'{"query": "{viewer {email}}", "variables": {"a": NaN}}', 400),
        (b'{"query": "\xff"}', 400),
        ('{"query": "{viewer {email}}"}'.encode("utf-16"), 400),
        (b'{"query": "{viewer {email}}", "variables": {"a": ' + b"9" * 5_000 + b"}}", 400),
        (b'{"query": "{viewer {email}}", "variables": {"a": ' + b"[" * 400_000, 400),
        (b'{"query": "{viewer {email}}", "variables": {"a": ' + b"[" * 800 + b"]" * 800 + b"}}", 200),
        (b'{"query": "' + b"x" * 999_000 + b'"}', 400),
        (b'{"query": "' + b"x" * limits.BODY + b'"}', 413),
        (b"x" * 10_000_000, 413),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_body_that_is_no_request_is_refused(body: bytes, status: int) -> None:
    response = bounded(lambda: Graph().send(body))
    if status == 200:
        assert response.json() == {"data": {"viewer": None}}
    else:
        assert_refused(response, status)


@pytest.mark.parametrize("content_type", ["application/json", "application/x-www-form-urlencoded"])
def test_of_a_body_that_is_too_large_nothing_is_read(content_type: str) -> None:
    class Body(BytesIO):
        def read(self, *_: Any) -> bytes:
            raise AssertionError("read")

    environ: dict[str, Any] = {"wsgi.input": Body(), "CONTENT_LENGTH": str(limits.BODY + 1)}
    response = Client(raise_request_exception=False).post(URL, content_type=content_type, **environ)
    assert_refused(response, 413)


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 200),
        ("application/json; charset=utf-8", 200),
        ("application/json; charset=zlib", 200),
        ("application/json; charset=rot13", 200),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data; boundary=x", 415),
        ("text/plain", 415),
        ("application/graphql", 415),
        ("", 415),
    ],
)
def test_only_json_is_taken_and_it_is_utf_8_whatever_it_says(content_type: str, status: int) -> None:
    response = Graph().send({"query": TITLES}, content_type)
    assert response.status_code == status


@pytest.mark.parametrize(
    ("accept", "answered"),
    [
        ("application/json", "application/json"),
        ("application/graphql-response+json", "application/graphql-response+json; charset=utf-8"),
        ("*/*", "application/graphql-response+json; charset=utf-8"),
        ("application/graphql-response+json;q=0.5, application/json", "application/json"),
        (
            "application/graphql-response+json, application/json;q=0.9",
            "application/graphql-response+json; charset=utf-8",
        ),
        ("text/html", None),
    ],
)
def test_the_answer_is_of_the_type_that_the_client_prefers(accept: str, answered: str | None) -> None:
    response = Graph().send({"query": TITLES}, Accept=accept)
    if answered is None:
        assert_refused(response, 406)
    else:
        assert (response.status_code, response["Content-Type"]) == (200, answered)


def test_a_query_may_come_by_get() -> None:
    place = make.listing()
    query = "query a ($place: String) {listings(filter: {place: $place}) {edges {node {title}}}}"
    query += "query b {viewer {email}}"
    asked = {"query": query, "operationName": "a", "variables": '{"place": "Gondar"}'}
    response = Client().get(URL, asked)
    assert nodes(response.json()["data"]["listings"]) == [{"title": place.title}]
    for wrong in (
        {},
        {"query": "{"},
        asked | {"variables": "{"},
        asked | {"variables": "[" * 3_000},
        asked | {"variables": "[]"},
    ):
        assert_refused(Client().get(URL, wrong))
    assert_refused(Client().get(f"{URL}?query=%FF%00"))


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_other_methods_are_not_allowed(method: str) -> None:
    assert_refused(Client().generic(method, URL), 405)


def test_a_wrong_token_is_refused_also_where_anyone_may_read() -> None:
    response = Graph().send({"query": TITLES}, Authorization="Token wrong")
    assert_refused(response, 401)
    assert response["WWW-Authenticate"] == "Token"


def test_a_fault_of_ours_takes_nothing_else_along_and_tells_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("secret-of-the-house")

    for _ in range(3):
        make.listing()
    monkeypatch.setattr("marefia.graph.rows.hosts", broken)
    response = Graph()("{listings {edges {node {title host {name}}}}}")
    assert response.status_code == 200
    assert nodes(response.json()["data"]["listings"]) == [{"title": "Garden house", "host": None}] * 3
    assert {error["message"] for error in response.json()["errors"]} == {"Internal error."}
    assert "secret-of-the-house" not in response.content.decode()
    assert caplog.text.count("graphql_failed") == 1


@pytest.mark.parametrize("where", ["marefia.graph.rows.hosts", "marefia.graph.search.found"])
def test_a_database_that_is_away_is_told_as_elsewhere(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any) -> None:
        raise OperationalError("unable to open database file")

    make.listing()
    monkeypatch.setattr(where, away)
    response = Graph()("{listings {edges {node {title host {name}}}}}")
    assert_refused(response, 503)
    assert response["Retry-After"] == "5"


def test_a_database_that_is_away_when_the_token_is_looked_up_is_told_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise OperationalError("unable to open database file")

    graph = Graph(make.user())
    monkeypatch.setattr("marefia.api.authentication.TokenAuthentication.authenticate_credentials", away)
    assert_refused(graph(TITLES), 503)
