"""The service as real processes: web, worker and scheduler, ended in every way a process ends."""

import http.client
import json
import os
import re
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.app.service import Service, Web, wait_for
from tests.rollout.processes import alive


def test_a_web_that_stops_answers_idle_connections_and_leaves_the_socket_to_the_next(
    service: Service, listener: socket.socket
) -> None:
    first = Web(service, listener)
    assert first.get("/readyz")[0] == 200
    idle = http.client.HTTPConnection("127.0.0.1", first.port, timeout=40)
    assert first.get("/livez", idle)[0] == 200
    first.process.terminate()
    time.sleep(0.5)  # a client that thinks between two requests, as the keep-alive of two seconds allows
    assert first.get("/readyz", idle) == (503, "draining\n")
    idle.close()
    assert first.process.wait(10) == 0
    waiting = http.client.HTTPConnection("127.0.0.1", first.port, timeout=40)
    waiting.request("GET", "/version")  # nobody runs: the request waits in the socket
    Web(service, listener)
    assert json.loads(waiting.getresponse().read())["version"] == "20260101-abc"
    waiting.close()


def test_workers_that_boot_while_their_master_is_killed_take_no_connection(
    service: Service, listener: socket.socket
) -> None:
    """They would keep it for `graceful_timeout`, announce keep-alive all the time, and then drop it."""
    web = Web(service, listener)
    workers = wait_for(
        lambda: (
            len(found := re.findall(r"Booting worker with pid: (\d+)", service.log(web.process))) == 2
            and found
        )
    )
    web.process.kill()
    web.process.wait()
    waiting = http.client.HTTPConnection("127.0.0.1", web.port, timeout=40)
    waiting.request("GET", "/version")
    wait_for(lambda: not any(alive(int(pid)) for pid in workers))
    assert not select.select([waiting.sock], [], [], 0)[0], "an orphan has answered or dropped it"
    Web(service, listener)
    assert waiting.getresponse().status == 200
    waiting.close()


def test_a_web_whose_log_has_no_reader_any_more_answers(service: Service, listener: socket.socket) -> None:
    """As workers whose master was killed: the service manager closes the pipe before they have ended."""
    deaf = "ends = os.pipe(); os.dup2(ends[1], 1); os.dup2(ends[1], 2); os.close(ends[0])"
    web = Web(service, listener, before=deaf)
    assert [web.get(path)[0] for path in ("/version", "/api/v1/listings", "/api/nothing")] == [200, 200, 404]


def test_the_web_serves_hashed_files_for_good_and_plain_ones_for_a_minute(
    service: Service, listener: socket.socket
) -> None:
    service.manage("collectstatic", "--noinput")
    web = Web(service, listener)
    hashed = re.search(r"/static/marefia/site\.[0-9a-f]{12}\.css", web.get("/")[1])
    assert hashed
    for path, age in (
        (hashed[0], "max-age=315360000, public, immutable"),
        ("/static/marefia/site.css", "max-age=60"),
    ):
        connection = http.client.HTTPConnection("127.0.0.1", web.port, timeout=40)
        connection.request("GET", path)
        response = connection.getresponse()
        assert response.read()
        assert age in str(response.headers["Cache-Control"])
        connection.close()


def test_metrics_are_summed_over_the_web_workers(service: Service, listener: socket.socket) -> None:
    web = Web(service, listener)
    for _ in range(30):
        web.get("/version")
    (Path(service.env["RUN_DIR"]) / "prometheus/counter_1.db").touch()  # as of a worker that boots just now
    status, page = web.get("/metrics")
    assert status == 200
    counted = re.search(r'marefia_requests_total\{.*view="version".*\} (\S+)', page)
    assert counted, page
    assert float(counted[1]) == 30
    os.kill(web.process.pid, signal.SIGTERM)
    assert web.process.wait(10) == 0
    assert "Traceback" not in service.log(web.process)
    for line in service.log(web.process).splitlines():
        json.loads(line)


def put_rows(service: Service, count: int, handler: str = "stays.count_nights") -> None:
    """Put work into the outbox without any message, as when a broker lost it."""
    payload = json.dumps({"listing": 1, "nights": 1, "to": "a@example.org", "subject": "s", "body": "b"})
    for _ in range(count):
        service.sql(
            "INSERT INTO outbox_outboxrow (handler, payload, sent_at) VALUES (%s, %s, '2020-01-01')",
            handler,
            payload,
        )


def put_listing(service: Service) -> None:
    """Add listing 1."""
    service.sql(
        "INSERT INTO accounts_user (id, password, email, first_name, last_name, is_superuser, is_staff, is_active,"
        " date_joined) VALUES (1, '', 'host@example.org', '', '', FALSE, FALSE, TRUE, '2020-01-01')"
    )
    service.sql(
        "INSERT INTO stays_listing (id, host_id, title, place, price, capacity) VALUES (1, 1, 'House', 'Axum', 5, 2)"
    )


def pending(service: Service) -> int:
    return int(service.sql("SELECT count(*) FROM outbox_outboxrow WHERE status != 'done'")[0][0])


def fewer_pending(service: Service, than: int) -> bool:
    return pending(service) < than


