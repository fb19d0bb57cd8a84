"""What a database's own server knows, and its own client; scripts/db says when.

    server.py indexes | slow | shell

Runs as inside.py says.
"""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Iterator
from typing import Any, NoReturn

import django
from django.db import connection
from inside import CannotError, command, connect
from rows import columns, tables

SLOW = {
    "postgresql": "SELECT calls, round(mean_exec_time::numeric, 1), query FROM pg_stat_statements"
    " WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())"
    " ORDER BY total_exec_time DESC LIMIT 20",
    "mysql": "SELECT count_star, round(avg_timer_wait / 1e9, 1), digest_text"
    " FROM performance_schema.events_statements_summary_by_digest"
    " WHERE schema_name = database() ORDER BY sum_timer_wait DESC LIMIT 20",
}
# Since when a database's own server counts, where it says so.
COUNTS_SINCE = {
    "postgresql": "SELECT to_char(stats_reset AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI UTC') FROM pg_stat_database"
    " WHERE datname = current_database()",
    "mysql": "SELECT NULL",
}
NEVER_READ = {
    "postgresql": "SELECT relname, indexrelname FROM pg_stat_user_indexes WHERE idx_scan = 0 ORDER BY 1, 2",
    "mysql": "SELECT object_name, index_name FROM performance_schema.table_io_waits_summary_by_index_usage"
    " WHERE object_schema = database() AND index_name IS NOT NULL AND count_star = 0 ORDER BY 1, 2",
}
# Whether the server counts at all: one that does not answers with nothing, as if all were well.
COUNTS = {
    "postgresql": "SELECT current_setting('track_counts') = 'on'",
    "mysql": "SELECT @@performance_schema",
}
RECORDS_WITH = {
    "postgresql": "set shared_preload_libraries = 'pg_stat_statements', start the server again and"
    " CREATE EXTENSION pg_stat_statements",
    "mysql": "set performance_schema = ON, start the server again and GRANT SELECT ON performance_schema.* to"
    " the service's user",
}
COUNTS_WITH = RECORDS_WITH | {"postgresql": "set track_counts = on"}


def indexes() -> Iterator[str]:
    """References without an index, indexes that are the beginning of another, and those that nobody read."""
    connect()
    readers: set[tuple[str, str]] = set()
    spoken_of: set[tuple[str, str]] = set()
    serve: list[set[tuple[str, str]]] = []  # those that serve the same reference: one of them has to stay
    for table, model in tables().items():
        with connection.cursor() as cursor:
            found = connection.introspection.get_constraints(cursor, table)
        # What keeps values unique or a reference whole is needed, read or not. An exclusion is no plain index.
        plain = {n for n, c in found.items() if c["index"] and not c["unique"] and not c["foreign_key"]}
        readers |= {(table, name) for name in plain}
        own = (*model._meta.indexes, *model._meta.constraints)
        partial = {one.name for one in own if getattr(one, "condition", None)}
        found = {n: c for n, c in found.items() if n not in partial and (c["index"] or c["unique"])}
        keys = {n: c["columns"] for n, c in found.items() if all(c["columns"])}
        for field in columns(model):
            if field.remote_field and not field.primary_key:
                begin = {(table, n) for n, c in found.items() if c["columns"][:1] == [field.column]}
                if begin:
                    serve.append(begin)
                else:
                    yield f"missing: {table}.{field.column} refers to another table and begins no index"
        for (name, its), (other, more) in itertools.permutations(keys.items(), 2):
            shorter = not found[name]["unique"] and len(its) < len(more)
            if shorter and more[: len(its)] == its:
                spoken_of |= {(table, name), (table, other)}
                yield f"unused: {table}.{name} is the beginning of {other}"
    yield from _never_read(readers - spoken_of, serve)


