"""A steady load of reads and writes that never retries, to prove what a rollout loses: nothing.

As a library, `with Load(...) as load: with load.window("deploy"): ...` and then `load.report`; as a program,
`python -m tests.rollout.load --help`. Clients keep their connections over gaps of 0.2 to 1.5 s and send on
them without a look: what the server dropped without having said `Connection: close` is lost. Every write
carries an id and is looked up at the end. One load at a time on a machine: two measure each other.
"""

import argparse
import asyncio
import fcntl
import importlib
import json
import os
import random
import re
import ssl
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self
from urllib.parse import urlsplit

from tests.rollout.report import STEADY, Record, Report, Window
from tests.rollout.wire import Connection, LostError, Request, Response, fetch

LOCK = Path(tempfile.gettempdir()) / "rollout-load.lock"
GAPS = (0.2, 1.5)
OVERSLEPT = 0.25
"""A client whose gap grew by more than this (a starved machine) closes its connection itself, and says so:
the server owes nobody an idle connection for longer than the load's own gaps."""


Ask = Callable[..., Any]
"""`Load.ask`."""


class Traffic(Protocol):
    """What a service is asked. Methods may be called for different clients at the same time."""

    def prepare(self, ask: Ask, clients: int) -> None:
        """Log in, choose what to write to. Raises when the service cannot be loaded."""

    def reads(self, client: int) -> Sequence[Request]:
        """The reads that this client chooses from."""

    def write(self, client: int, key: str) -> Request:
        """A write that stores the id `key`."""

    def lookup(self, client: int, key: str) -> Request:
        """The read that finds what was stored under `key`."""

    def stored(self, response: Response) -> int:
        """How often a looked-up response shows its id."""


