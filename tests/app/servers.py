"""PostgreSQL, MariaDB and Redis for tests, as containers of any Docker engine; they end with the tests."""

from __future__ import annotations

import socket
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pymysql

from tests import parts
from tests.app import databases
from tests.app.service import wait_for

PASSWORD = "quiet-hills-7"  # pragma: allowlist secret


class Server:
    """One container, whose port stays the same when it is started again."""

    def __init__(self, image: str, port: int, *options: str, command: tuple[str, ...] = ()) -> None:
        self.name = f"tests-{uuid.uuid4().hex[:12]}"
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        publish = f"127.0.0.1:{self.port}:{port}"
        docker("run", "--detach", "--name", self.name, "--publish", publish, *options, image, *command)

    def do(self, what: str, *options: str) -> None:
        """Stop, start, kill, pause or unpause it."""
        docker(what, *options, self.name)


@contextmanager
def postgresql() -> Iterator[tuple[Server, str]]:
    """A PostgreSQL server, and the URL of its administrator's database."""
    has_engine()
    # A crash of the machine is not tested: nothing has to be synced.
    server = Server("postgres:17", 5432, "--env", f"POSTGRES_PASSWORD={PASSWORD}", command=("-cfsync=off",))
    url = f"postgres://postgres:{PASSWORD}@127.0.0.1:{server.port}/postgres"
    try:
        wait_for(lambda: answers(url), 60)
        yield server, url
    finally:
        docker("rm", "--force", "--volumes", server.name)


@contextmanager
def mariadb() -> Iterator[tuple[Server, str]]:
    """A MariaDB server, and the URL of an empty database as its administrator."""
    has_engine()
    told = ("--env", f"MARIADB_ROOT_PASSWORD={PASSWORD}", "--env", "MARIADB_DATABASE=service")
    server = Server("mariadb:11.8", 3306, *told, command=("--innodb-flush-log-at-trx-commit=0",))
    url = f"mysql://root:{PASSWORD}@127.0.0.1:{server.port}/service"
    try:
        wait_for(lambda: takes_connections(url), 60)
        yield server, url
    finally:
        docker("rm", "--force", "--volumes", server.name)


@contextmanager
def redis() -> Iterator[tuple[Server, str]]:
    """A Redis server with PASSWORD, and its URL without."""
    has_engine()
    server = Server("redis:8.0", 6379, command=("redis-server", "--requirepass", PASSWORD))
    try:
        wait_for(lambda: says_pong(server.port), 60)
        yield server, f"redis://127.0.0.1:{server.port}/0"
    finally:
        docker("rm", "--force", "--volumes", server.name)


def answers(url: str) -> bool:
    """Whether a PostgreSQL server takes connections."""
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def takes_connections(url: str) -> bool:
    """Whether a MariaDB server does."""
    try:
        databases.execute(url, "SELECT 1")
    except pymysql.OperationalError:
        return False
    return True


def says_pong(port: int) -> bool:
    """Whether a Redis server answers PASSWORD."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as asked:
            asked.sendall(f"AUTH {PASSWORD}\r\n".encode())
            return asked.recv(100).startswith(b"+OK")
    except OSError:
        return False


def has_engine() -> None:
    """Skip or fail the test where there is no Docker engine."""
    try:
        docker("version")
    except (OSError, AssertionError) as error:
        parts.absent("docker", str(error).splitlines()[-1])


def docker(*words: str) -> str:
    """Run a command of the engine's client; it has to succeed."""
    done = subprocess.run(["docker", *words], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