def _never_read(readers: set[tuple[str, str]], serve: list[set[tuple[str, str]]]) -> Iterator[str]:
    """Those of these indexes that the server never read; or that it does not count, with the remedy.

    Of each set in `serve` one is left out, where all of it would be named.
    """
    unknown = "unknown: which indexes are never read"
    if connection.vendor not in COUNTS:
        yield f"{unknown}; {connection.vendor} does not count that: EXPLAIN QUERY PLAN names what a query reads"
        return
    try:
        never = _ask(NEVER_READ) if _ask(COUNTS)[0][0] else None
    except django.db.Error:  # not for this user
        never = None
    if never is None:
        yield f"{unknown}; {COUNTS_WITH[connection.vendor]}"
        return
    unused = readers & set(never)
    for begin in serve:
        if begin <= unused:
            unused.remove(min(begin))
    since = _ask(COUNTS_SINCE)[0][0]
    for table, name in sorted(unused):
        yield f"unused: {table}.{name} was not read since {since or 'the server counts'}"


def slow() -> Iterator[str]:
    """The statements that took most of the time: calls, mean milliseconds, text."""
    if connection.vendor not in SLOW:
        raise CannotError(f"{connection.vendor} keeps no record of statements; look on PostgreSQL or MariaDB")
    connect()
    wanted = f"the server keeps no record of statements; {RECORDS_WITH[connection.vendor]}"
    if connection.vendor == "mysql" and not _ask(COUNTS)[0][0]:  # its tables are there, and empty
        raise CannotError(wanted)
    try:
        statements = _ask(SLOW)
    except django.db.Error as error:
        raise CannotError(wanted) from error
    for calls, mean, text in statements:
        yield f"{calls:>8} x {mean:>9} ms  {' '.join(str(text).split())[:200]}"


def _ask(queries: dict[str, str]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(queries[connection.vendor])
        return list(cursor.fetchall())


def shell() -> NoReturn:
    """Become the database's own client, told what the release's own connection is told; no password in its words."""
    settings = connection.settings_dict
    words, more = connection.client.settings_to_cmd_args_env(settings, [])
    if connection.vendor == "postgresql":
        words = ["psql", _conninfo(settings)]
    if connection.vendor == "mysql":
        words = [word for word in words if not word.startswith("--ssl")]
        words[0] = next((name for name in ("mariadb", "mysql") if shutil.which(name)), "mariadb")
        words[-1:-1] = [*_tls(settings["OPTIONS"]), f"--init-command={settings['OPTIONS']['init_command']}"]
    if not shutil.which(words[0]):
        raise CannotError(f"{words[0]} is not installed; install this client of the database")
    os.execvpe(words[0], [*words], os.environ | (more or {}))  # noqa: S606 - no shell, by intent


def _conninfo(settings: dict[str, Any]) -> str:
    """All that libpq is told, as it understands its own words; Django hands on but a few of them."""
    from psycopg import conninfo, pq

    known = {each.keyword.decode() for each in pq.Conninfo.get_defaults()} - {"password", "sslpassword"}
    names = {"dbname": "NAME", "user": "USER", "host": "HOST", "port": "PORT"}
    told = {word: settings[name] or None for word, name in names.items()}
    return conninfo.make_conninfo(
        **told | {word: value for word, value in settings["OPTIONS"].items() if word in known}
    )


def _tls(options: dict[str, Any]) -> list[str]:
    """PyMySQL's words for TLS as those of MariaDB's client: ssl={"ca": ...} or ssl_ca=..."""
    tls = {name.removeprefix("ssl_"): value for name, value in options.items() if name.startswith("ssl_")}
    tls |= {"verify_identity": True} | options["ssl"] if options.get("ssl") else {}
    words = [f"--ssl-{name}={tls[name]}" for name in ("ca", "cert", "key") if tls.get(name)]
    if tls.get("disabled"):
        return ["--skip-ssl"]
    return [*words, "--ssl-verify-server-cert"] if tls.get("verify_identity") else words


def main(words: list[str]) -> None:
    match words:
        case ["indexes"]:
            print("\n".join(indexes()))
        case ["slow"]:
            print("\n".join(slow()))
        case ["shell"]:
            shell()
        case _:
            raise CannotError("give one of indexes, slow, shell")


if __name__ == "__main__":
    command(main)
