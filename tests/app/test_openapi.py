"""The schema: committed as it is, never broken, and true of every answer."""

import copy
import io
import math
import os
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
import yaml
from django.core.cache import cache
from django.core.management import call_command
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from marefia.api.schema import document
from marefia.wsgi import application
from tests.app import openapi, rights
from tests.app.api import Api

pytestmark = pytest.mark.django_db
CALLS = int(os.environ.get("OPENAPI_CALLS", "400"))
"""How often the whole API is asked; by hand, OPENAPI_CALLS=50000."""
SCHEMA = document()
LIVE = schemathesis.openapi.from_dict(SCHEMA)
LIVE.app = application
OPERATIONS = {found.ok().label: found.ok() for found in LIVE.get_all_operations() if isinstance(found, Ok)}
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
]


def meet(case: Any, scene: rights.Scene, method: str, template: str, who: str) -> None:
    """Have a case ask for what is there, and a body say more than it would by chance."""
    if case.path_parameters:
        case.path_parameters = {"id": int(scene.path(template).split("/")[4])}
    if isinstance(case.body, dict):
        case.body = scene.body(method, template, who) | case.body


@pytest.fixture
def kept() -> Iterator[None]:
    """The connection with the test's transaction outlives a request, as in Django's own test client."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


def test_the_committed_schema_is_that_of_the_code() -> None:
    assert openapi.FILE.read_text() == openapi.generated(), "write it: python -m tests.app.openapi"


def test_no_client_of_the_committed_schema_is_broken() -> None:
    assert openapi.breaking(yaml.safe_load(openapi.FILE.read_text()), SCHEMA) == []


def test_the_schema_is_valid_and_nothing_in_it_is_a_guess() -> None:
    call_command("spectacular", "--validate", "--fail-on-warn", stdout=io.StringIO())


LISTING, REQUEST, PAGE = "Listing", "ListingRequest", "PaginatedListingList"
FILTERS = ("paths", "/api/v1/listings", "get", "parameters")
POST = ("paths", "/api/v1/listings", "post")


def at(schema: Any, *keys: Any) -> Any:
    for key in keys:
        schema = schema[key]
    return schema


def named(parameters: Any, name: str) -> Any:
    return next(one for one in parameters if one["name"] == name)


def about(schema: Any, name: str) -> Any:
    return at(schema, "components", "schemas", name)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s["paths"].pop("/api/v1/profile"), "PATCH /api/v1/profile is gone"),
        (lambda s: at(s, *POST[:2]).pop("post"), "POST /api/v1/listings is gone"),
        (
            lambda s: at(s, *FILTERS).remove(named(at(s, *FILTERS), "q")),
            "GET /api/v1/listings query q is gone",
        ),
        (
            lambda s: named(at(s, *FILTERS), "q").update(required=True),
            "GET /api/v1/listings query q is required now",
        ),
        (
            lambda s: named(at(s, *FILTERS), "q")["schema"].update(maxLength=9),
            "GET /api/v1/listings query q maxLength is 9 now",
        ),
        (
            lambda s: at(s, *FILTERS).append({"in": "query", "name": "z", "required": True, "schema": {}}),
            "GET /api/v1/listings query z is required now",
        ),
        (
            lambda s: about(s, REQUEST)["required"].append("description"),
            "POST /api/v1/listings body.description is required now",
        ),
        (
            lambda s: about(s, REQUEST)["properties"].pop("description"),
            "POST /api/v1/listings body.description is gone",
        ),
        (
            lambda s: at(about(s, REQUEST), "properties", "capacity").update(minimum=2),
            "POST /api/v1/listings body.capacity minimum is 2 now",
        ),
        (
            lambda s: at(about(s, REQUEST), "properties", "title").update(pattern="^[A-Z]"),
            "POST /api/v1/listings body.title has another pattern",
        ),
        (
            lambda s: about(s, "RoleEnum").update(enum=["guest"]),
            "PATCH /api/v1/profile body.role takes no ['host'] any more",
        ),
        (
            lambda s: at(about(s, REQUEST), "properties", "amenities", "items").update(type="integer"),
            "POST /api/v1/listings body.amenities[] type was string and is integer",
        ),
        (
            lambda s: about(s, LISTING)["properties"].pop("host"),
            "GET /api/v1/listings 200.results[].host is gone",
        ),
        (
            lambda s: about(s, LISTING)["required"].remove("host"),
            "GET /api/v1/listings/{id} 200.host can be left out now",
        ),
        (
            lambda s: at(about(s, LISTING), "properties", "price").update(nullable=True),
            "GET /api/v1/listings/{id} 200.price can be null now",
        ),
        (
            lambda s: at(about(s, LISTING), "properties", "created_at").update(format="date"),
            "GET /api/v1/listings/{id} 200.created_at format was date-time and is date",
        ),
        (
            lambda s: about(s, PAGE)["properties"].pop("next"),
            "GET /api/v1/listings 200.next is gone",
        ),
        (
            lambda s: at(s, *POST, "responses").pop("201"),
            "POST /api/v1/listings answers no 201 any more",
        ),
        (
            lambda s: at(s, *POST, "requestBody", "content").pop("application/json"),
            "POST /api/v1/listings takes no application/json any more",
        ),
    ],
)
def test_what_breaks_a_client_is_named(change: Any, said: str) -> None:
    changed = copy.deepcopy(SCHEMA)
    change(changed)
    assert said in openapi.breaking(SCHEMA, changed)


def test_what_only_adds_breaks_nobody() -> None:
    changed = copy.deepcopy(SCHEMA)
    changed["paths"]["/api/v1/wishes"] = changed["paths"]["/api/v1/profile"]
    at(changed, *FILTERS).append({"in": "query", "name": "rating", "schema": {"type": "integer"}})
    for name in (LISTING, REQUEST):
        about(changed, name)["properties"]["rating"] = {"type": "number"}
    about(changed, LISTING)["required"].append("rating")
    about(changed, "BookingStatusEnum")["enum"].append("paid")
    at(about(changed, REQUEST), "properties", "capacity")["maximum"] = 60
    assert openapi.breaking(SCHEMA, changed) == []


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize("label", OPERATIONS)
def test_no_request_that_the_schema_allows_or_forbids_gets_an_answer_it_does_not_know(label: str) -> None:
    operation, scene = OPERATIONS[label], rights.Scene()
    callers = {who: Api(person).headers for who, person in scene.people.items()} | {"anonymous": {}}
    method, path = label.split()
    template = path.replace("{id}", "{pk}")

    @settings(
        max_examples=math.ceil(CALLS / len(OPERATIONS)),
        derandomize="OPENAPI_CALLS" not in os.environ,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def ask(data: Any) -> None:
        mode = data.draw(st.sampled_from(GenerationMode))
        case = data.draw(operation.as_strategy(generation_mode=mode))
        who = data.draw(st.sampled_from(sorted(callers)))
        cache.clear()
        with transaction.atomic():
            if met := data.draw(st.booleans()):
                meet(case, scene, method, template, who)
            strict = not met and all((case.query or {}).values())  # what is said empty is not said
            case.call_and_validate(headers=callers[who], checks=CHECKS[: None if strict else -1])
            transaction.set_rollback(True)

    ask()