@contextmanager
def machine_wide_lock(path: Path | None = None) -> Iterator[None]:
    """Hold the machine's only permission to measure. Waits for others; raises RuntimeError for itself."""
    path = path or LOCK
    old = os.umask(0)
    try:
        descriptor = os.open(path, os.O_RDWR if path.exists() else os.O_RDWR | os.O_CREAT, 0o666)
    finally:
        os.umask(old)
    with os.fdopen(descriptor, "r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = file.read().strip()
            if holder.startswith(f"process {os.getpid()} "):
                raise RuntimeError("this process measures already: it would wait for itself") from None
            print(f"waiting for another load run: {holder}", file=sys.stderr)
            fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        file.truncate()
        print(f"process {os.getpid()} since {time.strftime('%H:%M:%S')}", file=file, flush=True)
        yield


@dataclass
class Load:
    """Clients in a thread of their own. Bounded: `most_seconds` and `most_requests` end it by force."""

    url: str
    traffic: Traffic
    clients: int = 8
    seed: int = 1
    writes: float = 0.3
    timeout: float = 15.0
    most_seconds: float = 5400.0
    most_requests: int = 100_000
    records: list[Record] = field(default_factory=list)
    windows: list[Window] = field(default_factory=list)
    expired: int = 0
    authority: Path | None = None
    """Whose certificates an https:// URL has to show."""
    at: Sequence[str] = ()
    """Where the URL's host is, when no name server knows it: clients come to these addresses in turn."""
    is_reported: bool = True
    """A control, which has to lose requests, is not."""
    report: Report = field(init=False)

    def __post_init__(self) -> None:
        address = urlsplit(self.url)
        if address.hostname is None or address.port is None:
            raise ValueError(f"{self.url} names no host and port")
        self._host, self._port = address.hostname, address.port
        self._tls = ssl.create_default_context(cafile=self.authority) if address.scheme == "https" else None
        self._window, self._stop = STEADY, threading.Event()
        self._failure: Exception | None = None
        self._ended = False
        self._news = threading.Condition()
        self._since = [0.0] * self.clients  # when the latest finished request of each client was sent
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)
        self._lock = machine_wide_lock()

    def __enter__(self) -> Self:
        self._lock.__enter__()
        try:
            self.traffic.prepare(self.ask, self.clients)
            self._started = time.monotonic()
            self._thread.start()
            self.settle()
        except BaseException:
            self._stop.set()
            self._lock.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *failure: object) -> None:
        if failure[0] is None:
            self.end()
        else:
            self._finish()

    def ask(self, path: str, content: object = None) -> Any:
        """GET a path, or POST the content, as JSON both ways. Raises LostError, also for a status of 4xx and 5xx."""
        body = json.dumps(content).encode() if content is not None else b""
        request = Request(
            "POST" if body else "GET", path, headers={"Content-Type": "application/json"}, body=body
        )
        response = fetch(request, self._host, self._port, self._tls, self._address(0))
        if response.status >= 400:
            raise LostError(f"{request.what}: status {response.status}")
        return json.loads(response.body)

    def end(self) -> None:
        """Stop sending, look every write up, and set `report`. Does nothing the second time."""
        self._finish(look_up=True)

    def _finish(self, *, look_up: bool = False) -> None:
        if self._ended:
            return
        self._ended = True
        self._stop.set()
        try:
            self._thread.join(3 * self.timeout)
            if self._failure:
                raise self._failure
            if look_up:
                asyncio.run(self._look_up())
            self.report = Report(self.records, self.windows, self.expired)
        finally:
            self._lock.__exit__(None, None, None)

    @contextmanager
    def window(self, name: str) -> Iterator[None]:
        """Count what is lost meanwhile under `name`, until each client has used its connection once more."""
        start, self._window = time.monotonic(), name
        try:
            yield
            self.settle()
        finally:
            self.windows.append(Window(name, start, time.monotonic()))
            self._window = STEADY

    def settle(self) -> None:
        """Wait until every client has finished a request that it sent after now."""
        now, patience = time.monotonic(), self.timeout + GAPS[1] + 5
        with self._news:
            if not self._news.wait_for(lambda: min(self._since) > now or self._stop.is_set(), patience):
                raise TimeoutError("the load's clients stopped sending")
        if self._stop.is_set():
            raise self._failure or TimeoutError(
                f"the load reached its bound of {self.most_seconds} s or {self.most_requests} requests"
            )

    def reasons(self) -> dict[str, int]:
        """How many were lost so far for which reason."""
        with self._news:
            return Report(list(self.records), ()).reasons()

    def _run(self) -> None:
        try:
            asyncio.run(self._all_clients())
        except Exception as error:  # noqa: BLE001 - handed to the thread that waits
            self._failure = error
            self._end()

    def _end(self) -> None:
        self._stop.set()
        with self._news:
            self._news.notify_all()

    async def _all_clients(self) -> None:
        await asyncio.gather(*(self._client(number) for number in range(self.clients)))

    async def _client(self, number: int) -> None:
        choice = random.Random(f"{self.seed}/{number}")
        connection: Connection | None = None
        follow: Request | None = None
        while not self._stop.is_set():
            gap = choice.uniform(*GAPS)
            await asyncio.sleep(gap)
            key = ""
            if follow:
                request = follow
            elif choice.random() < self.writes:
                key = str(uuid.uuid4())
                request = self.traffic.write(number, key)
            else:
                request = choice.choice(self.traffic.reads(number))
            if connection and asyncio.get_running_loop().time() - connection.used > GAPS[1] + OVERSLEPT:
                connection.close()
                connection, self.expired = None, self.expired + 1
            connection, follow = await self._send(number, connection, request, key)
            if (
                len(self.records) >= self.most_requests
                or time.monotonic() > self._started + self.most_seconds
            ):
                self._end()
        if connection:
            connection.close()

    def _address(self, client: int) -> str:
        return self.at[client % len(self.at)] if self.at else self._host

    async def _connect(self, client: int) -> Connection:
        name = self._host if self._tls else None
        return await Connection.open(self._address(client), self._port, self._tls, name)

    async def _send(
        self, client: int, connection: Connection | None, request: Request, key: str
    ) -> tuple[Connection | None, Request | None]:
        """Send once and record what came of it; give the connection if it stays, and what to get next."""
        wall, started = time.time(), time.monotonic()
        idle, age = (started - connection.used, started - connection.opened) if connection else (0.0, 0.0)
        lost, response, port = "", None, connection.port if connection else 0
        try:
            async with asyncio.timeout(self.timeout):
                connection = connection or await self._connect(client)
                port = connection.port
                response = await connection.exchange(request.encode(f"{self._host}:{self._port}"))
        except LostError as error:
            lost = str(error)
        except TimeoutError:
            lost = f"no complete response within {self.timeout:.0f} s"
        follow = None
        if response and response.status != request.status:
            lost = f"status {response.status} instead of {request.status}: {response.body[:160]!r}"
        elif response and request.follow:
            found = re.search(request.follow, response.body.decode())
            follow = (
                Request("GET", found[1], label=f"{request.label or request.path} -> file") if found else None
            )
            lost = "" if found else f"nothing like {request.follow} in the page"
        ended = time.monotonic()
        record = Record(
            client=client,
            what=request.what,
            window=self._window,
            wall=wall,
            started=started,
            ended=ended,
            idle=idle,
            age=age,
            port=port,
            lost=lost,
            key=key,
            acknowledged=bool(key) and not lost,
        )
        with self._news:
            self.records.append(record)
            self._since[client] = started
            self._news.notify_all()
        if connection and not (response and response.keep):
            connection.close()
            connection = None
        return connection, follow

    async def _look_up(self) -> None:
        """Find every write again; one that is absent or stored twice is lost."""
        await asyncio.gather(*(self._look_up_for(number) for number in range(self.clients)))

    async def _look_up_for(self, client: int) -> None:
        connection: Connection | None = None
        for write in [record for record in self.records if record.client == client and record.key]:
            request = self.traffic.lookup(client, write.key)
            try:
                async with asyncio.timeout(self.timeout):
                    connection = connection or await self._connect(client)
                    response = await connection.exchange(request.encode(f"{self._host}:{self._port}"))
                if response.status != request.status:
                    raise LostError(f"status {response.status}")
                write.stored = self.traffic.stored(response)
            except (LostError, TimeoutError) as error:
                write.lost = write.lost or f"could not be looked up: {str(error) or 'timed out'}"
                response = None
            if write.stored is not None and write.stored > 1:
                write.lost = f"stored {write.stored} times"
            elif write.stored == 0 and write.acknowledged:
                write.lost = "acknowledged but absent"
            if connection and not (response and response.keep):
                connection.close()
                connection = None
        if connection:
            connection.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Load a service for a while; the status is 1 when anything was lost."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("url", help="http://host:port of the service")
    parser.add_argument(
        "--traffic", default="tests.rollout.marefia_traffic:MarefiaTraffic", help="module:class"
    )
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(arguments)
    module, _, name = given.traffic.partition(":")
    traffic: Traffic = getattr(importlib.import_module(module), name)()
    with Load(given.url, traffic, given.clients, given.seed, most_seconds=given.seconds + 60) as load:
        threading.Event().wait(given.seconds)
    print(load.report)
    return 1 if load.report.lost else 0


if __name__ == "__main__":
    sys.exit(main())
