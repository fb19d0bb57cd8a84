"""Where a payment stands and who may move it: the one table. docs/payments.md draws it."""

from django.db import models


class State(models.TextChoices):
    """Money is ours in PAID alone; in REFUNDING it is on its way back."""

    NEW = "new", "being prepared"
    OPEN = "open", "to be paid"
    PAID = "paid"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REFUNDING = "refunding", "being refunded"
    REFUNDED = "refunded"
    REVERSED = "reversed"


class Mover(models.TextChoices):
    """Who moves a payment."""

    GUEST = "guest", "the guest begins to pay"
    CHAPA = "chapa", "Chapa says so"
    BOOKING = "booking", "its booking is cancelled, or was paid already"


MOVES: dict[tuple[State, State], frozenset[Mover]] = {
    (State.NEW, State.OPEN): frozenset({Mover.GUEST}),
    (State.NEW, State.PAID): frozenset({Mover.CHAPA}),
    (State.NEW, State.FAILED): frozenset({Mover.CHAPA}),
    (State.NEW, State.CANCELLED): frozenset({Mover.CHAPA, Mover.BOOKING}),
    (State.OPEN, State.PAID): frozenset({Mover.CHAPA}),
    (State.OPEN, State.FAILED): frozenset({Mover.CHAPA}),
    (State.OPEN, State.CANCELLED): frozenset({Mover.CHAPA, Mover.BOOKING}),
    # A page of Chapa's that is still open somewhere: the money came after all.
    (State.FAILED, State.PAID): frozenset({Mover.CHAPA}),
    (State.CANCELLED, State.PAID): frozenset({Mover.CHAPA}),
    # It came and went before anybody told us that it came.
    **{
        (before, after): frozenset({Mover.CHAPA})
        for before in (State.NEW, State.OPEN, State.FAILED, State.CANCELLED)
        for after in (State.REFUNDED, State.REVERSED)
    },
    (State.PAID, State.REFUNDING): frozenset({Mover.BOOKING}),
    (State.PAID, State.REFUNDED): frozenset({Mover.CHAPA}),
    (State.PAID, State.REVERSED): frozenset({Mover.CHAPA}),
    (State.REFUNDING, State.REFUNDED): frozenset({Mover.CHAPA}),
    (State.REFUNDING, State.REVERSED): frozenset({Mover.CHAPA}),
}
UNSETTLED = (State.NEW, State.OPEN)
"""Chapa may still have something to say of these."""


def may(before: State, after: State, mover: Mover) -> bool:
    """Whether `mover` may do that."""
    return mover in MOVES.get((before, after), frozenset())


def diagram() -> str:
    """The table as Mermaid's state diagram."""
    arrows = [
        f"    {before} --> {after}: {', '.join(sorted(movers))}" for (before, after), movers in MOVES.items()
    ]
    final = [f"    {state} --> [*]" for state in State if not any(before == state for before, _ in MOVES)]
    return "\n".join(["stateDiagram-v2", f"    [*] --> {State.NEW}: {Mover.GUEST}", *arrows, *final])
