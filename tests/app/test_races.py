"""Everybody at once, over HTTP, against two worker processes."""

from __future__ import annotations

import datetime
import http.client
import json
import socket
import threading
import uuid
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tests.app.service import Service, Web, wait_for

pytestmark = pytest.mark.verify
ATTEMPTS = 200
GUESTS = """
from knox.models import AuthToken
from marefia.accounts.models import Role, User
from marefia.stays.models import Listing
host = User.objects.create_user("host@example.org", role=Role.HOST)
print(Listing.objects.create(host=host, title="House", place="Gondar", price=500, capacity=4).pk)
for number in range(%d):
    print(AuthToken.objects.create(user=User.objects.create_user(f"guest{number}@example.org"))[1])
"""


def at_once(acts: list[Callable[[], Any]]) -> list[Any]:
    """Do all of it at the same moment; return what each returned."""
    answers: list[Any] = [None] * len(acts)
    start = threading.Barrier(len(acts))

    def act(number: int) -> None:
        start.wait()
        answers[number] = acts[number]()

    threads = [threading.Thread(target=act, args=(number,)) for number in range(len(acts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def posted(port: int, path: str, body: str, **headers: str) -> tuple[int, str]:
    """Send a body; return status and answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    told = {"Content-Type": "application/json"} | headers
    connection.request("POST", path, body.encode(), told)
    response = connection.getresponse()
    answer = response.status, response.read().decode()
    connection.close()
    return answer


def test_of_two_hundred_who_want_the_same_night_one_gets_it(
    service: Service, listener: socket.socket
) -> None:
    made = service.python(GUESTS % ATTEMPTS)
    assert made.wait() == 0, service.log(made)
    listing, *tokens = service.log(made).split()
    web = Web(service, listener, WEB_WORKERS="2")
    wait_for(lambda: web.get("/readyz")[0] == 200)
    night = datetime.date.today() + datetime.timedelta(days=40)  # noqa: DTZ011

    def attempt(number: int) -> Callable[[], tuple[int, str]]:
        wish = {
            "listing": int(listing),
            "check_in": str(night - datetime.timedelta(days=number % 7)),
            "check_out": str(night + datetime.timedelta(days=1 + number % 5)),
            "guests": 2,
            "reference": str(uuid.uuid4()),
        }
        return lambda: posted(
            web.port, "/api/v1/bookings", json.dumps(wish), Authorization=f"Token {tokens[number]}"
        )

    answers = at_once([attempt(number) for number in range(ATTEMPTS)])
    assert Counter(status for status, _ in answers) == {201: 1, 409: ATTEMPTS - 1}
    assert service.sql("SELECT count(*) FROM stays_booking") == [(1,)]
