"""PostgreSQL to try things on: databases on the server of MIGRATIONS_DATABASE_URL, else on one in a container.

What is made here is gone at the end, also when that is an interrupt.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import quote, urlsplit

import psycopg
from psycopg import conninfo, pq, sql

from rollout.errors import RolloutError

VARIABLE = "MIGRATIONS_DATABASE_URL"
IMAGE = "postgres:17"
STARTS_WITHIN = 60  # seconds
OLDEST = 140000  # client_connection_check_interval, which a rollout sets


class AbsentError(Exception):
    """There is no PostgreSQL here, and why not."""


class Server:
    """A server, reached as somebody who may create databases; `url` has the password and names any database."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.made: list[str] = []

    def create(self, like: str = "template1", name: str = "") -> str:
        """A new database, which is a copy of another. Returns its name."""
        name = name or f"migrations_{uuid.uuid4().hex[:12]}"
        self.made.append(name)
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
            sql.Identifier(name), sql.Identifier(like)
        )
        with self.connect() as connection:
            connection.execute(statement)
        return name

    def close(self) -> None:
        """Drop what was made; no interrupt stops that."""
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_IGN)
        with self.connect() as connection:
            for name in self.made:
                statement = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
                connection.execute(statement)

    @contextmanager
    def connect(self, database: str = "") -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
        """A connection that commits by itself."""
        options = {"dbname": database} if database else {}
        with psycopg.connect(self.url, autocommit=True, connect_timeout=10, **options) as connection:  # type: ignore[arg-type]
            yield connection

    def told(self, database: str) -> dict[str, str]:
        """The variables by which a program reaches a database: DATABASE_URL, and those of PostgreSQL's own library."""
        words = conninfo.conninfo_to_dict(self.url) | {"dbname": database}
        names = {each.keyword.decode(): each.envvar for each in pq.Conninfo.get_defaults()}
        own = {
            envvar.decode(): str(words[word]) for word, envvar in names.items() if envvar and words.get(word)
        }
        parts = urlsplit(self.url)
        query = f"?{parts.query}" if parts.query else ""
        return own | {"DATABASE_URL": f"postgres://{parts.netloc}/{database}{query}"}


@contextmanager
def server() -> Iterator[Server]:
    """The server, until what was made there is dropped.

    :raises AbsentError: none is named, and no Docker engine has one.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if url := os.environ.get(VARIABLE):
        with _databases(_with_password(url)) as named:
            yield named
    else:
        with _container() as url, _databases(url) as own:
            yield own


@contextmanager
def _databases(url: str) -> Iterator[Server]:
    try:
        with closing(Server(url)) as made:
            with made.connect() as connection:
                if connection.info.server_version < OLDEST:
                    raise RolloutError("this PostgreSQL is older than 14", f"name a newer one: {VARIABLE}")
            yield made
    except (psycopg.OperationalError, psycopg.ProgrammingError) as error:
        raise RolloutError(
            f"PostgreSQL: {str(error).splitlines()[0]}",
            f"look at {VARIABLE}, whose user has to be one who may create databases",
        ) from error


def _with_password(url: str) -> str:
    """The password stands in the URL, or beside it as PGPASSWORD."""
    parts, password = urlsplit(url), os.environ.get("PGPASSWORD")
    if parts.scheme not in ("postgres", "postgresql"):
        raise RolloutError(f"{VARIABLE} names no PostgreSQL", "give postgres://user@host:port/name")
    if parts.password or not (password and parts.username):
        return url
    user, _, host = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{user.removesuffix(':')}:{quote(password, safe='')}@{host}").geturl()


@contextmanager
def _container() -> Iterator[str]:
    name, password = f"migrations-{uuid.uuid4().hex[:12]}", secrets.token_hex(16)
    _docker("version")
    try:
        options = ["--detach", "--name", name, "--publish", "127.0.0.1::5432", "--env", "POSTGRES_PASSWORD"]
        _docker("run", *options, IMAGE, POSTGRES_PASSWORD=password)
        port = _docker("port", name, "5432/tcp").split(":")[-1].strip()
        url = f"postgres://postgres:{password}@127.0.0.1:{port}/postgres"
        _await(url)
        yield url
    finally:
        subprocess.run(["docker", "rm", "--force", "--volumes", name], capture_output=True, check=False)


def _docker(*words: str, **told: str) -> str:
    """What the engine's client says. :raises AbsentError: there is none, or it cannot do that."""
    try:
        done = subprocess.run(
            ["docker", *words],
            env=os.environ | told,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise AbsentError(f"docker {words[0]}: {error}") from error
    if done.returncode:
        raise AbsentError(f"docker {words[0]}: {done.stderr.strip().splitlines()[-1]}")
    return done.stdout


def _await(url: str) -> None:
    end = time.monotonic() + STARTS_WITHIN
    while True:
        try:
            psycopg.connect(url, connect_timeout=2).close()
        except psycopg.OperationalError as error:
            if time.monotonic() > end:
                raise AbsentError(f"{IMAGE} does not answer after {STARTS_WITHIN} s") from error
            time.sleep(0.2)
        else:
            return
