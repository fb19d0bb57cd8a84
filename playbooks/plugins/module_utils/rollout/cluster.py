"""A PostgreSQL server beside the one that serves: restored from a backup, read-only, asked, and put in its place."""

from __future__ import annotations

import importlib
import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import pgbackrest
from .errors import RolloutError

VERSION, PORT, BESIDE_PORT = "17", 5432, 5499
HOME = Path("/var/lib/postgresql") / VERSION
MAIN, BESIDE = HOME / "main", HOME / "beside"
UNIT = f"postgresql@{VERSION}-main"
SEGMENT = 16 * 1024 * 1024  # bytes of a file of the write-ahead log
START_SECONDS = 3600.0
LOCK_TRIES = 5
Figures = dict[str, tuple[int, str]]
"""Rows and checksum of each table."""


@contextmanager
def connected(port: int, database: str = "postgres") -> Iterator[Any]:
    """A connection as the superuser, who is known by the user that runs here."""
    psycopg2 = importlib.import_module("psycopg2")
    root = os.geteuid()
    os.seteuid(pwd.getpwnam("postgres").pw_uid)
    try:
        connection = psycopg2.connect(host="/var/run/postgresql", port=port, dbname=database)
    finally:
        os.seteuid(root)
    connection.autocommit = True
    try:
        yield connection
    finally:
        connection.close()


def ask(connection: Any, query: str, *values: Any) -> list[tuple[Any, ...]]:
    """The rows of a query."""
    with connection.cursor() as cursor:
        cursor.execute(query, values or None)
        return list(cursor.fetchall()) if cursor.description else []


def alive() -> bool:
    """Whether the server that serves can be asked."""
    try:
        with connected(PORT):
            return True
    except Exception as error:
        if type(error).__name__ == "OperationalError":
            return False
        raise


def others(name: str, port: int) -> list[str]:
    """Databases that are not this service's."""
    with connected(port) as connection:
        rows = ask(connection, "select datname from pg_database where not datistemplate")
    return sorted({row[0] for row in rows} - {name, "postgres"})


def push() -> None:
    """Have all that is committed by now archived soon, and a later moment in the log to stop at."""
    with connected(PORT) as connection:
        ask(connection, "select pg_current_xact_id()")
        ask(connection, "select pg_switch_wal()")


TABLES = """
    select format('%I.%I', nspname, relname), relpersistence = 'u'
    from pg_class join pg_namespace on pg_namespace.oid = relnamespace
    where relkind = 'r' and relpersistence <> 't' and nspname not in ('pg_catalog', 'information_schema') order by 1
"""
# What a value looks like as text may not depend on settings.
PLAIN = "set timezone to 'UTC'; set datestyle to 'ISO'; set intervalstyle to 'iso_8601'; set bytea_output to 'hex'"


def figures(connection: Any) -> Figures:
    """Rows and checksum of every table that the service keeps; the order of rows does not matter."""
    found: Figures = {}
    ask(connection, PLAIN)
    for table, is_unlogged in ask(connection, TABLES):
        if is_unlogged:
            continue
        ((rows, checksum),) = ask(
            connection,
            f"select count(*), coalesce(sum(hashtextextended(t::text, 0)::numeric), 0) from {table} t",  # noqa: S608 - quoted by PostgreSQL
        )
        found[table] = (rows, str(checksum))
    return found


@dataclass(frozen=True)
class Source:
    """The database at a moment that the log knows by a name."""

    point: str
    taken: float
    held: float
    figures: Figures


def freeze(name: str) -> Source:
    """Name a moment in the log and take the figures of exactly that moment.

    Writers wait while the moment is named: for as long as the transactions that write now take, plus milliseconds.
    """
    point = f"drill-{time.time():.0f}"
    for _ in range(LOCK_TRIES):
        with connected(PORT, name) as holder, connected(PORT, name) as reader, connected(PORT) as root:
            begun = time.monotonic()
            if not _locked(holder):
                continue
            ask(reader, "begin transaction isolation level repeatable read read only")
            ask(reader, "select 1")  # takes the snapshot
            ask(root, "select pg_create_restore_point(%s)", point)
            taken = time.time()
            ask(holder, "rollback")
            held = time.monotonic() - begun
            push()
            return Source(point, taken, held, figures(reader))
    raise RolloutError(
        f"a transaction wrote to {name} for more than a second, {LOCK_TRIES} times", "try again later"
    )


def unlogged(name: str) -> list[str]:
    """Tables that are in no backup, because what is written to them is in no log."""
    with connected(PORT, name) as connection:
        return [table for table, is_unlogged in ask(connection, TABLES) if is_unlogged]


def _locked(holder: Any) -> bool:
    tables = [table for table, _ in ask(holder, TABLES)]
    ask(holder, "begin")
    try:
        ask(holder, "set local lock_timeout = '1s'")
        if tables:
            ask(holder, f"lock table {', '.join(tables)} in share mode")
    except Exception as error:
        if type(error).__name__ in ("LockNotAvailable", "DeadlockDetected"):
            return False
        raise
    return True


