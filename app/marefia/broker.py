"""Celery's broker without a server: kombu's filesystem transport, with two races closed.

kombu writes a message under its final name, so that a reader can take half of one, and moves it through the
machine's temporary folder. Here a message appears by a rename and is taken by a rename within one folder.
A killed worker still loses what it took: the outbox sends that again.
"""

import os
import uuid
from pathlib import Path
from queue import Empty
from time import time_ns
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, filesystem
from kombu.utils.json import dumps, loads


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
