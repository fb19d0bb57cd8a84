"""One HTTP GET over a Unix or TCP socket, with the standard library alone: what decides if a release is well."""

from __future__ import annotations

import http.client
import json
import re
import socket
import time
from dataclasses import dataclass
from pathlib import Path

from .errors import RolloutError


@dataclass(frozen=True)
class Answer:
    """What came back. `status` 0 means that nothing did, and `body` says why."""

    status: int
    body: str
    seconds: float

    def __str__(self) -> str:
        text = " ".join(
            re.sub(r"<(style|script)[^>]*>.*?</\1>|<[^>]*>", " ", self.body, flags=re.DOTALL).split()
        )[:160]
        return f"{self.status} {text}" if self.status else text


class _Connection(http.client.HTTPConnection):
    def __init__(self, address: Path | tuple[str, int], host: str, timeout: float) -> None:
        super().__init__(host, timeout=timeout)
        self._address = address

    def connect(self) -> None:
        if isinstance(self._address, Path):
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(self.timeout)
            self.sock.connect(str(self._address))
        else:
            self.sock = socket.create_connection(self._address, self.timeout)


def get(address: Path | tuple[str, int], path: str, host: str, timeout: float = 5.0) -> Answer:
    """GET `path` from a Unix socket or a (host, port)."""
    begin = time.monotonic()
    connection = _Connection(address, host, timeout)
    try:
        connection.request("GET", path, headers={"Connection": "close", "User-Agent": "rollout"})
        response = connection.getresponse()
        body = response.read().decode(errors="replace")
        return Answer(response.status, body, time.monotonic() - begin)
    except (OSError, http.client.HTTPException) as error:
        return Answer(0, f"nothing ({error})", time.monotonic() - begin)
    finally:
        connection.close()


def version(address: Path | tuple[str, int], path: str, host: str) -> str:
    """The version that answers at a service's version path."""
    answer = get(address, path, host)
    try:
        return str(json.loads(answer.body)["version"])
    except (ValueError, KeyError, TypeError) as error:
        raise RolloutError(f"{path} answered {answer}", "it has to be JSON with the key `version`") from error
