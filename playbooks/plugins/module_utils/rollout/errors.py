"""The one exception of the rollout: its text is the line that a person reads."""

from __future__ import annotations

from collections.abc import Mapping
from errno import ENOSPC

SYNTAX_ERRORS = ("SyntaxError", "IndentationError", "TabError")  # their text alone does not say where


class RolloutError(Exception):
    """A step could not be done. The text is one line: what is wrong, then the remedy."""

    def __init__(self, problem: str, remedy: str = "") -> None:
        line = " ".join(problem.split())
        super().__init__(f"{line}; {remedy}" if remedy else line)


def counted(number: int, thing: str, things: str = "") -> str:
    """A number of things in words: 1 process, 2 processes."""
    return f"{number} {thing if number == 1 else things or thing + 's'}"


def differences(source: Mapping[str, object], restored: Mapping[str, object]) -> str:
    """How the figures of restored tables differ from those of the source, in words; "" when they do not."""
    return "; ".join(
        f"{table} has {restored.get(table, 'gone')} instead of {source.get(table, 'nothing')}"
        for table in sorted(source.keys() | restored.keys())
        if source.get(table) != restored.get(table)
    )


def line_of(error: Exception, place: object) -> str:
    """What went wrong, in one line with the remedy. `place` is named where the system's error does not say where."""
    if not isinstance(error, OSError):
        return str(error)
    remedy = "free space on that disk" if error.errno == ENOSPC else "mend that"
    return f"{error.strerror or error} ({error.filename or place}); {remedy} and run the command again"


def last_words(lines: list[str]) -> str:
    """The last line that says why: of a traceback the error, without what explains it."""
    traces = [number for number, line in enumerate(lines) if line.startswith("Traceback (most recent")]
    after = lines[traces[-1] + 1 :] if traces else []
    error = next((line for line in after if line and not line.startswith((" ", "\t"))), lines[-1]).strip()
    where = [line.strip() for line in after if line.lstrip().startswith("File ")]
    return f"{error} ({where[-1]})" if error.startswith(SYNTAX_ERRORS) and where else error


class StaleLease(RolloutError):
    """Somebody else took the lease over: nothing more may be done, not even undone."""
