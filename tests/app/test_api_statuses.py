"""Every status that the schema documents can happen, to every operation that it stands with."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.core.cache import cache
from django.db import OperationalError, transaction
from django.test import Client
from rest_framework.views import APIView

from marefia.accounts.models import User
from marefia.api.models import IdempotencyKey
from marefia.api.schema import document
from marefia.api.throttles import Throttle
from marefia.stays import bookings
from tests.app import rights
from tests.app.api import Api

pytestmark = pytest.mark.django_db
SCHEMA = document()
OPERATIONS = {
    f"{method.upper()} {path.replace('{id}', '{pk}')}": list(operation["responses"])
    for path, methods in SCHEMA["paths"].items()
    for method, operation in methods.items()
}
KEY = {"Idempotency-Key": "7a1c"}


class Caller:
    """Whoever may do a deed, and what it sends to do it."""

    def __init__(self, scene: rights.Scene, deed: str, patch: pytest.MonkeyPatch) -> None:
        self.scene, self.deed, self.patch = scene, deed, patch
        self.method, self.template = deed.split()
        row = rights.REST[deed]
        self.who = next(who for who in ("guest", "owner", "host") if row[who].startswith("2"))
        self.user: User = scene.people[self.who]
        self.path = scene.path(self.template)
        self.body = scene.body(self.method, self.template, self.who)
        self.login = Api(self.user).headers

    def __call__(
        self, body: Any = None, path: str = "", kind: str = "application/json", **headers: str
    ) -> Any:
        sent = body if isinstance(body, bytes) else json.dumps(self.body if body is None else body)
        client = Client(raise_request_exception=False)
        said = self.login | KEY | {name.replace("_", "-"): text for name, text in headers.items()}
        return client.generic(self.method, path or self.path, sent, content_type=kind, headers=said)

    def done(self) -> Any:
        return self(Idempotency_Key="another")

    def with_a_known_reference(self) -> Any:
        self.body["reference"] = "0b9e8f5e-53f5-4d4b-9d0a-0a4f5a3f4c11"
        self(Idempotency_Key="one")
        return self(Idempotency_Key="two")

    def twice(self) -> Any:
        self()
        return self()

    def wrong(self) -> Any:
        return self([1]) if self.method != "GET" else self(path=f"{self.path}?page_size=0")

    def unknown(self) -> Any:
        return self(Authorization="Token unknown")

    def without_csrf(self) -> Any:
        client = Client(enforce_csrf_checks=True)
        client.force_login(self.user)
        return client.generic(self.method, self.path, json.dumps(self.body), content_type="application/json")

    def elsewhere(self) -> Any:
        return self(path=self.template.replace("{pk}", "0"))

    def conflict(self) -> Any:
        """What is booked, over or offered; else a key in flight."""
        scene = self.scene
        if self.method == "DELETE":
            return self(path=self.template.replace("{pk}", str(scene.booked.pk)))
        if "profile" in self.path:
            self.login = Api(scene.host).headers
            return self({"role": "guest"})
        if self.template.endswith("/payments"):
            bookings.cancel(scene.booking)
            return self()
        if self.method == "PATCH":
            return self(path=self.template.replace("{pk}", str(scene.stay.pk)))
        self()
        IdempotencyKey.objects.update(status=None)
        return self()

    def another_body(self) -> Any:
        self()
        return self(self.body | {"more": 1})

    def too_often(self) -> Any:
        self.patch.setattr(Throttle, "THROTTLE_RATES", dict.fromkeys(Throttle.THROTTLE_RATES, "0/min"))
        return self()

    def away(self) -> Any:
        def fail(*_: Any) -> None:
            raise OperationalError("away")

        self.patch.setattr(APIView, "check_permissions", fail)
        return self()


WAYS: dict[str, Callable[[Caller], Any]] = {
    "200": Caller.done,
    "201": Caller.done,
    "204": Caller.done,
    "400": Caller.wrong,
    "401": Caller.unknown,
    "403": Caller.without_csrf,
    "404": Caller.elsewhere,
    "406": lambda call: call(Accept="text/html"),
    "409": Caller.conflict,
    "413": lambda call: call(b'"' + b"x" * 2_700_000 + b'"'),
    "415": lambda call: call(kind="text/plain"),
    "422": Caller.another_body,
    "429": Caller.too_often,
    "503": Caller.away,
}


AGAIN: dict[str, Callable[[Caller], Any]] = {
    "POST /api/v1/bookings": Caller.with_a_known_reference,
    "POST /api/v1/bookings/{pk}/payments": Caller.twice,
}


@pytest.mark.parametrize("deed", OPERATIONS)
def test_each_documented_status_can_happen(deed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = rights.Scene()
    for status in OPERATIONS[deed]:
        cache.clear()
        way = AGAIN.get(deed, WAYS[status]) if status == "200" else WAYS[status]
        with monkeypatch.context() as patch, transaction.atomic():
            response = way(Caller(scene, deed, patch))
            assert str(response.status_code) == status, response.content
            assert ("problem+json" in response.headers.get("Content-Type", "")) == (status >= "4")
            transaction.set_rollback(True)


def test_what_is_documented_is_what_the_rights_say() -> None:
    """The other direction, beside what schemathesis tries."""
    for deed, codes in OPERATIONS.items():
        assert {code for code in rights.REST[deed].values() if code != "401"} <= set(codes), deed
