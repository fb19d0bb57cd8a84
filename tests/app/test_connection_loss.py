"""PostgreSQL and Redis go away and come back: what clients see meanwhile, and how soon it is over."""

from __future__ import annotations

import datetime
import http.client
import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest

from marefia.stays.bookings import today
from tests.app import servers
from tests.app.service import Service, Web, wait_for

pytestmark = pytest.mark.verify
BACK_SECONDS = 5.0  # until all is well again
MOMENT = 1.0  # what a broker that is away may cost a request
LISTINGS = "/api/v1/listings"
UNCHECKED = """
from marefia.settings import *
DATABASES["default"]["CONN_HEALTH_CHECKS"] = False
"""


@pytest.fixture(scope="module")
def database() -> Iterator[tuple[servers.Server, str]]:
    with servers.postgresql() as made:
        yield made


@pytest.fixture(scope="module")
def cache() -> Iterator[tuple[servers.Server, str]]:
    with servers.redis() as made:
        yield made


@pytest.fixture
def service(
    database: tuple[servers.Server, str],
    cache: tuple[servers.Server, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Service]:
    """A service on both, with the demo's rows."""
    monkeypatch.setenv("TEST_DATABASE_URL", database[1])
    made = Service(tmp_path).with_database()
    made.env |= {"BROKER_URL": cache[1], "BROKER_PASSWORD": servers.PASSWORD}
    for command in ("migrate", "demo"):
        made.manage(command)
    yield made
    database[0].do("start")  # where a test has failed half-way
    wait_for(lambda: servers.answers(database[1]))
    made.stop()


class Answer(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: Any
    seconds: float


def ask(web: Web, method: str, path: str, body: object = None, token: str = "") -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", web.port, timeout=30)
    begin = time.monotonic()
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Token {token}"} if token else {})
    connection.request(method, path, json.dumps(body) if body else None, headers)
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    parsed = json.loads(text) if "json" in response.headers.get("Content-Type", "") else text
    return Answer(response.status, response.headers, parsed, time.monotonic() - begin)


def statuses(web: Web, path: str = LISTINGS) -> set[int]:
    """Of many requests at once, which reach every thread of every web worker."""
    with ThreadPoolExecutor(16) as pool:
        return set(pool.map(lambda _: ask(web, "GET", path).status, range(48)))


def of_each_worker(web: Web, path: str) -> set[int]:
    """The status that every web worker answers with, asked while the others are held."""
    children = Path(f"/proc/{web.process.pid}/task/{web.process.pid}/children")
    workers = {int(pid) for pid in children.read_text().split()}
    answers = set()
    for worker in workers:
        others = workers - {worker}
        for other in others:
            os.kill(other, signal.SIGSTOP)
        answers.add(ask(web, "GET", path).status)
        for other in others:
            os.kill(other, signal.SIGCONT)
    assert len(workers) > 1
    return answers


class Guest:
    """Who books a night more each time."""

    def __init__(self, web: Web) -> None:
        self.web = web
        login = {"email": "guest8@example.org", "password": "marefia-demo"}  # pragma: allowlist secret
        self.token = ask(web, "POST", "/api/v1/tokens", login).body["token"]
        self.places = [each["id"] for each in ask(web, "GET", LISTINGS).body["results"]]
        self.day = today() + datetime.timedelta(days=300)

    def books(self) -> Answer:
        check_in, self.day = self.day, self.day + datetime.timedelta(days=1)
        wish = {
            "listing": self.places[0],
            "check_in": str(check_in),
            "check_out": str(self.day),
            "guests": 1,
        }
        return ask(self.web, "POST", "/api/v1/bookings", wish, self.token)


def pending(service: Service) -> int:
    return int(service.sql("SELECT count(*) FROM outbox_outboxrow WHERE status <> 'done'")[0][0])


def test_while_postgresql_is_away_requests_are_told_to_come_back_and_the_instance_stays_in(
    service: Service, listener: socket.socket, database: tuple[servers.Server, str]
) -> None:
    web = Web(service, listener)
    assert statuses(web) == of_each_worker(web, "/readyz") == {200}
    database[0].do("stop")
    answer = ask(web, "GET", LISTINGS)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    assert statuses(web) == {503}
    assert of_each_worker(web, "/readyz") == {200}
    database[0].do("start")
    wait_for(lambda: servers.answers(database[1]))
    wait_for(lambda: ask(web, "GET", LISTINGS).status == 200, BACK_SECONDS)
    assert statuses(web) == {200}


def test_after_a_restart_of_postgresql_no_request_meets_a_connection_from_before(
    service: Service, listener: socket.socket, database: tuple[servers.Server, str]
) -> None:
    web = Web(service, listener)
    assert statuses(web) == {200}
    database[0].do("restart")
    wait_for(lambda: servers.answers(database[1]))
    assert statuses(web) == {200}


def test_without_the_check_of_connections_a_request_meets_one_from_before(
    service: Service, listener: socket.socket, database: tuple[servers.Server, str]
) -> None:
    """The negative control."""
    (service.folder / "unchecked.py").write_text(UNCHECKED)
    service.env |= {"PYTHONPATH": str(service.folder)}
    web = Web(service, listener, DJANGO_SETTINGS_MODULE="unchecked")
    assert statuses(web) == {200}
    database[0].do("restart")
    wait_for(lambda: servers.answers(database[1]))
    assert 503 in statuses(web)


def test_worker_and_scheduler_go_on_by_themselves_when_postgresql_is_back(
    service: Service, database: tuple[servers.Server, str]
) -> None:
    worker, scheduler = service.worker(), service.scheduler()
    wait_for(lambda: "scheduler_lease_taken" in service.log(scheduler), 30)
    wait_for(lambda: pending(service) == 0, 30)
    database[0].do("stop")
    wait_for(lambda: "scheduler_database_away" in service.log(scheduler))
    time.sleep(BACK_SECONDS)  # so that a run is overdue
    database[0].do("start")
    wait_for(lambda: servers.answers(database[1]))
    service.sql(
        "UPDATE outbox_outboxrow SET status = 'pending', sent_at = '2020-01-01', claim = NULL WHERE id = 1"
    )
    wait_for(lambda: pending(service) == 0, BACK_SECONDS)
    assert service.log(scheduler).count("scheduler_lease_taken") == 1
    assert [worker.poll(), scheduler.poll()] == [None, None]


def test_a_scheduler_that_is_stopped_in_the_middle_of_a_query_frees_its_lease(
    service: Service,
) -> None:
    """Its signal's handler must not wait for the connection that it has interrupted."""
    scheduler = service.scheduler()
    wait_for(lambda: service.sql("SELECT 1 FROM ops_lease WHERE holder <> ''"))
    with psycopg.connect(service.database.url) as other:
        other.execute("LOCK TABLE ops_lease")
        blocked = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE %s"
        wait_for(lambda: service.sql(blocked, "%ops_lease%"))
        scheduler.terminate()
        time.sleep(0.5)  # a handler that waits would have begun to by now
    assert scheduler.wait(5) == 0
    assert service.sql("SELECT expires_at <= now() FROM ops_lease") == [(True,)]


@pytest.mark.parametrize(("gone", "back"), [("stop", "start"), ("pause", "unpause")])
def test_while_redis_is_away_or_hangs_booking_goes_on_and_the_work_is_done_when_it_is_back(
    gone: str, back: str, service: Service, listener: socket.socket, cache: tuple[servers.Server, str]
) -> None:
    web = Web(service, listener)
    worker, scheduler = service.worker(), service.scheduler()
    guest = Guest(web)
    assert guest.books().status == 201
    wait_for(lambda: pending(service) == 0, 30)
    cache[0].do(gone)
    answers = [guest.books() for _ in range(12)]
    time.sleep(2 * BACK_SECONDS)  # the longer it was away the longer others wait before they try again
    cache[0].do(back)
    wait_for(lambda: servers.says_pong(cache[0].port))
    since = time.monotonic()
    assert {answer.status for answer in answers} == {201}
    assert sorted(answer.seconds for answer in answers)[-4] < MOMENT / 2
    assert max(answer.seconds for answer in answers) < 2 * MOMENT
    last = guest.books().body["reference"]
    wait_for(
        lambda: service.sql(
            "SELECT 1 FROM outbox_outboxrow WHERE status = 'done' AND payload ->> 'body' LIKE %s", f"%{last}%"
        ),
        BACK_SECONDS - (time.monotonic() - since),
    )
    wait_for(lambda: pending(service) == 0, 30)
    logs = service.log(web.process) + service.log(worker) + service.log(scheduler)
    assert servers.PASSWORD not in logs
    assert [worker.poll(), scheduler.poll()] == [None, None]
