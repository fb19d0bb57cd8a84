"""What a service's processes said lately: lines, each with the time at which it was said (seconds since 1970)."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path

from .errors import RolloutError
from .manager import Manager
from .place import SLOTS

MOST_LINES = 1000
MOST_CHARACTERS = 4000
TAIL_BYTES = MOST_LINES * MOST_CHARACTERS
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
# At the beginning of a line, as most loggers write it, or the `timestamp` of an event in JSON.
TIME = re.compile(
    r'(?:^\[?|"timestamp": ?")(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,6})?) ?(Z|[+-]\d\d:?\d\d)?'
)
UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
Line = tuple[float, str]


def ago(since: str) -> int:
    """The seconds that 90s, 10m, 2h or 1d are."""
    told = re.fullmatch(r"(\d{1,6})([smhd])", since)
    if not told:
        raise RolloutError(f"SINCE={since} cannot be followed", "say how long ago, as 90s, 10m, 2h or 1d")
    return int(told[1]) * UNITS[told[2]]


def newest(manager: Manager, processes: Iterable[str], since: str) -> list[tuple[float, str, str]]:
    """The newest lines of these processes on this host, oldest first: when, who, what. At most MOST_LINES."""
    begin = time.time() - ago(since)
    lines = [
        (at, f"{process}-{slot}", text)
        for process in processes
        for slot in SLOTS
        for at, text in manager.said(process, slot, begin, MOST_LINES + 1)
        if text.strip()
    ]
    lines.sort(key=lambda line: line[0])
    if len(lines) > MOST_LINES:
        lines = lines[-MOST_LINES:]
        words = f"(older lines are left out: at most {MOST_LINES} of a host are told; a shorter SINCE tells fewer)"
        lines[0] = (lines[0][0], "logs", words)
    return [(at, who, shown(text)) for at, who, text in lines]


def shown(text: str) -> str:
    """A line that no terminal obeys, and no longer than MOST_CHARACTERS."""
    plain = UNPRINTABLE.sub("?", text[: MOST_CHARACTERS + 1])
    return plain if len(plain) <= MOST_CHARACTERS else f"{plain[:MOST_CHARACTERS]}..."


def of_file(log: Path, since: float) -> list[Line]:
    """What stands in the end of a log file, at most TAIL_BYTES of it."""
    try:
        written = log.stat().st_mtime
        if written < since:
            return []
        with log.open("rb") as file:
            cut = file.seek(max(0, log.stat().st_size - TAIL_BYTES))
            lines = file.read(TAIL_BYTES).decode(errors="replace").splitlines()
    except FileNotFoundError:
        return []
    return [line for line in timed(lines[1:] if cut else lines, written) if line[0] >= since]


def timed(lines: list[str], written: float) -> Iterator[Line]:
    """Each line with its time. One without has that of the line before; the last ones have that of the last write."""
    times = [time_of(line) for line in lines]
    last = max((number for number, at in enumerate(times) if at), default=-1)
    at = next((at for at in times if at), written)
    for number, line in enumerate(lines):
        at = times[number] or (at if number < last else written)
        yield at, line


def time_of(line: str) -> float:
    """The time that a line tells, 0 for none; one without a zone is this machine's."""
    found = TIME.search(line)
    try:
        return datetime.fromisoformat(f"{found[1]}{found[2] or ''}").timestamp() if found else 0.0
    except ValueError:  # the 31st of February
        return 0.0


def of_journal(entries: str) -> list[Line]:
    """The lines of `journalctl --output=json`. A message that is not text comes as a list of its bytes."""
    lines = []
    for entry in map(json.loads, entries.splitlines()):
        said = entry.get("MESSAGE") or ""
        text = said if isinstance(said, str) else bytes(said).decode(errors="replace")
        lines += [(int(entry["__REALTIME_TIMESTAMP"]) / 1e6, line) for line in text.splitlines()]
    return lines
