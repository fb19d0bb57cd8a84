"""A way to a server that can be closed: who comes then is refused, who is inside is cut off."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Self


@dataclass
class Door:
    """Hands on what comes to `port` on this machine, while it is open."""

    host: str
    to: int
    refused: int = 0
    _open: bool = True
    _inside: set[socket.socket] = field(default_factory=set)

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._listen, daemon=True).start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._cut()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    @contextmanager
    def closed(self) -> Iterator[None]:
        """Nobody gets through, as if the server were away."""
        self._open = False
        self._cut()
        try:
            yield
        finally:
            self._open = True

    def _listen(self) -> None:
        while True:
            try:
                came, _ = self._listener.accept()
            except OSError:  # it is over
                return
            if not self._open:
                self.refused += 1
                came.close()
                continue
            try:
                there = socket.create_connection((self.host, self.to), timeout=10)
            except OSError:
                came.close()
                continue
            there.settimeout(None)
            self._inside |= {came, there}
            for source, target in ((came, there), (there, came)):
                threading.Thread(target=self._carry, args=(source, target), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        for end in (source, target):
            self._inside.discard(end)
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _cut(self) -> None:
        for end in list(self._inside):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