@pytest.mark.verify
def test_work_whose_message_was_lost_is_done_once_though_workers_are_killed(service: Service) -> None:
    put_listing(service)
    put_rows(service, 150)
    put_rows(service, 3, "outbox.mail")
    service.scheduler()
    for _ in range(2):
        worker = service.worker()
        before = pending(service)
        wait_for(partial(fewer_pending, service, before - 10))
        worker.kill()
    # What a killed worker held becomes free when its claim expires: let that be now.
    service.sql(
        "UPDATE outbox_outboxrow SET claimed_until = '2020-01-01', sent_at = '2020-01-01' WHERE status='pending'"
    )
    last = service.worker()
    wait_for(lambda: pending(service) == 0, 30)
    assert service.sql("SELECT nights_booked FROM stays_listing") == [(150,)]
    mails = list((service.data / "mail").iterdir())
    ids = re.findall(r"^Message-ID: (\S+)", "".join(mail.read_text() for mail in mails), re.M)
    assert len(set(ids)) == 3
    last.terminate()
    assert last.wait(15) == 0


@pytest.mark.verify
def test_a_worker_that_stops_finishes_what_it_has_begun(service: Service) -> None:
    ready = service.folder / "ready"
    worker = service.python(
        "import os, time; from pathlib import Path; from marefia.celery import app\n"
        "from marefia.outbox.registry import errand\n"
        f"errand('slow')(lambda row: (Path({str(ready)!r}).touch(), time.sleep(2)))\n"
        "app.worker_main(['worker', '--pool', 'threads', '--concurrency', '1'])"
    )
    put_rows(service, 9, "slow")
    service.scheduler()
    wait_for(ready.exists, 30)
    worker.terminate()
    assert worker.wait(20) == 0
    begun, done = service.sql(
        "SELECT sum(attempts), count(CASE WHEN status = 'done' THEN 1 END) FROM outbox_outboxrow"
    )[0]
    assert begun == done
    assert 1 <= done < 9


# -- the scheduler's lease


def holder(service: Service) -> str:
    """Return the pid of the scheduler that holds the lease now, or nothing."""
    rows = service.sql("SELECT holder FROM ops_lease WHERE expires_at > CURRENT_TIMESTAMP AND holder <> ''")
    return str(rows[0][0]).split(":")[1] if rows else ""


def runs(service: Service) -> int:
    return int((service.sql("SELECT runs FROM ops_scheduledrun WHERE name='outbox-sweep'") or [(0,)])[0][0])


def acts(service: Service, process: subprocess.Popen[bytes]) -> int:
    return service.log(process).count('"event": "scheduled"')


@pytest.fixture
def two(service: Service) -> tuple[Service, subprocess.Popen[bytes], subprocess.Popen[bytes]]:
    """Two schedulers on one database, the first of which holds the lease."""
    first = service.scheduler()
    wait_for(lambda: holder(service) == str(first.pid))
    return service, first, service.scheduler()


def expire(service: Service) -> None:
    """Let the ten seconds pass."""
    service.sql("UPDATE ops_lease SET expires_at = '2020-01-01 00:00:00'")


def test_a_scheduler_that_stops_hands_over_within_two_seconds(two: Any) -> None:
    service, first, second = two
    first.terminate()
    assert first.wait(5) == 0
    wait_for(lambda: holder(service) == str(second.pid), 2)


def test_a_killed_scheduler_is_followed_only_when_its_lease_has_expired(two: Any) -> None:
    service, first, second = two
    first.kill()
    first.wait()
    time.sleep(1.5)  # longer than a scheduler waits between two looks
    assert holder(service) == str(first.pid)
    assert acts(service, second) == 0
    expire(service)
    wait_for(lambda: holder(service) == str(second.pid), 3)
    wait_for(lambda: acts(service, second) == 1)


def test_a_scheduler_that_was_asleep_does_not_act_on_a_lease_that_another_took(two: Any) -> None:
    service, first, second = two
    wait_for(lambda: acts(service, first) >= 1)
    first.send_signal(signal.SIGSTOP)
    expire(service)
    wait_for(lambda: holder(service) == str(second.pid), 3)
    wait_for(lambda: acts(service, second) >= 1)
    asleep = acts(service, first)
    first.send_signal(signal.SIGCONT)  # a run is overdue by its own clock
    wait_for(lambda: "scheduler_lease_lost" in service.log(first), 5)
    assert acts(service, first) == asleep
    assert holder(service) == str(second.pid)
    assert runs(service) == asleep + acts(service, second)


@pytest.mark.verify
def test_without_the_check_the_sleeper_acts(service: Service, new_service: Callable[[], Service]) -> None:
    """The negative control: a scheduler that trusts what it remembers acts beside the holder."""
    trusting = (
        "from marefia.ops import scheduler as s; from marefia.ops.models import Lease; from marefia.celery import app\n"
        "s.LeasedScheduler._mine = lambda self: Lease.objects.filter(name=s.LEASE)\n"
        "from celery.apps.beat import Beat; Beat(app=app, scheduler='marefia.ops.scheduler:LeasedScheduler').run()"
    )
    first = service.python(trusting)
    wait_for(lambda: acts(service, first) >= 1)
    first.send_signal(signal.SIGSTOP)
    expire(service)
    second = service.scheduler()
    wait_for(lambda: holder(service) == str(second.pid), 3)
    asleep = acts(service, first)
    first.send_signal(signal.SIGCONT)
    wait_for(lambda: acts(service, first) > asleep)
