"""A web of the tests' own, as small as one can be: it answers its version on every socket that it is given."""

import os
import signal
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

VERSION = os.environ["RELEASE_VERSION"]


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = VERSION.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        return ""

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = False

    def get_request(self) -> tuple[socket.socket, Any]:
        connection = self.socket.accept()[0]
        connection.setblocking(True)
        return connection, ("", 0)


if VERSION == "broken":
    raise SystemExit("it was built to fail")
time.sleep(1)
Path(os.environ["HOME"], "environment").write_text("\n".join(sorted(os.environ)))
servers = []
for number in range(int(os.environ["LISTEN_FDS"])):
    server = Server(("", 0), Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = socket.socket(fileno=3 + number)
    server.socket.setblocking(False)
    servers.append(server)
threads = [threading.Thread(target=each.serve_forever, args=(0.05,)) for each in servers]


def stop(*_: object) -> None:
    for each in servers:
        threading.Thread(target=each.shutdown).start()


signal.signal(signal.SIGTERM, stop)
for thread in threads:
    thread.start()
for thread in threads:
    while thread.is_alive():
        thread.join(0.1)
