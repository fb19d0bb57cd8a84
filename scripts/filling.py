"""Rows for tables of which nothing is known but what PostgreSQL's catalog says: one where there is none, and a million.

A million are copies of those that are there, so that they obey what the rows obey. What has to be unique is shifted in
each copy by its number; where that is a reference, the row that it refers to is copied as well.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

TEMPLATES = 1000  # rows of a table that are copied at most
COLUMNS = """
SELECT a.attname, t.typname, t.typcategory, a.attnotnull, a.atthasdef OR a.attidentity <> '',
    CASE WHEN t.typname IN ('varchar', 'bpchar') AND a.atttypmod > 4 THEN a.atttypmod - 4 ELSE 1000 END
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' ORDER BY a.attnum
"""
REFERENCES = """
SELECT a.attname, c.confrelid::regclass::text, b.attname FROM pg_constraint c
JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
JOIN pg_attribute b ON b.attrelid = c.confrelid AND b.attnum = c.confkey[1]
WHERE c.contype = 'f' AND c.conrelid = %s::regclass AND cardinality(c.conkey) = 1
"""
# What each index that allows no twins looks at; where that are expressions only, the columns in them.
UNIQUE = """
SELECT coalesce(
    (SELECT array_agg(a.attname::text) FROM pg_attribute a WHERE a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey)),
    (SELECT array_agg(a.attname::text) FROM pg_depend d
        JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
        WHERE d.objid = i.indexrelid AND d.refobjid = i.indrelid AND d.refobjsubid > 0))
FROM pg_index i WHERE i.indrelid = %s::regclass AND (i.indisunique OR i.indisexclusion) ORDER BY i.indisprimary DESC
"""
TABLES = """
SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND pg_table_is_visible(c.oid)
AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND c.relname <> 'django_migrations' ORDER BY 1
"""
NUMBERS = ("int2", "int4", "int8", "numeric", "float4", "float8")
# {0} is the column, i the number of the copy, {1} more than the largest number, {2} the longest text, {3} who asks.
SHIFTED = {
    **dict.fromkeys(NUMBERS, "{0} + i * {1}"),
    **dict.fromkeys(("text", "varchar", "bpchar"), "left(to_hex(i) || '{3}' || {0}, {2})"),
    "uuid": "md5({0}::text || i || '{3}')::uuid",
    "date": "{0} + i",
    **dict.fromkeys(("timestamp", "timestamptz"), "{0} + i * interval '1 second'"),
}
SOME = {
    **dict.fromkeys(NUMBERS, "1"),
    **dict.fromkeys(("text", "varchar", "bpchar"), "'x'"),
    **dict.fromkeys(("date", "time", "timetz", "timestamp", "timestamptz"), "now()::{0}"),
    **dict.fromkeys(("json", "jsonb"), "'{{}}'"),
    "bool": "true",
    "uuid": "gen_random_uuid()",
    "interval": "interval '1 day'",
    "bytea": "''",
    "inet": "'127.0.0.1'",
}
Connection = psycopg.Connection[tuple[Any, ...]]


class CannotFillError(Exception):
    """Why a table cannot be filled."""


@dataclass(frozen=True)
class Column:
    """A column that takes values, as the catalog describes it."""

    name: str
    type: str
    category: str
    required: bool
    has_default: bool
    longest: int


class Table:
    """A table and what binds its rows."""

    def __init__(self, connection: Connection, name: str) -> None:
        self.name = name  # quoted where it has to be
        self.columns = {row[0]: Column(*row) for row in connection.execute(COLUMNS, [name])}
        self.references = {row[0]: row[1:] for row in connection.execute(REFERENCES, [name])}
        self.unique: list[list[str]] = [row[0] or [] for row in connection.execute(UNIQUE, [name])]

    def shifted(self) -> set[str]:
        """The columns that a copy has to have other values in: own ones first, for a reference costs another copy."""
        chosen: set[str] = set()
        for names in self.unique:
            able = [name for name in names if name in self.columns and self.columns[name].type in SHIFTED]
            if not able:
                raise CannotFillError(
                    f"{self.name} ({', '.join(names)}) is unique, of types that are not counted up"
                )
            if not chosen & set(names):
                chosen.add(min(able, key=lambda name: name in self.references))
        return chosen


def tables(connection: Connection) -> list[str]:
    """All but Django's own record of migrations."""
    return [row[0] for row in connection.execute(TABLES)]


def _do(connection: Connection, statement: str, *values: Any) -> psycopg.Cursor[tuple[Any, ...]]:
    return connection.execute(statement.encode(), values or None)


def _quoted(name: str) -> str:
    return sql.Identifier(name).as_string(None)


def seed(connection: Connection) -> dict[str, str]:
    """Put a row into each empty table. Returns the tables where that cannot be done, and why."""
    failed: dict[str, str] = {}
    for name in tables(connection):
        try:
            with connection.transaction():
                _seed(connection, name, ())
        except (CannotFillError, psycopg.Error) as error:
            failed[name] = str(error).splitlines()[0]
    return failed


