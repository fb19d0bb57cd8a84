"""What a lock says: a version and hashes for each distribution, in pip's format, as `uv pip compile` writes it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


@dataclass(frozen=True)
class Pin:
    """One entry. A distribution may have several, for different machines.

    :param name: in its normal form (PEP 503).
    :param hashes: SHA-256, in hexadecimal.
    """

    name: str
    version: str
    marker: Marker | None
    hashes: frozenset[str]


def pinned(lock: str) -> Iterator[Pin]:
    """The entries of a lock. :raises ValueError: one of them leaves the version open."""
    for line in lock.replace("\\\n", " ").splitlines():
        if not line.strip() or line.lstrip().startswith(("#", "-")):
            continue
        asked = Requirement(re.split(r"\s(?:--|#)", line)[0])
        versions = [each.version for each in asked.specifier if each.operator == "=="]
        if len(versions) != 1 or versions[0].endswith("*"):
            raise ValueError(f"{asked} is not locked to a version; lock again: make lock")
        hashes = frozenset(re.findall(r"--hash=sha256:(\w+)", line))
        yield Pin(canonicalize_name(asked.name), versions[0], asked.marker, hashes)
