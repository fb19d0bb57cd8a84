"""What must be true of the service's data at rest, read from its database beside the service."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tests.rollout.checkout import Checkout, wait_until


@contextmanager
def database(checkout: Checkout) -> Iterator[sqlite3.Connection]:
    """The environment's database, read-only."""
    (path,) = Path(checkout.root / "data").glob("*.sqlite3")
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as connection:
        yield connection


def unfinished_tasks(checkout: Checkout) -> int:
    """Rows of the outbox that are not done: waiting, claimed, or given up."""
    with database(checkout) as connection:
        (count,) = connection.execute(
            "SELECT count(*) FROM outbox_outboxrow WHERE status <> 'done'"
        ).fetchone()
        return int(count)


def await_rest(checkout: Checkout, seconds: float = 90) -> None:
    """Return when the outbox is drained; a killed worker's claim has to expire first."""
    wait_until(lambda: unfinished_tasks(checkout) == 0, "the outbox to be drained", seconds, every=0.3)


def wrong_counts(checkout: Checkout) -> list[tuple[int, int, int]]:
    """Listings whose nights were counted not exactly once for each booking: (listing, counted, booked)."""
    with database(checkout) as connection:
        return connection.execute(
            "SELECT listing.id, listing.nights_booked,"
            " coalesce(sum(julianday(booking.check_out) - julianday(booking.check_in)), 0) AS booked"
            " FROM stays_listing AS listing LEFT JOIN stays_booking AS booking"
            " ON booking.listing_id = listing.id AND booking.status = 'confirmed'"
            " GROUP BY listing.id HAVING listing.nights_booked <> booked"
        ).fetchall()


def columns(checkout: Checkout, table: str = "stays_booking") -> set[str]:
    """The names of a table's columns."""
    with database(checkout) as connection:
        return {str(row[1]) for row in connection.execute(f"PRAGMA table_info({table})")}


def damage(checkout: Checkout) -> str:
    """`ok`, or what SQLite finds wrong with the file."""
    with database(checkout) as connection:
        return str(connection.execute("PRAGMA integrity_check").fetchone()[0])
