"""A web host in one file, for hosts that have nothing but Python: it answers, stores, and says who it is.

usage: answering.py NAME PORT FOLDER [PEER_ADDRESS...]

GET /readyz, 503 while FOLDER/sick exists; GET /who, the name and the headers it was asked with; GET /slow/SECONDS;
POST /stored/ID stores it on this disk before it answers; GET /stored/ID counts it here and at the peers.
Idle connections are closed after two seconds, as gunicorn does.
"""

import http.client
import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

NAME, PORT, FOLDER, PEERS = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4:]


def at_peer(address: str, path: str) -> int:
    connection = http.client.HTTPConnection(address, PORT, timeout=2)
    connection.request("GET", path, headers={"X-Peer": NAME})
    return int(connection.getresponse().read())


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 2

    def answer(self, body: str, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def do_GET(self) -> None:
        what, _, word = self.path[1:].partition("/")
        if what == "readyz":
            self.answer("", 503 if (FOLDER / "sick").exists() else 200)
        elif what == "slow":
            time.sleep(float(word))
            self.answer(NAME)
        elif what == "stored":
            file = FOLDER / word
            here = file.read_text().count("\n") if file.exists() else 0
            peers = [] if self.headers["X-Peer"] else PEERS
            self.answer(str(here + sum(at_peer(address, self.path) for address in peers)))
        else:
            self.answer(json.dumps({"name": NAME, "headers": dict(self.headers)}))

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"] or 0))
        with (FOLDER / self.path.rpartition("/")[2]).open("a") as file:
            file.write("once\n")
        self.answer("", 201)

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 128


Server(("", PORT), Handler).serve_forever()
