"""Files that are either the old or the new ones, whenever the writer is killed."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from .errors import RolloutError


def write_atomically(path: Path, text: str, mode: int = 0o644) -> None:
    """Replace `path` by `text`, durably: a reader sees all of the old or all of the new."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Any, mode: int = 0o644) -> None:
    """Replace `path` by `value` as JSON, durably."""
    write_atomically(path, json.dumps(value, indent=1, sort_keys=True) + "\n", mode)


def read_json(path: Path) -> Any:
    """The JSON in `path`, or None when there is no such file."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise RolloutError(
            f"{path} is not readable JSON: {error}", "move it away and run the command again"
        ) from error


def read_env(path: Path) -> dict[str, str]:
    """The settings of a plain KEY=value file.

    systemd, Compose and Kustomize read quotes, `$` and `export` differently, so none of them is allowed.
    """
    settings: dict[str, str] = {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        key, separator, value = line.partition("=")
        plain = key.isidentifier() and not any(character in value for character in "\"'$`\\")
        if not separator or not plain:
            raise RolloutError(
                f"{path}:{number}: not plain KEY=value", "write it without quotes, spaces in the key or $"
            )
        if key in settings:
            raise RolloutError(f"{path}:{number}: {key} is set twice", "keep one of the two lines")
        settings[key] = value.strip()
    return settings


def env_text(settings: dict[str, str]) -> str:
    """The reverse of `read_env`."""
    return "".join(f"{key}={value}\n" for key, value in sorted(settings.items()))


def sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def locked(path: Path, seconds: float, holder: str) -> Iterator[int]:
    """Hold an exclusive flock on `path`; wait at most `seconds`. The kernel frees it when its holder dies.

    Yields the descriptor: a child that inherits it holds the lock too.

    :raises RolloutError: it is still held; `holder` says by what.
    """
    end = monotonic() + seconds
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+") as file:
        while True:
            try:
                flock(file, LOCK_EX | LOCK_NB)
                break
            except BlockingIOError:
                if monotonic() > end:
                    raise RolloutError(
                        f"{path} is still held after {seconds:.0f} s by {holder}",
                        "wait for it, or end that process",
                    ) from None
                sleep(0.02)
        yield file.fileno()
