"""A database's tables through the models of a release, whatever the vendor; scripts/db says when.

    tables.py read | write | sums | indexes | slow | diagram

Runs with a release's Python, its application folder as working directory and its settings: so each connection is as
the release itself makes it. `read` prints the rows that `write` takes, `sums` a count and a checksum for each table.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import django
from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.core.management.color import no_style
from django.db import connection, models, transaction

BATCH = 500
MADE_BY_MIGRATE = {"django_content_type", "auth_permission"}  # Django fills them itself, with keys of its own
SLOW = {
    "postgresql": "SELECT calls, round(mean_exec_time::numeric, 1), query FROM pg_stat_statements"
    " ORDER BY total_exec_time DESC LIMIT 20",
    "mysql": "SELECT count_star, round(avg_timer_wait / 1e9, 1), digest_text"
    " FROM performance_schema.events_statements_summary_by_digest"
    " WHERE schema_name = database() ORDER BY sum_timer_wait DESC LIMIT 20",
}
NEVER_READ = {
    "postgresql": "SELECT relname, indexrelname FROM pg_stat_user_indexes JOIN pg_index USING (indexrelid)"
    " WHERE idx_scan = 0 AND NOT indisunique ORDER BY 1, 2",
    "mysql": "SELECT object_name, index_name FROM performance_schema.table_io_waits_summary_by_index_usage"
    " WHERE object_schema = database() AND index_name <> 'PRIMARY' AND count_star = 0 ORDER BY 1, 2",
}


class CannotError(Exception):
    """The reason and the remedy, in one line."""


def tables() -> list[type[models.Model]]:
    """The managed models that have a table of their own, those of many-to-many fields too."""
    every = apps.get_models(include_auto_created=True)
    return sorted(
        (model for model in every if model._meta.managed and not model._meta.proxy),
        key=lambda model: model._meta.db_table,
    )


def columns(model: type[models.Model]) -> list[Any]:
    """The fields that are stored and not computed by the database."""
    return [field for field in model._meta.local_concrete_fields if not field.generated]


def rows(model: type[models.Model]) -> Iterator[list[Any]]:
    """Every row as values that JSON knows and that are the same on each vendor."""
    for row in model._base_manager.order_by("pk").iterator(BATCH):
        yield [
            None if field.value_from_object(row) is None else field.value_to_string(row)
            for field in columns(model)
        ]


def sums() -> dict[str, list[Any]]:
    """{table: [rows, checksum]}; the checksum does not depend on the order."""
    found = {}
    for model in tables():
        count = total = 0
        for row in rows(model):
            count += 1
            digest = hashlib.sha256(json.dumps(row, sort_keys=True).encode()).digest()
            total = (total + int.from_bytes(digest)) % 2**256
        found[model._meta.db_table] = [count, f"{total:064x}"]
    return found


def read() -> None:
    """Print [table, row] lines of one moment, and a last one that says that they are all."""
    with transaction.atomic():
        for model in tables():
            for row in rows(model):
                print(json.dumps([model._meta.db_table, row]))
    print(json.dumps([None, []]))


def write(lines: Iterable[str]) -> None:
    """Fill the tables with what `read` printed, in one transaction: all of it or nothing."""
    known = {model._meta.db_table: model for model in tables()}
    if known.keys() - set(connection.introspection.table_names()):
        raise CannotError("the target lacks tables; migrate it with the same release first")
    full = [
        name for name, model in known.items() if name not in MADE_BY_MIGRATE and model._base_manager.exists()
    ]
    if full:
        raise CannotError(f"{full[0]} of the target has rows already; give an empty, migrated database")
    last: str | None = ""
    with connection.constraint_checks_disabled(), transaction.atomic():
        for name in ("auth_permission", "django_content_type"):
            if name in known:
                known[name]._base_manager.all()._raw_delete(using=connection.alias)
        for last, group in itertools.groupby(map(json.loads, lines), key=lambda line: line[0]):
            if last is None:
                break
            while batch := list(itertools.islice(group, BATCH)):
                _insert(known[str(last)], [row for _, row in batch])
        if last is not None:
            raise CannotError("the source ended early; its own message says why, nothing was copied")
        connection.check_constraints()
        with connection.cursor() as cursor:
            for statement in connection.ops.sequence_reset_sql(no_style(), list(known.values())):
                cursor.execute(statement)


def _insert(model: type[models.Model], values: list[list[Any]]) -> None:
    """As they are: `raw` keeps moments that Django would set anew."""
    fields = columns(model)
    made = [
        model(**{f.attname: None if v is None else f.to_python(v) for f, v in zip(fields, row, strict=True)})
        for row in values
    ]
    model._base_manager.all()._insert(made, fields=fields, using=connection.alias, raw=True)  # type: ignore[attr-defined]


def indexes() -> Iterator[str]:
    """References without an index, indexes that are the beginning of another, and those that nobody read."""
    for model in tables():
        table = model._meta.db_table
        with connection.cursor() as cursor:
            found = connection.introspection.get_constraints(cursor, table)
        keys = {
            n: c["columns"] for n, c in found.items() if (c["index"] or c["unique"]) and all(c["columns"])
        }
        begins = [
            one["columns"][0] for one in found.values() if one["columns"] and (one["index"] or one["unique"])
        ]
        for field in columns(model):
            if field.remote_field and field.column not in begins and not field.primary_key:
                yield f"missing: {table}.{field.column} refers to another table and begins no index"
        for (name, its), (other, more) in itertools.permutations(keys.items(), 2):
            plain = not found[name]["unique"] and len(its) < len(more)
            if plain and more[: len(its)] == its:
                yield f"unused: {table}.{name} is the beginning of {other}"
    for table, name in _ask(NEVER_READ) if connection.vendor in NEVER_READ else []:
        yield f"unused: {table}.{name} was not read since the server counts"


def slow() -> Iterator[str]:
    """The statements that took most of the time: calls, mean milliseconds, text."""
    if connection.vendor not in SLOW:
        raise CannotError(f"{connection.vendor} keeps no record of statements; look on PostgreSQL or MariaDB")
    try:
        statements = _ask(SLOW)
    except django.db.Error as error:
        raise CannotError(
            "the server keeps no record of statements; have it load what keeps one (docs/databases.md)"
        ) from error
    for calls, mean, text in statements:
        yield f"{calls:>8} x {mean:>9} ms  {' '.join(str(text).split())[:200]}"


def _ask(queries: dict[str, str]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(queries[connection.vendor])
        return list(cursor.fetchall())


def diagram() -> Iterator[str]:
    """The entity-relationship diagram of the application's own models, in Mermaid."""
    yield "erDiagram"
    home = os.getcwd()
    own = [
        model for model in tables() if str(apps.get_app_config(model._meta.app_label).path).startswith(home)
    ]
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


def main() -> None:
    sys.path[0] = os.getcwd()
    django.setup()
    match sys.argv[1:]:
        case ["read"]:
            read()
        case ["write"]:
            write(sys.stdin)
        case ["sums"]:
            print(json.dumps(sums()))
        case ["indexes"]:
            print("\n".join(indexes()))
        case ["slow"]:
            print("\n".join(slow()))
        case ["diagram"]:
            print("\n".join(diagram()))
        case _:
            raise CannotError("give one of read, write, sums, indexes, slow, diagram")


if __name__ == "__main__":
    try:
        main()
    except BrokenPipeError:  # who was read to has said why it stopped
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except (CannotError, ImportError, ImproperlyConfigured, django.db.Error) as error:
        sys.exit(f"error: {' '.join(str(error).split())}")
