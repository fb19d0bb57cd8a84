"""A client that speaks GraphQL."""

import json
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from graphql_relay import to_global_id
from knox.models import AuthToken

from marefia.accounts.models import User

URL = "/graphql"
SECONDS, MEGABYTES = 5, 40  # of the processor, with memory traced, which makes it four times slower


class Graph:
    """As a user or as nobody."""

    def __init__(self, user: User | None = None) -> None:
        self.client = Client(raise_request_exception=False)
        self.headers = {"Authorization": f"Token {AuthToken.objects.create(user)[1]}"} if user else {}

    def __call__(self, query: str, **variables: Any) -> Any:
        """Send a request and return the response."""
        return self.send({"query": query, "variables": variables})

    def send(self, body: Any, content_type: str = "application/json", **headers: str) -> Any:
        """Send anything."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.client.generic("POST", URL, raw, content_type, headers=self.headers | headers)

    def data(self, query: str, **variables: Any) -> Any:
        """Return the data of a request that has no errors."""
        response = self(query, **variables)
        assert response.status_code == 200, response.content
        assert "errors" not in response.json(), response.content
        return response.json()["data"]

    def errors(self, query: str, **variables: Any) -> tuple[int, str]:
        """Return status and messages of a request that has errors."""
        response = self(query, **variables)
        return response.status_code, " ".join(error["message"] for error in response.json()["errors"])


def id_of(row: Any, name: str = "") -> str:
    """The id that a row has in the graph."""
    return str(to_global_id(name or type(row).__name__, str(row.pk)))


def nodes(connection: Any) -> list[Any]:
    """What the edges lead to."""
    return [edge["node"] for edge in connection["edges"]]


def assert_refused(response: Any, status: int = 400) -> None:
    """It says why in GraphQL's form and has no data."""
    assert response.status_code == status, response.content
    assert response.json()["errors"][0]["message"]
    assert "data" not in response.json()


def bounded(ask: Callable[[], Any]) -> Any:
    """Return a response that reads nothing from the database, comes soon, is short, and takes bounded memory."""
    tracemalloc.start()
    begin = time.process_time()
    try:
        with CaptureQueriesContext(connection) as captured:
            response = ask()
        assert time.process_time() - begin < SECONDS
        assert tracemalloc.get_traced_memory()[1] < MEGABYTES * 2**20
    finally:
        tracemalloc.stop()
    assert not len(captured)
    assert len(response.content) < 20_000
    return response
