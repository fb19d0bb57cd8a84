"""A database's tables through the models of a release, whatever the vendor; scripts/db says when.

    tables.py dump FILE | check [FILE] | load FILE | sums | diagram

Runs with a release's Python, its application folder as working directory and its settings: so each connection is as
the release itself makes it. A dump has a line of JSON that names the release and every table's columns, then one for
each row, [table, values], and last one that says how many rows each table has and their checksum: it is whole.
"""

from __future__ import annotations

import gzip
import hashlib
import itertools
import json
import os
import signal
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import django
from django.apps import apps
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.management.color import no_style
from django.db import connection, models, transaction

BATCH = 500
MADE_BY_MIGRATE = {"django_content_type", "auth_permission"}  # Django fills them itself, with keys of its own
# What makes a transaction see one moment. READ COMMITTED, which the service asks for, sees one in each statement.
SNAPSHOT = {
    "postgresql": ["SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"],
    "mysql": [
        "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
        "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
    ],
    "sqlite": ["SELECT count(*) FROM sqlite_master"],  # the first thing that is read fixes it
}


class CannotError(Exception):
    """The reason and the remedy, in one line."""


class Sum:
    """A count of rows and a checksum that does not depend on their order, which is each server's own."""

    def __init__(self) -> None:
        self.rows = self.total = 0

    def add(self, row: list[Any]) -> None:
        digest = hashlib.sha256(json.dumps(row, sort_keys=True).encode()).digest()
        self.rows, self.total = self.rows + 1, (self.total + int.from_bytes(digest)) % 2**256

    @property
    def said(self) -> list[Any]:
        return [self.rows, f"{self.total:064x}"]


def tables() -> dict[str, type[models.Model]]:
    """The managed models that have a table of their own, those of many-to-many fields too, by its name."""
    every = apps.get_models(include_auto_created=True)
    found = {m._meta.db_table: m for m in every if m._meta.managed and not m._meta.proxy}
    return dict(sorted(found.items()))


def columns(model: type[models.Model]) -> list[Any]:
    """The fields that are stored and not computed by the database."""
    return [field for field in model._meta.local_concrete_fields if not field.generated]


def layout() -> dict[str, Any]:
    """What the first line of a dump says."""
    own = {table: [field.column for field in columns(model)] for table, model in tables().items()}
    return {"release": os.environ.get("RELEASE_VERSION", ""), "tables": own}


def rows(model: type[models.Model]) -> Iterator[list[Any]]:
    """Every row as values that JSON knows and that are the same on each vendor."""
    fields = columns(model)
    # Django reads NULL and JSON's own null alike.
    nulls = {
        _null(field): models.Q(**{f"{field.attname}__isnull": True})
        for field in fields
        if isinstance(field, models.JSONField)
    }
    for row in model._base_manager.annotate(**nulls).order_by("pk").iterator(BATCH):
        yield [_said(field, row) for field in fields]


def _null(field: Any) -> str:
    return f"{field.attname}_is_null"


def _said(field: Any, row: models.Model) -> Any:
    """A value as a dump has it: None is NULL, and what is stored as JSON stands there as its text."""
    value = field.value_from_object(row)
    if isinstance(field, models.JSONField):
        text = json.dumps(value, cls=field.encoder, sort_keys=True)
        return None if getattr(row, _null(field)) else text
    return None if value is None else field.value_to_string(row)


def _stored(field: Any, said: Any) -> Any:
    """The reverse of `_said`."""
    if said is None or not isinstance(field, models.JSONField):
        return None if said is None else field.to_python(said)
    value = json.loads(said, cls=field.decoder)
    return models.Value(None, models.JSONField()) if value is None else value


def sums() -> dict[str, list[Any]]:
    """{table: [rows, checksum]}"""
    found = {table: Sum() for table in tables()}
    for table, model in tables().items():
        for row in rows(model):
            found[table].add(row)
    return {table: one.said for table, one in found.items()}


@contextmanager
def one_moment() -> Iterator[None]:
    """Nothing that is committed meanwhile is seen, and nobody who writes has to wait."""
    connection.ensure_connection()
    if connection.vendor == "sqlite":
        connection.transaction_mode = "DEFERRED"  # type: ignore[attr-defined]  # IMMEDIATE is for who writes
    with transaction.atomic(), connection.cursor() as cursor:
        for statement in SNAPSHOT[connection.vendor]:
            cursor.execute(statement)
        yield


