"""Runs a command under a lock in the database (PostgreSQL's, MariaDB's): one migration at a time, from whichever host.

    migration_lock.py SECONDS COMMAND [ARGUMENT...]

As the judge it is handed over to run inside a release: with the release's Python, its application folder as working
directory and DJANGO_SETTINGS_MODULE set. The command takes this process's place and inherits the connection: the
lock is free when the command has ended and not before, whoever is killed meanwhile. Status 75: not within SECONDS.
"""

from __future__ import annotations

import os
import sys

import django
from django.db import DEFAULT_DB_ALIAS, OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

LOCK = 0x6D696772617465  # any number that others are unlikely to take; PostgreSQL's locks are one database's
LOCK_NOT_AVAILABLE = "55P03"  # https://www.postgresql.org/docs/current/errcodes-appendix.html
STILL_LOCKED = 75  # EX_TEMPFAIL of sysexits.h


def main() -> None:
    """Take the lock and become the command."""
    seconds, command = float(sys.argv[1]), sys.argv[2:]
    sys.path[0] = os.getcwd()
    django.setup()
    connection = connections[DEFAULT_DB_ALIAS]
    taken = {"postgresql": on_postgresql, "mysql": on_mariadb}[connection.vendor](connection, seconds)
    if taken is None:
        sys.exit(STILL_LOCKED)
    os.set_inheritable(taken, True)
    os.execvp(command[0], command)  # noqa: S606  # its own words, no shell


def on_postgresql(connection: BaseDatabaseWrapper, seconds: float) -> int | None:
    """The descriptor of the connection that holds the lock; None: another one has it still after these seconds."""
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        cursor.execute(f"SET lock_timeout = {max(1, int(seconds * 1000))}")
        try:
            cursor.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", "") == LOCK_NOT_AVAILABLE:
                return None
            raise
    return int(connection.connection.fileno())


def on_mariadb(connection: BaseDatabaseWrapper, seconds: float) -> int | None:
    """The same there, where locks are the whole server's: hence the database in its name, cut to 64 characters."""
    with connection.cursor() as cursor:
        # The connection says nothing while the command runs: no server may end it for that.
        cursor.execute("SET wait_timeout = 86400")
        cursor.execute("SELECT GET_LOCK(LEFT(CONCAT('migrate ', DATABASE()), 64), %s)", [seconds])
        if cursor.fetchone()[0] != 1:
            return None
    # PyMySQL's socket, or mysqlclient's number.
    driver = connection.connection
    return int(driver._sock.fileno() if hasattr(driver, "_sock") else driver.fileno())


if __name__ == "__main__":
    main()
