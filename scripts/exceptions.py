#!/usr/bin/env python3
"""What the scans let pass: infra/exceptions.yml, whose entries each have a reason and a last day.

usage: scripts/exceptions.py [CHECK]    refuses entries, of all checks or of one, that lack either or have ended
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

FILE = Path("infra/exceptions.yml")
CHECKS = ("secrets", "pragmas", "history", "advisories", "policy")
LONGEST = timedelta(days=366)
FEWEST_WORDS = 3


@dataclass(frozen=True)
class Finding:
    """What a check found.

    :param names: what an exception may call it, most precise first.
    :param line: what a person is told: what, where, and the remedy.
    """

    names: Sequence[str]
    line: str


@dataclass(frozen=True)
class Entry:
    """One finding that is let pass, as far as the file says what it has to."""

    check: str
    what: str
    said: dict[str, Any]

    def wrong(self, today: date) -> Iterator[str]:
        """Why it cannot stand."""
        reason, until = self.said.get("reason"), self.said.get("until")
        if unknown := sorted(self.said.keys() - {"what", "reason", "until"}):
            yield f"says {', '.join(unknown)}, which nothing reads; take that out"
        if len(str(reason or "").split()) < FEWEST_WORDS:
            yield "has no reason; say why it may stand (reason)"
        if type(until) is not date:
            yield "has no last day; say when it is looked at again (until: YYYY-MM-DD)"
        elif until < today:
            yield f"ended on {until}; mend what it lets pass, or review it again"
        elif until > today + LONGEST:
            yield f"lasts until {until}; give it a year at most"


def entries(*checks: str) -> list[Entry]:
    """What the file says of these checks; nothing where there is no file.

    :raises ValueError: it has another form.
    """
    try:
        told = (yaml.safe_load(FILE.read_text(encoding="utf-8")) if FILE.exists() else None) or {}
        if unknown := sorted(told.keys() - set(CHECKS)):
            raise ValueError(f"{FILE}: there is no check {', '.join(unknown)}; choose of {', '.join(CHECKS)}")
        return [
            Entry(check, what, each)
            for check in checks
            for each in told.get(check) or []
            for what in ([each["what"]] if isinstance(each["what"], str) else each["what"])
        ]
    except (AttributeError, KeyError, TypeError, yaml.YAMLError) as error:
        raise ValueError(f"{FILE} is no mapping of a check to entries; see docs/supply-chain.md") from error


def left(check: str, findings: Iterable[Finding]) -> list[str]:
    """The lines of what no exception lets pass, and of each exception that lets nothing pass."""
    found = list(findings)
    excepted = {entry.what for entry in entries(check)}
    unused = excepted.difference(*(each.names for each in found))
    return [each.line for each in found if excepted.isdisjoint(each.names)] + [
        f"{FILE}: {check}: {what} matches nothing any more; take it out" for what in sorted(unused)
    ]


def refused(checks: Sequence[str]) -> list[str]:
    """A line for each fault of an entry of these checks."""
    today = datetime.now(UTC).date()
    return [
        f"{FILE}: {entry.check}: {entry.what} {fault}"
        for entry in entries(*checks)
        for fault in entry.wrong(today)
    ]


def report(lines: Callable[[], list[str]]) -> int:
    """Print what a check refuses, or the one line why it could not look. Returns the status to exit with."""
    try:
        found = lines()
    except (ValueError, OSError) as error:
        found = [" ".join(str(error).split())]
    if found:
        print("\n".join(found), file=sys.stderr)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(report(lambda: refused(sys.argv[1:] or CHECKS)))
