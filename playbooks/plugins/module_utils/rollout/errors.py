"""The one exception of the rollout: its text is the line that a person reads."""

from __future__ import annotations


class RolloutError(Exception):
    """A step could not be done. The text is one line: what is wrong, then the remedy."""

    def __init__(self, problem: str, remedy: str = "") -> None:
        line = " ".join(problem.split())
        super().__init__(f"{line}; {remedy}" if remedy else line)


class StaleLease(RolloutError):
    """Somebody else took the lease over: nothing more may be done, not even undone."""
