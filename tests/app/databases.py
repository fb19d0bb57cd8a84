"""What the service's processes store in: a SQLite file each, or a database each on a PostgreSQL or MariaDB server."""

from __future__ import annotations

import os
import shutil
import sqlite3
import uuid
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pymysql


def server() -> str:
    """The URL of the server that the tests were given, or ''."""
    return os.environ.get("TEST_DATABASE_URL", "")


def new(folder: Path, like: Database | None = None) -> Database:
    """A database, empty or a copy of another; `folder` is the service's DATA_DIR."""
    if not server():
        made = Database("sqlite:///marefia.sqlite3", folder / "marefia.sqlite3")
        if like and like.file:
            shutil.copy(like.file, folder)
        return made
    made = Database(urlsplit(server())._replace(path=f"/service_{uuid.uuid4().hex}").geturl())
    if made.is_mariadb:
        execute(server(), f"CREATE DATABASE {made.name}")
        if like:
            _copy(like, made)
    else:
        template = like.name if like else os.environ.get("TEST_DATABASE_TEMPLATE", "template1")
        execute(server(), f"CREATE DATABASE {made.name} TEMPLATE {template}")
    return made


def _copy(source: Database, made: Database) -> None:
    """MariaDB knows no templates."""
    statements = ["SET foreign_key_checks = 0"]
    for (table,) in source.sql("SHOW TABLES"):
        statements += [
            source.sql(f"SHOW CREATE TABLE {table}")[0][1],
            f"INSERT INTO {table} SELECT * FROM {source.name}.{table}",  # noqa: S608  # its own tables
        ]
    statements += [
        source.sql(f"SHOW CREATE TRIGGER {trigger[0]}")[0][2] for trigger in source.sql("SHOW TRIGGERS")
    ]
    with closing(_mariadb(made.url)) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def _mariadb(url: str) -> Any:
    to = urlsplit(url)
    return pymysql.connect(
        host=to.hostname,
        port=to.port or 3306,
        user=to.username,
        password=to.password or "",
        database=to.path[1:],
        autocommit=True,
        init_command="SET time_zone = '+00:00'",
    )


class Database:
    """One database, as DATABASE_URL names it."""

    def __init__(self, url: str, file: Path | None = None) -> None:
        self.url, self.file = url, file
        self.name = urlsplit(url).path[1:]
        self.is_mariadb = url.startswith("mysql:")

    def sql(self, query: str, *values: Any) -> list[Any]:
        """Return rows, or write; values stand for %s."""
        if not self.file:
            return execute(self.url, query, *values)
        with closing(sqlite3.connect(self.file, timeout=10)) as connection, connection:
            return connection.execute(query.replace("%s", "?"), values).fetchall()

    def drop(self) -> None:
        """Delete it on its server; a file goes with its folder."""
        if not self.file:
            execute(server(), f"DROP DATABASE {self.name}{'' if self.is_mariadb else ' WITH (FORCE)'}")


def execute(url: str, query: str, *values: Any) -> list[Any]:
    """Return rows of a server's database, or write to it."""
    if url.startswith("mysql:"):
        with closing(_mariadb(url)) as connection, connection.cursor() as cursor:
            cursor.execute(query, values or None)
            return list(cursor.fetchall()) if cursor.description else []
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(query, values or None)
        return cursor.fetchall() if cursor.description else []
