"""What must be true of the service's data at rest, read from its database beside the service."""

from collections import Counter
from datetime import date

from tests.rollout.checkout import Checkout, wait_until


def unfinished_tasks(checkout: Checkout) -> int:
    """Rows of the outbox that are not done: waiting, claimed, or given up."""
    (row,) = checkout.rows("SELECT count(*) AS count FROM outbox_outboxrow WHERE status <> 'done'")
    return int(row["count"])


def await_rest(checkout: Checkout, seconds: float = 90) -> None:
    """Return when the outbox is drained; a killed worker's claim has to expire first."""
    wait_until(lambda: unfinished_tasks(checkout) == 0, "the outbox to be drained", seconds, every=0.3)


def wrong_counts(checkout: Checkout) -> dict[int, tuple[int, int]]:
    """Listings whose nights were counted not exactly once for each booking: id -> (counted, booked)."""
    booked: Counter[int] = Counter()
    for row in checkout.rows(
        "SELECT listing_id, check_in, check_out FROM stays_booking WHERE status = 'confirmed'"
    ):
        nights = date.fromisoformat(row["check_out"]) - date.fromisoformat(row["check_in"])
        booked[int(row["listing_id"])] += nights.days
    counted = {
        int(row["id"]): int(row["nights_booked"]) for row in checkout.rows("SELECT * FROM stays_listing")
    }
    return {key: (counted[key], booked[key]) for key in counted if counted[key] != booked[key]}


def columns(checkout: Checkout, table: str = "stays_booking") -> set[str]:
    """The names of a table's columns."""
    return {str(row["name"]) for row in checkout.rows(checkout.COLUMNS.format(table=table))}