@contextmanager
def replaced(file: Path) -> Iterator[IO[str]]:
    """What is written takes the file's place once it is whole and on the disk. Its owner alone reads it."""
    partial = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as raw:
            with (
                gzip.open(raw, "wt")
                if file.suffix == ".gz"
                else open(raw.fileno(), "w", closefd=False) as out
            ):
                yield out
            raw.flush()
            os.fsync(raw.fileno())
        partial.replace(file)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    folder = os.open(file.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def dump(file: Path) -> None:
    """All rows of one moment, into a file that is there whole or not at all."""
    found = {table: Sum() for table in tables()}
    with replaced(file) as out, one_moment():
        print(json.dumps(layout()), file=out)
        for table, model in tables().items():
            for row in rows(model):
                found[table].add(row)
                print(json.dumps([table, row]), file=out)
        print(json.dumps({table: one.said for table, one in found.items()}), file=out)
    print(f"{sum(one.rows for one in found.values())} rows of {len(found)} tables are in {file}")


def lines_of(file: Path) -> Iterator[Any]:
    """What a dump says, its first line left out. :raises CannotError: it is none, or one of other tables."""
    try:
        with gzip.open(file, "rt") if file.suffix == ".gz" else file.open() as lines:
            said = json.loads(next(lines, "null"))
            if not isinstance(said, dict) or said.keys() != layout().keys():
                raise CannotError(f"{file} is no dump of `scripts/db dump`; give one")
            if said["tables"] != layout()["tables"]:
                raise CannotError(
                    f"{file} has other tables or columns; load it with the release that made it, {said['release']}"
                )
            yield from map(json.loads, lines)
    except (EOFError, OSError, ValueError, zlib.error) as error:
        raise CannotError(f"{file} cannot be read ({error}); give one that is whole") from error


def require_empty() -> None:
    """Refuse a database that holds a row of anybody's."""
    with connection.cursor() as cursor:
        there = set(connection.introspection.table_names(cursor))
        for table in sorted(there - MADE_BY_MIGRATE - {"django_migrations"}):
            cursor.execute(f"SELECT 1 FROM {connection.ops.quote_name(table)} LIMIT 1")  # noqa: S608 - no value
            if cursor.fetchone():
                raise CannotError(f"{table} there has rows already; give the URL of an empty database")


def load(file: Path) -> None:
    """Fill the empty tables in one transaction: all of a dump, and read again with its checksums, or nothing."""
    known = tables()
    if known.keys() - set(connection.introspection.table_names()):
        raise CannotError("tables are missing there; migrate it with the same release first")
    with connection.constraint_checks_disabled(), transaction.atomic():
        require_empty()
        for table in sorted(MADE_BY_MIGRATE & known.keys()):  # permissions first: they refer to the others
            known[table]._base_manager.all()._raw_delete(using=connection.alias)
        wanted = _insert_all(file, known)
        connection.check_constraints()
        with connection.cursor() as cursor:
            for statement in connection.ops.sequence_reset_sql(no_style(), list(known.values())):
                cursor.execute(statement)
        for table, here in sums().items():
            if here != wanted.get(table):
                raise CannotError(
                    f"{table} reads other than it was dumped; nothing was loaded: look at what changes its rows"
                )
    for table, (count, checksum) in wanted.items():
        print(f"{table:40} {count:>8} rows  {checksum[:16]}  same")


def _insert_all(file: Path, known: dict[str, type[models.Model]]) -> dict[str, Any]:
    """Insert a dump's rows. Gives what its last line says."""
    for table, group in itertools.groupby(
        lines_of(file), lambda line: line[0] if type(line) is list else None
    ):
        if table is None:
            return dict(next(group))
        while batch := list(itertools.islice(group, BATCH)):
            _insert(known[table], [row for _, row in batch])
    raise CannotError(f"{file} ends early; give one that is whole")


def _insert(model: type[models.Model], values: list[list[Any]]) -> None:
    """As they are: `raw` keeps moments that Django would set anew."""
    fields = columns(model)
    made = [
        model(**{f.attname: _stored(f, v) for f, v in zip(fields, row, strict=True)}) for row in values
    ]
    model._base_manager.all()._insert(made, fields=fields, using=connection.alias, raw=True)  # type: ignore[attr-defined]


def diagram() -> Iterator[str]:
    """The entity-relationship diagram of the application's own models, in Mermaid."""
    yield "erDiagram"
    home = os.getcwd()
    every = tables().values()
    own = [m for m in every if str(apps.get_app_config(m._meta.app_label).path).startswith(home)]
    for model in own:
        yield f"    {model._meta.db_table} {{"
        for field in columns(model):
            mark = (
                " PK" if field.primary_key else " FK" if field.remote_field else " UK" if field.unique else ""
            )
            yield f"        {field.get_internal_type()} {field.column}{mark}"
        yield "    }"
    for model in own:
        for field in columns(model):
            if field.remote_field and field.related_model in own:
                one = "||" if not field.null else "|o"
                many = "o|" if field.unique else "o{"
                to = field.related_model._meta.db_table
                yield f"    {to} {one}--{many} {model._meta.db_table} : {field.name}"


def main(words: list[str]) -> None:
    match words:
        case ["dump", file]:
            dump(Path(file))
        case ["check", *files]:
            for file in files:
                next(lines_of(Path(file)), None)
            require_empty()
        case ["load", file]:
            load(Path(file))
        case ["sums"]:
            print(json.dumps(sums()))
        case ["diagram"]:
            print("\n".join(diagram()))
        case _:
            raise CannotError("give one of dump, check, load, sums, diagram")


def line_of(error: Exception) -> str:
    """What went wrong, in one line with a remedy."""
    if isinstance(error, OSError):
        return (
            f"{error.strerror or error} ({error.filename or 'no file'}); mend that and run the command again"
        )
    remedy = "; look at DATABASE_URL and the password beside it" if isinstance(error, django.db.Error) else ""
    return " ".join(str(error).split()) + remedy


def command(main: Callable[[list[str]], None]) -> None:
    """Do what the process's words say, in the application of its working directory; what goes wrong is one line."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.path[0] = os.getcwd()
    try:
        django.setup()
        main(sys.argv[1:])
    except (
        CannotError,
        ImportError,
        ImproperlyConfigured,
        OSError,
        ValidationError,
        django.db.Error,
    ) as error:
        sys.exit(f"error: {line_of(error)}")
    except KeyboardInterrupt:
        print(
            "error: interrupted; nothing of it is left, run the command again when you like", file=sys.stderr
        )
        sys.exit(130)


if __name__ == "__main__":
    command(main)
