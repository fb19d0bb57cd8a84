"""Who does the work of an outbox row, by name: names outlive code, rows may wait across a rollout."""

from collections.abc import Callable
from dataclasses import dataclass

from marefia.outbox.models import OutboxRow

Work = Callable[[OutboxRow], None]


@dataclass(frozen=True, slots=True)
class Handler:
    """`effect`: works in the database only, in one transaction with the row's end, hence exactly once.

    Otherwise it reaches outside (mail): it runs in no transaction, and at least once.
    """

    work: Work
    effect: bool


HANDLERS: dict[str, Handler] = {}


def effect(name: str) -> Callable[[Work], Work]:
    """Register a handler whose whole effect is in the database."""
    return _register(name, is_effect=True)


def errand(name: str) -> Callable[[Work], Work]:
    """Register a handler that reaches outside of the database; it has to bear being run twice."""
    return _register(name, is_effect=False)


def _register(name: str, *, is_effect: bool) -> Callable[[Work], Work]:
    def register(work: Work) -> Work:
        if name in HANDLERS:
            raise ValueError(f"two handlers are called {name}")
        HANDLERS[name] = Handler(work, is_effect)
        return work

    return register
