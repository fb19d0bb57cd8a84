"""Small servers that do one thing wrong, to prove that the load sees it."""

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.rollout.load import Ask
from tests.rollout.wire import Request, Response


class Server(ThreadingHTTPServer):
    """Keeps the ids that were posted; `fault` names what it does wrong to every fifth request."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, fault: str) -> None:
        self.fault, self.stored, self.asked = fault, list[str](), 0
        self.counting = threading.Lock()
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}"

    def turn(self) -> str:
        """The fault that this request meets, mostly none."""
        with self.counting:
            self.asked += 1
            return self.fault if self.asked % 5 == 0 else ""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: broken connections are the point."""


class Handler(BaseHTTPRequestHandler):
    """GET /page, GET /stored?id, POST /things with an id as its body."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1
    server: Server

    def do_GET(self) -> None:
        if self.path.startswith("/stored?"):
            found = [key for key in self.server.stored if key == self.path.partition("?")[2]]
            self.answer(200, json.dumps(found).encode(), "")
        else:
            self.answer(200, b"<a href='/file.css'>" * 50, self.server.turn())

    def do_POST(self) -> None:
        key = self.rfile.read(int(self.headers["Content-Length"])).decode()
        fault = self.server.turn()
        times = {"stores twice": 2, "acknowledges without storing": 0}.get(fault, 1)
        self.server.stored.extend([key] * times)
        self.answer(201, b"{}", fault)

    def answer(self, status: int, body: bytes, fault: str) -> None:
        """Send the response as the fault wants it."""
        if fault == "hangs":
            time.sleep(2)
        if fault == "resets":
            self.close_connection = True
            return
        self.send_response(500 if fault == "500" else status)
        if fault != "without a length":
            self.send_header("Content-Length", str(len(body) + (fault == "truncates")))
        if fault == "closes politely":
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()
        if fault in ("truncates", "drops keep-alive", "without a length"):
            self.close_connection = True

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


class PlainTraffic:
    """Reads a page and posts an id."""

    def prepare(self, ask: Ask, clients: int) -> None:
        """Nothing to log in to."""

    def reads(self, client: int) -> Sequence[Request]:
        """A page, sometimes with the file that it names."""
        return (Request("GET", "/page"), Request("GET", "/page", follow="href='([^']+)'"))

    def write(self, client: int, key: str) -> Request:
        """The id itself."""
        return Request("POST", "/things", 201, body=key.encode())

    def lookup(self, client: int, key: str) -> Request:
        """The ids that equal this one."""
        return Request("GET", f"/stored?{key}")

    def stored(self, response: Response) -> int:
        """How many there were."""
        return len(json.loads(response.body))


@contextmanager
def serve(fault: str = "") -> Iterator[Server]:
    """A server in a thread."""
    server = Server(fault)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
