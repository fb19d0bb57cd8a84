"""What the service's processes store in: a SQLite file each, or a database each on a PostgreSQL server."""

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


def server() -> str:
    """The URL of the PostgreSQL server that the tests were given, or ''."""
    return os.environ.get("TEST_DATABASE_URL", "")


def new(folder: Path, like: Database | None = None) -> Database:
    """A database, empty or a copy of another; `folder` is the service's DATA_DIR."""
    if not server():
        made = Database("sqlite:///marefia.sqlite3", folder / "marefia.sqlite3")
        if like and like.file:
            shutil.copy(like.file, folder)
        return made
    made = Database(urlsplit(server())._replace(path=f"/service_{uuid.uuid4().hex}").geturl())
    execute(server(), f"CREATE DATABASE {made.name} TEMPLATE {like.name if like else 'template1'}")
    return made


class Database:
    """One database, as DATABASE_URL names it."""

    def __init__(self, url: str, file: Path | None = None) -> None:
        self.url, self.file = url, file
        self.name = urlsplit(url).path[1:]

    def sql(self, query: str, *values: Any) -> list[Any]:
        """Return rows, or write; values stand for %s."""
        if not self.file:
            return execute(self.url, query, *values)
        with closing(sqlite3.connect(self.file, timeout=10)) as connection, connection:
            return connection.execute(query.replace("%s", "?"), values).fetchall()

    def drop(self) -> None:
        """Delete it on its server; a file goes with its folder."""
        if not self.file:
            execute(server(), f"DROP DATABASE {self.name} WITH (FORCE)")


def execute(url: str, query: str, *values: Any) -> list[Any]:
    """Return rows of a PostgreSQL database, or write to it."""
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(query, values or None)
        return cursor.fetchall() if cursor.description else []
