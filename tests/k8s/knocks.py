"""Requests of which each opens a connection of its own, on every node in turn: what finds a port that is closed."""

import http.client
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

EVERY_SECONDS = 0.1


@dataclass
class Knocks:
    """Asks a path until it ends. `lost` has a line for each request without a 200."""

    nodes: Sequence[str]
    port: int
    path: str = "/livez"
    asked: int = 0
    lost: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="knocks", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._stop.set()
        self._thread.join(30)

    def _run(self) -> None:
        while not self._stop.wait(EVERY_SECONDS):
            node = self.nodes[self.asked % len(self.nodes)]
            self.asked += 1
            begin = time.time()
            connection = http.client.HTTPConnection(node, self.port, timeout=10)
            try:
                connection.request("GET", self.path, headers={"Host": "localhost"})
                status = connection.getresponse().status
                if status != 200:
                    self.lost.append(f"{begin:.2f} {node}: {status}")
            except (OSError, http.client.HTTPException) as error:
                self.lost.append(f"{begin:.2f} {node}: {error!r}")
            finally:
                connection.close()
