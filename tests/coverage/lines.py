"""A measured line, and the lines that are excepted by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml


@dataclass(frozen=True)
class Line:
    """What may be executed: a task by its first line, a template, a branch of one, a line on which commands begin,
    a part of a manifest, a Compose file or a Dockerfile by its name."""

    kind: str
    path: str
    number: int
    text: str
    executed: bool

    def __str__(self) -> str:
        return f"{self.path}:{self.number}  {self.text.strip()}"


@dataclass(frozen=True)
class Excepted:
    """A line that no test can execute, found by a part of its text so that edits above it do not matter."""

    path: str
    anchor: str
    reason: str


def exceptions(file: Path) -> list[Excepted]:
    """The exceptions in the file; ValueError names an entry without path, anchor or reason."""
    found = []
    for entry in yaml.safe_load(file.read_text(encoding="utf-8")) or []:
        if set(entry) != {"path", "anchor", "reason"} or not all(str(entry[key]).strip() for key in entry):
            raise ValueError(f"{file.name}: {entry} needs path, anchor and reason, and nothing else")
        found.append(Excepted(**{key: str(value) for key, value in entry.items()}))
    return found


def stale(excepted: Iterable[Excepted], lines: list[Line]) -> Iterator[str]:
    """What is wrong with exceptions: each has to name one line, and one that is not executed."""
    for entry in excepted:
        named = matching(entry, lines)
        if len(named) != 1:
            yield f"exception for {entry.path}: {entry.anchor!r} is in {len(named)} measured lines, not one"
        elif named[0].executed:
            yield f"exception for {named[0]} is not needed any more: a test executes it"


def matching(entry: Excepted, lines: list[Line]) -> list[Line]:
    """The measured lines that an exception speaks of: those whose text it is, or else those that hold it."""
    of_file = [line for line in lines if line.path == entry.path]
    whole = [line for line in of_file if line.text == entry.anchor]
    return whole or [line for line in of_file if entry.anchor in line.text]
