#!/usr/bin/env python3
"""Known vulnerabilities of what the locks hold, by a database of advisories in the OSV format.

usage: scripts/advisories.py LOCK...

ADVISORIES names the database: a folder or a zip of OSV's entries for PyPI, or the address of such a zip. Without one,
or with one that is not of this week, nothing passes. How versions compare with an entry's events:
https://ossf.github.io/osv-schema/#evaluation
"""

from __future__ import annotations

import io
import json
import os
import sys
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from exceptions import Finding, left, report
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "playbooks/plugins/module_utils"))

from rollout.pins import pinned

OLDEST = timedelta(days=7)
FETCH = "fetch it: docs/supply-chain.md"
Advisory = dict[str, Any]


@dataclass
class Vulnerability:
    """What the advisories that name each other say of one version of a distribution."""

    name: str
    version: str
    ids: set[str]
    mended: set[Version]
    locks: set[str] = field(default_factory=set)

    @property
    def finding(self) -> Finding:
        ids, locks = sorted(self.ids), ", ".join(sorted(self.locks))
        remedy = (
            f"take {min(self.mended)} or later: make lock UPGRADE=1"
            if self.mended
            else "no version mends it: do without"
        )
        return Finding(
            [f"{each} {self.name}" for each in ids],
            f"{self.name} {self.version} in {locks}: {', '.join(ids)}; {remedy}",
        )


def entries(database: str) -> Iterator[Advisory]:
    """Everything that a database holds. :raises ValueError: it cannot be read."""
    try:
        if Path(database).is_dir():
            for file in sorted(Path(database).rglob("*.json")):
                yield json.loads(file.read_bytes())
            return
        opened: Path | io.BytesIO = Path(database)
        if database.startswith("https://"):
            with urlopen(database, timeout=60) as answer:  # noqa: S310 - by TLS alone
                opened = io.BytesIO(answer.read())
        with zipfile.ZipFile(opened) as archive:
            for name in sorted(archive.namelist()):
                if name.endswith(".json"):
                    yield json.loads(archive.read(name))
    except (OSError, zipfile.BadZipFile, ValueError) as error:
        raise ValueError(f"the advisory database {database} cannot be read: {error}; {FETCH}") from error


def counted(database: str) -> list[Advisory]:
    """What a database says of PyPI. :raises ValueError: it is not there, says nothing, or is too old."""
    if not database:
        raise ValueError(f"no advisory database is given (ADVISORIES); {FETCH}")
    now, found = datetime.now(UTC), list(entries(database))
    try:
        about = [each for each in found if any(of(affected) for affected in each.get("affected") or [])]
        past = [at for each in about if (at := datetime.fromisoformat(each["modified"])) <= now]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"the advisory database {database} is not of the OSV format: {error!r}; {FETCH}"
        ) from error
    if not past:
        raise ValueError(f"the advisory database {database} holds no advisory for PyPI; {FETCH}")
    if now - max(past) > OLDEST:
        age = f"its newest advisory is of {max(past):%Y-%m-%d}, more than {OLDEST.days} days ago"
        raise ValueError(f"the advisory database {database} is too old: {age}; {FETCH}")
    return [each for each in about if not each.get("withdrawn")]


def of(affected: dict[str, Any]) -> str:
    """The distribution that an entry is about; "" for another ecosystem's."""
    package = affected.get("package") or {}
    return canonicalize_name(package["name"]) if package.get("ecosystem") == "PyPI" else ""


def affects(affected: dict[str, Any], version: Version) -> bool:
    """Whether an entry is about a version. What it says in no version of PEP 440 counts against it."""
    ranges = [each["events"] for each in affected.get("ranges") or [] if each["type"] == "ECOSYSTEM"]
    return any(same(each, version) for each in affected.get("versions") or []) or any(
        within(events, version) for events in ranges
    )


def same(said: str, version: Version) -> bool:
    try:
        return Version(said) == version
    except InvalidVersion:
        return False


def within(events: list[dict[str, str]], version: Version) -> bool:
    """Whether a version lies in a range: the last event before it decides."""
    try:
        told = sorted(
            (Version(said), kind == "introduced", kind) for event in events for kind, said in event.items()
        )
    except InvalidVersion:
        return True
    inside = False
    for at, _, kind in told:
        if kind == "introduced" and version >= at:
            inside = True
        elif (kind == "fixed" and version >= at) or (kind == "last_affected" and version > at):
            inside = False
    return inside


def mends(affected: dict[str, Any], version: Version) -> set[Version]:
    """The versions after this one that an entry calls fixed."""
    said = [event.get("fixed", "") for each in affected.get("ranges") or [] for event in each["events"]]
    found = set()
    for each in said:
        try:
            found.add(Version(each))
        except InvalidVersion:
            continue
    return {each for each in found if each > version}


def vulnerabilities(advisories: list[Advisory], name: str, text: str) -> list[Vulnerability]:
    """What is known of one version, each once, by however many advisories."""
    version = Version(Version(text).public)  # a local build of a version has its faults
    found: list[Vulnerability] = []
    for advisory in advisories:
        hit = [each for each in advisory["affected"] if of(each) == name and affects(each, version)]
        if hit:
            one = Vulnerability(name, text, {advisory["id"], *(advisory.get("aliases") or [])}, set())
            one.mended.update(*(mends(each, version) for each in hit))
            for other in [other for other in found if other.ids & one.ids]:
                found.remove(other)
                one.ids |= other.ids
                one.mended |= other.mended
            found.append(one)
    return found


def refused(database: str, locks: Iterable[str]) -> list[str]:
    """A line for each vulnerability of a locked version that no exception lets pass."""
    by_name: dict[str, list[Advisory]] = {}
    for advisory in counted(database):
        for name in {of(each) for each in advisory["affected"]}:
            by_name.setdefault(name, []).append(advisory)
    where: dict[tuple[str, str], set[str]] = {}
    for lock in locks:
        for pin in pinned(Path(lock).read_text(encoding="utf-8")):
            where.setdefault((pin.name, pin.version), set()).add(lock)
    found = []
    for (name, version), named in sorted(where.items()):
        for one in vulnerabilities(by_name.get(name, []), name, version):
            one.locks = named
            found.append(one.finding)
    return left("advisories", found)


if __name__ == "__main__":
    sys.exit(report(lambda: refused(os.environ.get("ADVISORIES", ""), sys.argv[1:])))
