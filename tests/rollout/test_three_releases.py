"""Three releases, each with a migration: forward and back between them on every database, under load."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import psycopg
import pymysql
import pytest
from psycopg.rows import dict_row
from pymysql.cursors import DictCursor

from tests.app import servers
from tests.rollout.changes import (
    contracting_migration,
    defaulted_migration,
    expanding_migration,
    new_table,
    setting,
)
from tests.rollout.checkout import PROCESSES, Checkout
from tests.rollout.load import Load
from tests.rollout.marefia_traffic import MarefiaTraffic
from tests.rollout.promise import Site
from tests.rollout.state import columns

pytestmark = [pytest.mark.verify, pytest.mark.chaos]


@dataclass
class OnServer(Checkout):
    """A clone whose service keeps its data on a server."""

    database: str = ""
    COLUMNS: ClassVar[str] = (
        "SELECT column_name AS name FROM information_schema.columns WHERE table_name = '{table}'"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.commit(setting("DATABASE_URL", self.database))

    def rows(self, query: str) -> list[dict[str, Any]]:
        to = urlsplit(self.database)
        if to.scheme != "mysql":
            with psycopg.connect(self.database, row_factory=dict_row) as connection:
                return list(connection.execute(query.encode()))
        with (
            closing(
                pymysql.connect(
                    host=to.hostname, port=to.port or 3306, user=to.username, password=to.password or "",
                    database=to.path[1:], cursorclass=DictCursor,
                )
            ) as server,
            server.cursor() as cursor,
        ):  # fmt: skip
            cursor.execute(query)
            return list(cursor.fetchall())

    def require_whole(self) -> None:
        running = [len(self.running(process)) for process in PROCESSES]
        assert running == [1, 1, 1], f"two slots serve, or none: {running}"


@contextmanager
def on_sqlite(folder: Path) -> Iterator[Checkout]:
    yield Checkout(folder)


@contextmanager
def on_postgresql(folder: Path) -> Iterator[Checkout]:
    with servers.postgresql() as (_, url):
        yield OnServer(folder, database=url)


@contextmanager
def on_mariadb(folder: Path) -> Iterator[Checkout]:
    with servers.mariadb() as (_, url):
        yield OnServer(folder, database=url)


def stored(checkout: Checkout) -> dict[str, set[Any]]:
    """What must never go: the keys of rows that were written."""
    return {
        table: {row["id"] for row in checkout.rows(f"SELECT id FROM {table}")}  # noqa: S608 - names of this test's own
        for table in ("stays_booking", "stays_listing", "accounts_user")
    }


@pytest.mark.parametrize(
    "on",
    [
        pytest.param(on_sqlite, id="sqlite"),
        pytest.param(on_postgresql, id="postgresql"),
        pytest.param(on_mariadb, id="mariadb"),
    ],
)
def test_forward_and_back_between_three_releases_nothing_is_lost(
    on: Callable[[Path], AbstractContextManager[Checkout]],
) -> None:
    with on(Path(tempfile.mkdtemp(prefix="rollout-"))) as checkout:
        try:
            checkout.commit(expanding_migration("arrival_note"))
            checkout.make("deploy")
            first = checkout.version()["version"]
            with Load(checkout.url, MarefiaTraffic()) as load:
                site = Site(checkout, load)
                with site.losing_nothing("forward to the second"):
                    second = site.deploy(new_table("Note"))
                with site.losing_nothing("forward to the third"):
                    third = site.deploy(defaulted_migration("source"))
                for target, version in (
                    ("rollback", second),
                    ("rollback", first),
                    ("deploy", third),
                    ("rollback", first),
                ):
                    before = stored(checkout)
                    with site.losing_nothing(f"{target} to {version}"):
                        checkout.make(target, VERSION=version)
                    assert checkout.version()["version"] == version
                    after = stored(checkout)
                    assert all(before[table] <= after[table] for table in before)
                checkout.make("deploy", VERSION=third)
                site.refused("arrival_note", contracting_migration("arrival_note"))
                load.end()
            assert not load.report.lost, "\n".join(record.line() for record in load.report.lost)
            assert {"arrival_note", "source"} <= columns(checkout)
            bookings = checkout.rows("SELECT source FROM stays_booking")
            assert len(bookings) > 10
            assert {row["source"] for row in bookings} == {"web"}
            assert checkout.rows("SELECT id FROM stays_note")
        finally:
            checkout.remove()
