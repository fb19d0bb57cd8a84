"""A database's tables through the models of a release, whatever the vendor; scripts/db says when.

    tables.py dump FILE | check [FILE] | load FILE | sums | diagram

Runs as inside.py says. A dump has a line of JSON that names the release and every table's columns, then one for
each row, [table, values], and last one that says how many rows each table has and their checksum: it is whole.
"""

from __future__ import annotations

import glob
import gzip
import itertools
import json
import os
import signal
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import django
from django.apps import apps
from django.core.exceptions import ValidationError
from django.core.management.color import no_style
from django.db import connection, models, transaction
from inside import ENDS, CannotError, command, connect, first_line
from rows import BATCH, Sum, columns, rows, stored, sums, tables

DESCRIPTORS = Path("/dev/fd")  # what stands there is a file without a name, of who started this
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
# What a row's own values bring about, in this process or at the server.
REFUSED = (
    ArithmeticError,
    TypeError,
    ValueError,
    ValidationError,
    django.db.DataError,
    django.db.IntegrityError,
)


def layout() -> dict[str, Any]:
    """What the first line of a dump says."""
    own = {table: [field.column for field in columns(model)] for table, model in tables().items()}
    return {"release": os.environ.get("RELEASE_VERSION", ""), "tables": own}


@contextmanager
def one_moment() -> Iterator[None]:
    """Nothing that is committed meanwhile is seen, and nobody who writes has to wait."""
    connect()
    if connection.vendor == "sqlite":
        connection.transaction_mode = "DEFERRED"  # type: ignore[attr-defined]  # IMMEDIATE is for who writes
    with transaction.atomic(), connection.cursor() as cursor:
        for statement in SNAPSHOT[connection.vendor]:
            cursor.execute(statement)
        yield


def packed(file: Path) -> bool:
    """Whether such a file is compressed."""
    return file.suffix == ".gz" or file.parent == DESCRIPTORS


@contextmanager
def replaced(file: Path) -> Iterator[IO[str]]:
    """What is written takes the file's place once it is whole and on the disk. Its owner alone reads it."""
    if file.parent == DESCRIPTORS:
        with gzip.open(file, "wt") as out:
            yield out
        return
    for left in file.parent.glob(f".{glob.escape(file.name)}.[0-9]*.partial"):  # of dumps that were killed
        if not Path("/proc", left.suffixes[-2][1:]).exists():
            left.unlink(missing_ok=True)
    partial = file.with_name(f".{file.name}.{os.getpid()}.partial")
    try:
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as raw:
            with gzip.open(raw, "wt") if packed(file) else open(raw.fileno(), "w", closefd=False) as out:
                yield out
            raw.flush()
            os.fsync(raw.fileno())
        signal.pthread_sigmask(signal.SIG_BLOCK, ENDS)  # from here on it is done, and says so
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
        with gzip.open(file, "rt") if packed(file) else file.open() as lines:
            said = json.loads(next(lines, "null"))
            if not isinstance(said, dict) or said.keys() != layout().keys():
                raise CannotError(f"{file} is no dump of `scripts/db dump`; give one")
            if said["tables"] != layout()["tables"]:
                raise CannotError(
                    f"{file} has other tables or columns; load it with the release that made it, {said['release']}"
                )
            ended = False
            for number, line in enumerate(map(json.loads, lines), 2):
                if ended:
                    raise CannotError(f"{file} goes on after its last line; give one dump alone")
                if not _fits(line, said["tables"]):
                    raise CannotError(f"line {number} of {file} is none of a dump; give one that is whole")
                ended = type(line) is dict
                yield line
    except (EOFError, OSError, RecursionError, ValueError, zlib.error) as error:
        raise CannotError(f"{file} cannot be read ({error}); give one that is whole") from error


def _fits(line: Any, known: dict[str, list[str]]) -> bool:
    """Whether it is a row of one of these tables, or a last line that tells of all."""
    match line:
        case [str(table), list(values)]:
            return table in known and len(values) == len(known[table])
        case dict():
            return line.keys() == known.keys()
    return False


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
    connect()
    known = tables()
    if known.keys() - set(connection.introspection.table_names()):
        raise CannotError("tables are missing there; migrate it with the same release first")
    with connection.constraint_checks_disabled(), transaction.atomic():
        require_empty()
        for table in sorted(MADE_BY_MIGRATE & known.keys()):  # permissions first: they refer to the others
            known[table]._base_manager.all()._raw_delete(using=connection.alias)
        wanted = _insert_all(file, known)
        _require_references(known)
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
    last: dict[str, Any] = {}
    for table, group in itertools.groupby(
        lines_of(file), lambda line: line[0] if type(line) is list else None
    ):
        if table is None:
            last = next(group)
            continue
        while batch := list(itertools.islice(group, BATCH)):
            _insert(known[table], [row for _, row in batch])
    if not last:
        raise CannotError(f"{file} ends early; give one that is whole")
    return last


def _insert(model: type[models.Model], values: list[list[Any]]) -> None:
    """All at once. Where that cannot be, one by one, so that the first that is refused is named."""
    try:
        with transaction.atomic():
            _insert_together(model, values)
    except REFUSED:
        key = columns(model).index(model._meta.pk)
        for row in values:
            try:
                _insert_together(model, [row])
            except REFUSED as error:
                raise _mend(model, row[key], first_line(error)) from error


def _mend(model: type[models.Model], key: Any, why: str) -> CannotError:
    return CannotError(
        f"{model._meta.db_table}: the row with the key {key} cannot be stored ({why});"
        " mend that row in the source, then dump or copy again"
    )


def _require_references(known: dict[str, type[models.Model]]) -> None:
    """What refers to another row has to find it. The servers check that last, and not each names the row."""
    try:
        with transaction.atomic():
            connection.check_constraints()
    except django.db.IntegrityError:
        for model in known.values():
            for field in (each for each in columns(model) if each.remote_field):
                there = {field.target_field.attname: models.OuterRef(field.attname)}
                found = models.Exists(field.related_model._base_manager.filter(**there))
                lost = model._base_manager.filter(~found, **{f"{field.attname}__isnull": False})
                for key in lost.values_list("pk", flat=True)[:1]:
                    raise _mend(model, key, f"{field.column} refers to a row that is not there") from None
        raise


def _insert_together(model: type[models.Model], values: list[list[Any]]) -> None:
    """As they are: `raw` keeps moments that Django would set anew."""
    fields = columns(model)
    made = [model(**{f.attname: stored(f, v) for f, v in zip(fields, row, strict=True)}) for row in values]
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
            connect()
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


if __name__ == "__main__":
    command(main)
