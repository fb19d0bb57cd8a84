"""What holds for a command of any runner."""

from __future__ import annotations

import re
from collections.abc import Iterator

HIDES = re.compile(r"\|\|\s*(true|:)|set \+e|returnStatus|catchError|warnError")
PIPES = re.compile(r"(?<!\|)\|(?!\|)")
STAGE = re.compile(r'make (\w+|"\$STAGE")')


def broken(where: str, command: str) -> Iterator[str]:
    """A line for each rule that a stage's command breaks."""
    yield from hiding(where, command)
    if not STAGE.fullmatch(command):
        yield f"not make and nothing else: {where}: {command}"


def hiding(where: str, command: str) -> Iterator[str]:
    """A line for each way in which a command lets no failure be seen."""
    if HIDES.search(command):
        yield f"hidden failure: {where}: {command}"
    if PIPES.search(command) and "pipefail" not in command:
        yield f"pipe without pipefail: {where}: {command}"