def _seed(connection: Connection, name: str, asked_by: tuple[str, ...]) -> None:
    """:param asked_by: the tables whose rows wait for one to refer to."""
    if name in asked_by or _do(connection, f"SELECT 1 FROM {name} LIMIT 1").fetchone():  # noqa: S608
        return
    table, values = Table(connection, name), {}
    for column in table.columns.values():
        if column.name in table.references:
            other, key = table.references[column.name]
            _seed(connection, other, (*asked_by, name))
            values[column.name] = f"(SELECT {_quoted(key)} FROM {other} LIMIT 1)"  # noqa: S608
        elif column.category == "A" and not column.has_default:
            values[column.name] = "'{}'"
        elif column.type in SOME and not column.has_default:
            values[column.name] = SOME[column.type].format(column.type)
        elif column.required and not column.has_default:
            raise CannotFillError(f"{column.name} is of type {column.type}")
    names = ", ".join(map(_quoted, values))
    _do(connection, f"INSERT INTO {name} ({names}) SELECT {', '.join(values.values())}")


def multiply(connection: Connection, name: str, rows: int) -> None:
    """Fill a table up to this many rows.

    :raises CannotFillError: it has none to copy, or cannot be copied.
    """
    chosen: dict[str, set[str]] = {}
    _gather(connection, Table(connection, name), "TRUE", [], chosen)
    if not chosen[name]:
        raise CannotFillError("it is empty, and no row could be made up")
    (have,) = _do(connection, f"SELECT count(*) FROM {name}").fetchone() or (0,)  # noqa: S608
    copies = -(-(rows - have) // len(chosen[name]))
    involved = {each: Table(connection, each) for each in chosen}
    stride = 1 + max(_largest(connection, table) for table in involved.values())
    try:
        with connection.transaction():
            for each, table in reversed(involved.items()):  # what is referred to comes first
                _copy(connection, table, chosen[each], copies, stride, _mark(name))
    except psycopg.Error as error:
        raise CannotFillError(str(error).splitlines()[0]) from error
    for each in involved:
        _do(connection, f"VACUUM ANALYZE {each}")


def _gather(
    connection: Connection, table: Table, condition: str, values: list[Any], chosen: dict[str, set[str]]
) -> None:
    """Choose rows to copy, by their place, and those that they refer to where the reference is shifted."""
    known = chosen.pop(table.name, set())
    found = _do(
        connection,
        f"SELECT ctid::text FROM {table.name} WHERE {condition} LIMIT {TEMPLATES}",  # noqa: S608
        *values,
    )
    chosen[table.name] = known | {row[0] for row in found}
    if chosen[table.name] == known:
        return
    for column in table.shifted() & table.references.keys():
        other, key = table.references[column]
        referred = f"SELECT {_quoted(column)} FROM {table.name} WHERE ctid = ANY(%s::tid[])"  # noqa: S608
        within = f"{_quoted(key)} IN ({referred})"
        _gather(connection, Table(connection, other), within, [list(chosen[table.name])], chosen)


def _largest(connection: Connection, table: Table) -> int:
    numbers = [name for name in table.shifted() if table.columns[name].type in NUMBERS]
    if not numbers:
        return 0
    largest = ", ".join(f"max({_quoted(name)})" for name in numbers)
    (found,) = _do(connection, f"SELECT ceil(greatest({largest}, 0)) FROM {table.name}").fetchone() or (0,)  # noqa: S608
    return int(found)


def _mark(name: str) -> str:
    """What tells the copies for one table from those for another."""
    return f"-{zlib.crc32(name.encode()):08x}-"


def _copy(
    connection: Connection, table: Table, places: set[str], copies: int, stride: int, mark: str
) -> None:
    shifted = table.shifted()
    values = {
        name: SHIFTED[column.type].format(_quoted(name), stride, column.longest, mark)
        if name in shifted
        else _quoted(name)
        for name, column in table.columns.items()
    }
    # Nothing but the migration is to hold a lock there.
    _do(connection, f"ALTER TABLE {table.name} SET (autovacuum_enabled = false)")
    _do(connection, f"ALTER TABLE {table.name} DISABLE TRIGGER USER")
    names, expressions = ", ".join(map(_quoted, values)), ", ".join(values.values())
    source = (
        f"{table.name}, generate_series(1, {copies}) AS i WHERE {table.name}.ctid = ANY(%s::tid[]) ORDER BY i"
    )
    _do(
        connection,
        f"INSERT INTO {table.name} ({names}) OVERRIDING SYSTEM VALUE SELECT {expressions} FROM {source}",  # noqa: S608
        list(places),
    )
    for name in shifted:
        column = f"pg_get_serial_sequence(%s, %s), max({_quoted(name)})"
        if table.columns[name].type.startswith("int"):
            _do(connection, f"SELECT setval({column}) FROM {table.name}", table.name, name)  # noqa: S608
    _do(connection, "SET CONSTRAINTS ALL IMMEDIATE")
    _do(connection, f"ALTER TABLE {table.name} ENABLE TRIGGER USER")
