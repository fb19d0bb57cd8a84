"""What the service's ways in cost, side by side: REST, DRF, Django; GraphQL; webhooks; an export of a million rows."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import http.client
import json
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit
from urllib.request import urlopen

from tests.bench.compare import Comparison, Target, compare
from tests.bench.servers import REPOSITORY, environment, gunicorn, prepare
from tests.rollout.processes import tree

LISTINGS = "/api/v1/listings"
GRAPH = (
    "{listings(first: 20) {edges {node {id title place description price capacity "
    "amenities {name} host {name} nightsBooked createdAt}} pageInfo {endCursor hasNextPage}}}"
)
WEBHOOKS, AT_ONCE = 3000, 8
FEW, MANY = 10_000, 1_000_000


@dataclass(frozen=True)
class Export:
    """Rows, seconds, megabytes sent, and by how many megabytes the web grew."""

    rows: int
    seconds: float
    sent: float
    grown: float


@contextlib.contextmanager
def served(folder: Path) -> Iterator[tuple[str, int, dict[str, str]]]:
    """The service with demo data."""
    given = environment(folder)
    prepare(given)
    with gunicorn("marefia.wsgi", given) as (url, pid):
        yield url, pid, given


def comparisons() -> dict[str, Comparison]:
    """The list of listings against what could serve it with less."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        with served(folder / "real") as (url, pid, _):
            rest = Target(f"{url}{LISTINGS}", pid)
            with urlopen(rest.url, timeout=10) as response:
                (folder / "body").write_bytes(response.read())
            told = {"BARE_BODY": str(folder / "body"), "PYTHONPATH": str(REPOSITORY)}
            with gunicorn("tests.bench.bare", environment(folder / "bare") | told) as (bare, bare_pid):
                return {
                    "a bare Django view": compare(rest, Target(f"{bare}{LISTINGS}", bare_pid)),
                    "a bare DRF view": compare(rest, Target(f"{bare}/drf", bare_pid)),
                    "GraphQL, the same fields": compare(
                        rest, Target(f"{url}/graphql?query={quote(GRAPH)}", pid)
                    ),
                }


def webhooks() -> dict[str, float]:
    """Deliveries a second of events that are new, and of the same ones again."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name, served(Path(name) / "real") as (url, _, given):
        secret = given["SECRET_KEY"].encode()
        key = hmac.new(secret, b"sandbox webhook", hashlib.sha256).hexdigest()[:32]
        bodies = [
            json.dumps({
                "event": "charge.success", "tx_ref": f"nobody-{number}", "reference": "AP", "status": "success",
                "amount": "1.00", "charge": "0.10", "currency": "ETB", "mode": "test",
            }).encode()
            for number in range(WEBHOOKS)
        ]  # fmt: skip
        signed = [(body, hmac.new(key.encode(), body, hashlib.sha256).hexdigest()) for body in bodies]
        return {kind: WEBHOOKS / deliver(url, signed) for kind in ("new", "again")}


def deliver(url: str, signed: list[tuple[bytes, str]]) -> float:
    """The seconds in which all are accepted, over some connections at once."""

    def send(part: list[tuple[bytes, str]]) -> None:
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
        for body, signature in part:
            connection.request("POST", "/payments/webhook", body, {"x-chapa-signature": signature})
            response = connection.getresponse()
            response.read()
            if response.status != http.HTTPStatus.OK:
                raise RuntimeError(f"a webhook was answered {response.status}")
        connection.close()

    threads = [threading.Thread(target=send, args=(signed[number::AT_ONCE],)) for number in range(AT_ONCE)]
    begin = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.monotonic() - begin


def exports() -> list[Export]:
    """The account of few and of many payments."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as name,
        served(Path(name) / "real") as (url, pid, given),
    ):
        session = log_in(url)
        found, rows = [], 0
        for wanted in (FEW, MANY):
            pay(Path(given["DATA_DIR"]) / "marefia.sqlite3", rows, wanted)
            rows = wanted
            before, begin = resident(pid), time.monotonic()
            sent = read(url, session)
            found.append(Export(rows, time.monotonic() - begin, sent / 2**20, resident(pid) - before))
        return found


def pay(file: Path, rows: int, wanted: int) -> None:
    """Fill the table: what it holds is of no account here."""
    with contextlib.closing(sqlite3.connect(file)) as connection, connection:
        (booking,) = connection.execute("SELECT id FROM stays_booking LIMIT 1").fetchone()
        connection.executemany(
            "INSERT INTO payments_payment (booking_id, tx_ref, amount, state, created_at) VALUES (?, ?, 1, 'paid', ?)",
            ((booking, f"ref-{number}", "2026-01-01 00:00:00") for number in range(rows, wanted)),
        )


def log_in(url: str) -> str:
    """The cookie of a member of the staff."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    connection.request("GET", "/admin/login/")
    page = connection.getresponse()
    page.read()
    csrf = page.headers["Set-Cookie"].partition(";")[0]
    form = f"username=admin%40example.org&password=marefia-demo&csrfmiddlewaretoken={csrf.partition('=')[2]}"
    headers = {"Cookie": csrf, "Content-Type": "application/x-www-form-urlencoded"}
    connection.request("POST", "/admin/login/?next=/livez", form, headers)
    answer = connection.getresponse()
    cookies = [each.partition(";")[0] for each in answer.headers.get_all("Set-Cookie", [])]
    connection.close()
    return next(each for each in cookies if each.startswith("sessionid="))


def read(url: str, session: str) -> int:
    """The bytes of the whole file."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=600)
    connection.request("GET", "/payments/export.csv", headers={"Cookie": session})
    response, size = connection.getresponse(), 0
    if response.status != http.HTTPStatus.OK:
        raise RuntimeError(f"the export was answered {response.status}")
    while piece := response.read(1 << 20):
        size += len(piece)
    connection.close()
    return size


def resident(pid: int) -> float:
    """Megabytes that the processes of a tree ever took at most."""
    kilobytes = 0
    for process in tree(pid):
        status = Path(f"/proc/{process.pid}/status").read_text()
        kilobytes += int(status.partition("VmHWM:")[2].split()[0])
    return kilobytes / 1024


def section() -> str:
    """The section on the ways in."""
    compared = comparisons()
    rest = next(iter(compared.values()))
    rows = [f"| `GET {LISTINGS}` | {rest.first} | | |"] + [
        f"| {name} | {each.second} | {-each.difference.mean:+.2f} ± {each.difference.half:.2f} "
        f"| {each.second.mean / each.first.mean:.2f} |"
        for name, each in compared.items()
    ]
    speeds, (few, many) = webhooks(), exports()
    return f"""\
Each against the list of listings, {rest.pairs} interleaved pairs of {rest.requests} requests over one kept connection;
CPU of the whole gunicorn tree, means with their 95 % intervals.

| | CPU ms a request | difference, by pairs | times |
|---|---:|---:|---:|
{chr(10).join(rows)}

Webhooks, {AT_ONCE} connections, each event stored with its bytes and its work put into the outbox before the
answer (SQLite, synced): {speeds["new"]:.0f} a second; delivered again: {speeds["again"]:.0f} a second.

| export | seconds | rows a second | MB sent | MB that the web grew by |
|---|---:|---:|---:|---:|
| {few.rows:,} payments | {few.seconds:.1f} | {few.rows / few.seconds:,.0f} | {few.sent:.1f} | {few.grown:.1f} |
| {many.rows:,} payments | {many.seconds:.1f} | {many.rows / many.seconds:,.0f} | {many.sent:.1f} | {many.grown:.1f} |
"""
