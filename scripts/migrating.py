"""Applies a release's migrations on PostgreSQL one by one, and says of each what it did to tables and rows.

    migrating.py migrate   all of them, as `manage.py migrate` does
    migrating.py walk      the pending ones forward, back and forward again
    migrating.py forward   the pending ones; no row is looked at

A line of JSON as each begins, {"migration", "way", "override"}, and one at its end with "locks": {table: [mode,
seconds]}, "lost": {table: rows}, "dropped": {table: rows}, and "error" or "irreversible" where that is so. Of
tables that were there before; a lock counts from the statement that took it to the end of its transaction.

Runs as inside.py says, on the database that PostgreSQL's own variables name (PGDATABASE and others), whatever the
settings say.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.db.migrations import Migration
from django.db.migrations.exceptions import IrreversibleError
from django.db.migrations.executor import MigrationExecutor
from inside import CannotError, command

MODES = (  # from weak to strong; weaker ones keep nobody waiting
    "RowExclusiveLock", "ShareUpdateExclusiveLock", "ShareLock", "ShareRowExclusiveLock", "ExclusiveLock",
    "AccessExclusiveLock",
)  # fmt: skip
HELD = "SELECT relation, mode FROM pg_locks WHERE pid = %s AND granted AND locktype = 'relation'"
TABLES = """
SELECT oid, oid::regclass::text FROM pg_class
WHERE relkind IN ('r', 'p') AND pg_table_is_visible(oid) AND relnamespace <> 'pg_catalog'::regnamespace
"""
STARTS_WITHIN = 10  # seconds
POLLS_EVERY = 0.001  # seconds
OWN = "django_migrations"
ANSWERS = sys.stdout


class Locks:
    """Wraps each statement and notes which tables it locks."""

    def __init__(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute(TABLES)
            self.tables = {oid: name for oid, name in cursor.fetchall() if name != OWN}
        self.since: dict[tuple[str, str], float] = {}
        self.held: dict[tuple[str, str], float] = {}
        self.known: set[str] = set()

    def __call__(self, execute: Callable[..., Any], statement: str, *words: Any) -> Any:
        if not connection.in_atomic_block:
            with self.polled():
                return execute(statement, *words)
        began = monotonic()
        done = execute(statement, *words)
        if statement not in self.known:  # one that comes again for each row locks what it has locked
            self.known.add(statement)
            with connection.connection.cursor() as cursor:
                self.note(cursor, connection.connection.info.backend_pid, began)
            connection.on_commit(self.end)
        return done

    def note(self, cursor: Any, pid: int, began: float) -> None:
        """Add what a server process holds; of what it held before, it keeps the time."""
        cursor.execute(HELD, [pid])
        for oid, mode in cursor.fetchall():
            if oid in self.tables and mode in MODES:
                self.since.setdefault((self.tables[oid], mode), began)

    def end(self) -> None:
        """The transaction is over, and with it its locks."""
        for lock, began in self.since.items():
            self.held[lock] = max(self.held.get(lock, 0), monotonic() - began)
        self.since = {}

    @contextmanager
    def polled(self) -> Iterator[None]:
        """A statement that is its own transaction, or several: only another connection sees what it holds."""
        ready, over, pid = threading.Event(), threading.Event(), connection.connection.info.backend_pid

        def poll() -> None:
            with connection.cursor() as cursor:  # this thread's own
                ready.set()
                while not over.wait(POLLS_EVERY):
                    self.note(cursor, pid, monotonic())
            connection.close()

        thread = threading.Thread(target=poll)
        thread.start()
        ready.wait(STARTS_WITHIN)
        try:
            yield
        finally:
            self.end()
            over.set()
            thread.join()
            self.since = {}

    def strongest(self) -> dict[str, tuple[str, float]]:
        """For each table the strongest lock, and for how many seconds it was held."""
        found: dict[str, tuple[str, float]] = {}
        for (table, mode), seconds in sorted(self.held.items(), key=lambda each: MODES.index(each[0][1])):
            found[table] = (mode, seconds)
        return found


def keys() -> dict[str, set[str]]:
    """The primary keys of each table that has them."""
    found = {}
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            columns = connection.introspection.get_primary_key_columns(cursor, table)
            if columns and table != OWN:
                names = ", ".join(map(connection.ops.quote_name, columns))
                cursor.execute(f"SELECT ROW({names})::text FROM {connection.ops.quote_name(table)}")  # noqa: S608
                found[table] = {row[0] for row in cursor.fetchall()}
    return found


def step(migration: Migration, way: str, look: bool) -> bool:
    """Apply or unapply one migration and print what it did. Returns whether it did it."""
    before, locks = keys() if look else {}, Locks()
    overrides = getattr(settings, "ROLLOUT_OVERRIDES", {})
    override = getattr(migration, "rollout_override", overrides.get(str(migration), ""))
    said: dict[str, Any] = {"migration": str(migration), "way": way, "override": override}
    print(json.dumps(said), file=ANSWERS, flush=True)
    try:
        with connection.execute_wrapper(locks):
            MigrationExecutor(connection).migrate([], plan=[(migration, way == "back")])
    except IrreversibleError:
        said["irreversible"] = True
    except Exception as error:  # noqa: BLE001  # whatever the migration's code raises is its verdict
        said["error"] = f"{type(error).__name__}: {' '.join(str(error).split())}"
    after = keys() if look else {}
    said["locks"] = locks.strongest()
    said["dropped"] = {table: len(rows) for table, rows in before.items() if table not in after}
    lost = {table: len(rows - after[table]) for table, rows in before.items() if table in after}
    said["lost"] = {table: rows for table, rows in lost.items() if rows}
    print(json.dumps(said), file=ANSWERS, flush=True)
    return not {"error", "irreversible"} & said.keys()


def go(way: str, look: bool) -> bool:
    """All pending ones forward. Returns whether that went to the end."""
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return all(step(migration, way, look) for migration, _ in plan)


def walk() -> None:
    executor = MigrationExecutor(connection)
    plan = [migration for migration, _ in executor.migration_plan(executor.loader.graph.leaf_nodes())]
    if go("forward", look=True):
        all(step(migration, "back", look=True) for migration in reversed(plan))
        go("again", look=True)


def main(words: list[str]) -> None:
    match words:
        case ["migrate"]:
            call_command("migrate", interactive=False, verbosity=0)
        case ["walk"]:
            walk()
        case ["forward"]:
            go("forward", look=False)
        case _:
            raise CannotError("give one of migrate, walk, forward")


if __name__ == "__main__":
    sys.stdout = sys.stderr  # for what the project prints
    sys.path[0] = os.getcwd()
    engine = settings.DATABASES["default"]["ENGINE"]
    settings.DATABASES["default"] = {
        "ENGINE": engine if "postg" in engine else "django.db.backends.postgresql",
        "NAME": os.environ["PGDATABASE"],
    }
    command(main)
