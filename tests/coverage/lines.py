"""A measured line, the lines that are excepted by name, and those that only `make chaos` executes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

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


class Kept:
    """The lines that a run of `make chaos` executed and `make verify` leaves out, in a file of the repository.

    They count while their files have the very bytes that ran: whoever changes one runs the chaos tests again.
    """

    def __init__(self, file: Path, root: Path) -> None:
        self._file, self._root = file, root
        told: dict[str, dict[str, Any]] = (
            json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        )
        self._files = {path: each for path, each in told.items() if each["digest"] == self._digest(path)}

    def fill(self, lines: list[Line]) -> list[Line]:
        """The same lines; what is kept of them counts as executed."""
        return [
            replace(line, executed=line.executed or self._of(line) in self._lines(line)) for line in lines
        ]

    def keep(self, lines: list[Line], missed: Iterable[str]) -> None:
        """Write down which of the missed lines (as `str(line)` tells them) are executed, beside what is kept."""
        of_chaos = set(missed)
        for line in lines:
            if line.executed and str(line) in of_chaos and self._of(line) not in self._lines(line):
                each = self._files.setdefault(line.path, {"digest": self._digest(line.path), "lines": []})
                each["lines"].append(self._of(line))
        self._file.write_text(json.dumps(self._files, indent=1, sort_keys=True) + "\n", encoding="utf-8")

    def _lines(self, line: Line) -> list[str]:
        lines: list[str] = self._files.get(line.path, {"lines": []})["lines"]
        return lines

    def _of(self, line: Line) -> str:
        return f"{line.kind} {line.number}: {line.text.strip()}"

    def _digest(self, path: str) -> str:
        file = self._root / path
        return hashlib.sha256(file.read_bytes()).hexdigest()[:8] if file.exists() else ""
