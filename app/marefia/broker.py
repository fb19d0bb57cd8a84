"""How Celery reaches its broker: patiently; and its broker without a server.

The latter is kombu's filesystem transport with two races closed: kombu writes a message under its final name,
so that a reader can take half of one, and moves it through the machine's temporary folder. Here a message
appears by a rename and is taken by a rename within one folder.
A killed worker still loses what it took: the outbox sends that again.
"""

import os
import uuid
from pathlib import Path
from queue import Empty
from time import time_ns
from typing import Any

from celery.app import amqp
from kombu import connection
from kombu.transport import TRANSPORT_ALIASES, filesystem
from kombu.utils.json import dumps, loads

AGAIN = 1.0  # seconds between two tries to reach a broker that is away


class Connection(connection.Connection):
    """Is back a second after the broker, however long that was away: kombu waits longer each time, up to 30."""

    def ensure_connection(self, *args: Any, **kwargs: Any) -> Any:
        """Try until it is there."""
        pace = {"interval_start": AGAIN, "interval_step": 0, "interval_max": AGAIN}
        return super().ensure_connection(*args, **pace | kwargs)  # type: ignore[no-untyped-call]  # kombu is


class AMQP(amqp.AMQP):
    """What the application makes its connections with."""

    Connection = Connection


class Channel(filesystem.Channel):
    """One message a file, `<nanoseconds>_<uuid>.<queue>.msg`; with another suffix it is none."""

    # kombu's own two classes name the argument differently
    def _put(self, queue: str, payload: Any, **_: Any) -> None:  # type: ignore[override]
        folder = Path(self.data_folder_out)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{time_ns()}_{uuid.uuid4()}.{queue}.msg"
        unfinished = path.with_suffix(".new")
        unfinished.write_text(dumps(payload))
        unfinished.rename(path)

    def _get(self, queue: str, timeout: Any = None) -> Any:
        try:
            names = sorted(os.listdir(self.data_folder_in))
        except FileNotFoundError:
            names = []
        for name in names:
            if name.partition(".")[2] != f"{queue}.msg":
                continue
            path = Path(self.data_folder_in) / name
            taken = path.with_suffix(".taken")
            try:
                path.rename(taken)
            except FileNotFoundError:
                continue  # another worker was faster
            message = loads(taken.read_text())
            taken.unlink()
            return message
        raise Empty


class Transport(filesystem.Transport):
    """The transport of `filesystem://`."""

    Channel = Channel


def register() -> None:
    """Make `filesystem://` mean this transport."""
    TRANSPORT_ALIASES["filesystem"] = "marefia.broker:Transport"


def make_folders(folder: Path) -> None:
    """Make what kombu expects to find under `folder`."""
    for name in ("queue", "control"):
        (folder / name).mkdir(parents=True, exist_ok=True)
