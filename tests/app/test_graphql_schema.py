"""GraphQL: the schema that clients know is the one that is served, it breaks nobody, and no query of it is a 500."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from django.core.management import call_command
from graphql import (
    GraphQLSchema,
    build_client_schema,
    build_schema,
    find_breaking_changes,
    find_dangerous_changes,
    get_introspection_query,
    print_schema,
)
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from schemathesis.generation import GenerationMode
from schemathesis.graphql import nodes

from marefia.graph.schema import schema
from tests.app import make
from tests.app.graph import Graph, id_of

FILE = Path(__file__).resolve().parents[2] / "docs/schema.graphql"
ACCEPTED: set[str] = set()
"""Descriptions of breaking changes that clients were told of, until the commit after them."""
CASES = int(os.environ.get("GRAPHQL_CASES", "200"))


def committed() -> GraphQLSchema:
    """The schema of the commit that SCHEMA_BASE names, or of the one before this one."""
    for commit in (os.environ.get("SCHEMA_BASE", "HEAD^"), "HEAD"):
        command = ["git", "show", f"{commit}:docs/{FILE.name}"]
        shown = subprocess.run(command, cwd=FILE.parent, capture_output=True, text=True, check=False)
        if shown.returncode == 0:
            return build_schema(shown.stdout)
    return build_schema(FILE.read_text())  # which is new


def breaking(old: GraphQLSchema) -> set[str]:
    return {change.description for change in find_breaking_changes(old, build_schema(str(schema)))}


def test_the_committed_schema_is_what_the_code_says(capsys: pytest.CaptureFixture[str]) -> None:
    """`cd app && python manage.py graphql_schema > ../docs/schema.graphql`."""
    call_command("graphql_schema")
    assert capsys.readouterr().out == FILE.read_text()


def test_no_client_of_the_schema_before_is_broken(record_property: Any) -> None:
    old = committed()
    dangerous = [change.description for change in find_dangerous_changes(old, build_schema(str(schema)))]
    record_property("dangerous", dangerous)
    print(*dangerous, sep="\n")
    assert breaking(old) - ACCEPTED == set()


def test_a_field_that_is_gone_would_be_found() -> None:
    old = FILE.read_text().replace(
        "type Host implements Node {", "type Host implements Node {\n  phone: String"
    )
    assert breaking(build_schema(old)) == {"Host.phone was removed."}


@pytest.mark.django_db
def test_introspection_tells_the_same() -> None:
    told = build_client_schema(Graph().data(get_introspection_query()))
    assert print_schema(told).strip() == FILE.read_text().strip()


def fuzzed() -> st.SearchStrategy[Any]:
    """Any query or mutation, right or with one thing wrong."""
    money = st.decimals() | st.integers() | st.floats()
    schemathesis.graphql.scalar("Money", money.map(str).map(nodes.String))
    loaded = schemathesis.graphql.from_file(FILE.read_text())
    operations = [loaded[type_][field] for type_ in ("Query", "Mutation") for field in loaded[type_]]
    modes = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    kinds = [each.as_strategy(generation_mode=mode) for each in operations for mode in modes]
    return st.sampled_from(kinds).flatmap(lambda kind: kind)


@pytest.mark.django_db
@settings(
    max_examples=CASES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(case=fuzzed(), known=st.booleans(), logged_in=st.booleans())
def test_no_query_of_the_schema_is_a_fault_of_ours(case: Any, known: bool, logged_in: bool) -> None:
    guest, place = make.user(), make.listing()
    ids = {"Listing": id_of(place), "Booking": id_of(make.past_stay(guest, place))}
    query = case.body
    if known:  # an id that is one gets further
        for name, argument in (("Listing", "listing"), ("Booking", "booking"), ("Listing", "id")):
            query = query.replace(f'{argument}: ""', f'{argument}: "{ids[name]}"')
    response = Graph(guest if logged_in else None)(query)
    event(f"status {response.status_code}")
    assert response.status_code in {200, 400}, response.content
    assert "Internal error" not in response.content.decode(), (query, response.content)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@pytest.mark.django_db
@settings(max_examples=CASES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.dictionaries(st.sampled_from(["query", "variables", "operationName", "extensions"]), values)
    | values
    | st.fixed_dictionaries(
        {
            "query": st.just(
                "query ($filter: ListingFilter, $first: Int, $after: String, $id: ID = 1)"
                "{listings(filter: $filter, first: $first, after: $after) {edges {cursor}} node(id: $id) {id}}"
            ),
            "variables": st.dictionaries(st.sampled_from(["filter", "first", "after", "id"]), values),
        }
    )
)
def test_no_body_is_a_fault_of_ours(body: Any) -> None:
    response = Graph().send(json.dumps(body).encode())
    assert response.status_code in {200, 400}, response.content
    assert "Internal error" not in response.content.decode(), (body, response.content)