@contextmanager
def beside(size: int, *, keep: bool = False) -> Iterator[Path]:
    """An empty folder beside the database's own. Whatever is left there in the end is stopped and removed.

    :param size: bytes that have to fit.
    :param keep: leave it there when nothing failed.
    """
    free = shutil.disk_usage(HOME if HOME.exists() else HOME.parent).free
    if free < size * 1.1:
        raise RolloutError(
            f"{free >> 20} MB free in {HOME}, the restored database needs {size * 1.1 / 2**20:.0f} MB",
            "free space there",
        )
    remove()
    user = pwd.getpwnam("postgres")
    for folder in (HOME, BESIDE):
        folder.mkdir(mode=0o700, exist_ok=True)
        os.chown(folder, user.pw_uid, user.pw_gid)
    try:
        yield BESIDE
    except BaseException:
        remove()
        raise
    if not keep:
        remove()


def remove() -> None:
    """Stop the server beside, if there is one, and remove it."""
    if (BESIDE / "postmaster.pid").exists():
        _control("stop", "--mode=immediate")
    shutil.rmtree(BESIDE, ignore_errors=True)


def _control(action: str, *options: str) -> None:
    program = f"/usr/lib/postgresql/{VERSION}/bin/pg_ctl"
    command = ["runuser", "-u", "postgres", "--", program, action, f"--pgdata={BESIDE}", "--wait", *options]
    done = subprocess.run(
        command, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=START_SECONDS + 60, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RolloutError(f"the restored database did not {action}: {_last_words() or done.stdout.strip()}")


def _last_words() -> str:
    log = BESIDE / "server.log"
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return next((line for line in reversed(lines) if "FATAL" in line or "ERROR" in line), "")


def start(address: str = "") -> None:
    """Start the server beside, on a port of its own: for this host's superuser, and at an address if one is given."""
    settings = {
        "config_file": f"/etc/postgresql/{VERSION}/main/postgresql.conf",
        "data_directory": BESIDE,
        "port": BESIDE_PORT,
        "listen_addresses": address,
        "external_pid_file": "",
        "cluster_name": "beside",
        "shared_buffers": "64MB",
    }
    told = " ".join(f"-c {key}='{value}'" for key, value in settings.items())
    _control("start", f"--timeout={START_SECONDS:.0f}", f"--log={BESIDE}/server.log", f"--options={told}")


def let_in(clients: list[str]) -> None:
    """Let these addresses through the host's firewall to the server beside, and nobody from before any more."""
    if not shutil.which("nft"):
        return  # this host has no firewall
    table = subprocess.run(
        ["nft", "list", "table", "inet", "host"], capture_output=True, text=True, check=False
    )
    if table.returncode:
        return  # or not ours
    if f"dport {BESIDE_PORT}" in table.stdout:
        subprocess.run(["systemctl", "reload", "nftables"], check=True, capture_output=True)
    if clients:
        rule = f"add rule inet host input ip saddr {{ {', '.join(clients)} }} tcp dport {BESIDE_PORT} accept"
        subprocess.run(["nft", rule], check=True, capture_output=True)


def replayed(port: int, *, paused: bool) -> None:
    """Wait until the log is replayed: to where it was to pause, or as far as it is archived."""

    def there() -> bool:
        with connected(port) as connection:
            if paused:
                return bool(ask(connection, "select pg_get_wal_replay_pause_state() = 'paused'")[0][0])
            before = ask(connection, "select pg_last_wal_replay_lsn() - '0/0'")[0][0]
            time.sleep(1)
            after = ask(connection, "select pg_last_wal_replay_lsn() - '0/0'")[0][0]
        return bool(before == after and after // SEGMENT >= segment(pgbackrest.archived()))

    _await(there)


def _await(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            if holds():
                return
        except Exception as error:
            if type(error).__name__ not in ("OperationalError", "AdminShutdown"):
                raise
            if words := _last_words():
                raise RolloutError(f"the restored database ended: {words}") from error
        if time.monotonic() > end:
            raise RolloutError(f"the log was not replayed in {START_SECONDS:.0f} s")
        time.sleep(0.2)


def segment(name: str) -> int:
    """The number of a file of the write-ahead log, by its name."""
    return int(name[8:16], 16) * (2**32 // SEGMENT) + int(name[16:24], 16) if name else 0


def swap() -> str:
    """Put the restored database in the place of the one that serves, which is kept. Returns where that is now."""
    with connected(BESIDE_PORT) as connection:
        paused = ask(connection, "select pg_get_wal_replay_pause_state() = 'paused'")[0][0]
    _control("stop", "--mode=fast")
    _systemctl("stop")
    kept = ""
    if MAIN.exists():
        kept = str(MAIN.with_name(f"main.before-{time.time():.0f}"))
        MAIN.rename(kept)
    BESIDE.rename(MAIN)
    _systemctl("start")
    replayed(PORT, paused=paused)
    with connected(PORT) as connection:
        ask(connection, "select pg_promote(true, 300)")
        ask(connection, "checkpoint")  # before the next backup looks which timeline this is
        for setting in ("restore_command", "recovery_target_time", "recovery_target_action"):
            ask(connection, f"alter system reset {setting}")
    return kept


def _systemctl(action: str) -> None:
    # One that crashed too often, for want of its files, would not be started.
    subprocess.run(["systemctl", "reset-failed", UNIT], check=False, capture_output=True)
    done = subprocess.run(["systemctl", action, UNIT], check=False, capture_output=True, text=True)
    if done.returncode:
        raise RolloutError(
            f"PostgreSQL did not {action}: {done.stderr.strip()}", f"`journalctl -u {UNIT}` says why"
        )
