"""Backups of a service's SQLite files: a folder `backups/MOMENT` with the copies and what they have to be.

`VACUUM INTO` copies a database as it is at one moment, whoever writes to it. A writer waits meanwhile, so that the
figures noted beside the copy are the source's at that very moment.
"""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from .database import complaint, in_release
from .errors import RolloutError, differences
from .files import read_env, read_json, sha256, write_json
from .pgbackrest import DAY, moment, when
from .place import Place

NOTE = "backup.json"
STAMP = "%Y%m%dT%H%M%SZ"
BUSY_SECONDS = 60.0
CHECK_SECONDS = 120.0
Figures = dict[str, list[Any]]
"""Rows and checksum of each table."""


def figures(path: Path) -> Figures:
    """Rows and checksum of every table; the order of rows does not matter."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=BUSY_SECONDS)) as database:
        tables = [row[0] for row in database.execute("select name from sqlite_master where type = 'table'")]
        found: Figures = {}
        for table in sorted(tables):
            total = rows = 0
            for row in database.execute(f'select * from "{table}"'):  # noqa: S608 - its own name for it
                rows += 1
                total += int.from_bytes(hashlib.blake2b(repr(row).encode(), digest_size=8).digest(), "big")
            found[table] = [rows, f"{total % 2**64:016x}"]
    return found


def make(place: Place, keep_days: float) -> Path:
    """Copy every file of the service's state, note what was copied, and prune. Returns the new folder."""
    now = time.time()
    folder = place.root / "backups"
    folder.mkdir(mode=0o700, exist_ok=True)
    for rest in folder.glob(".*Z"):  # of one that was killed
        shutil.rmtree(rest)
    stamp = time.strftime(STAMP, time.gmtime(now))
    partial = folder / f".{stamp}"
    partial.mkdir(mode=0o700)
    noted = {}
    for source in _sources(place):
        target = partial / source.name
        try:
            with closing(sqlite3.connect(source, timeout=BUSY_SECONDS, isolation_level=None)) as holder:
                holder.execute("begin immediate")
                with closing(sqlite3.connect(source, timeout=BUSY_SECONDS)) as reader:
                    reader.execute("vacuum into ?", (str(target),))
                before = figures(source)
        except sqlite3.Error as error:
            raise RolloutError(
                f"{source} cannot be copied to {folder}: {error}", "mend that and try again"
            ) from error
        noted[source.name] = {"sha256": sha256(target), "figures": before}
    write_json(partial / NOTE, {"taken": now, "files": noted})
    made = folder / stamp
    partial.rename(made)
    for old in known(place)[:-1]:
        if read_json(old / NOTE)["taken"] < now - keep_days * DAY:
            shutil.rmtree(old)
    whole(made)
    return made


def _sources(place: Place) -> list[Path]:
    if not place.current:
        raise RolloutError(f"nothing serves in {place.root}", "run `make up`")
    names = place.service(place.current["version"]).state
    if not names:
        raise RolloutError("the service file names no `state`", "docs/service-file.md explains it")
    return [path for name in names if (path := place.root / "data" / name).exists()]


def known(place: Place) -> list[Path]:
    """All backups, oldest first."""
    return sorted(path.parent for path in place.root.glob(f"backups/[0-9]*Z/{NOTE}"))


def judge(place: Place, most_days: float, named: str) -> Path:
    """The backup to restore: the newest, or the newest until a moment that a person named.

    :raises RolloutError: there is none, it is too old, or it is not what was written.
    """
    there = known(place)
    if not there:
        raise RolloutError(f"{place.root}/backups holds no backup", "make one: `make backup`")
    fit = [path for path in there if not named or read_json(path / NOTE)["taken"] <= when(named)]
    if not fit:
        raise RolloutError(f"the oldest backup is {there[0].name}", "name a TIME after that")
    age = (time.time() - read_json(fit[-1] / NOTE)["taken"]) / DAY
    if not named and age > most_days:
        raise RolloutError(
            f"the newest backup, {fit[-1].name}, is {age:.1f} days old; at most {most_days:g} are allowed",
            "`make backup`, or restore by TIME",
        )
    whole(fit[-1])
    return fit[-1]


def whole(backup: Path) -> None:
    """Raises RolloutError that names a file which is not what was written."""
    for name, noted in read_json(backup / NOTE)["files"].items():
        copy = backup / name
        if not copy.exists() or sha256(copy) != noted["sha256"]:
            raise RolloutError(
                f"the backup {backup.name} is damaged: {name} is not what was written",
                f"delete {backup}, and the one before it is the newest",
            )


def restore(place: Place, backup: Path) -> list[str]:
    """Put copies in the place of the files, which are kept. The service must not run. Returns where they are now."""
    kept = []
    for name in read_json(backup / NOTE)["files"]:
        live = place.root / "data" / name
        partial = live.with_name(f".{name}.restored")
        shutil.copyfile(backup / name, partial)
        if live.exists():
            with closing(sqlite3.connect(live, timeout=BUSY_SECONDS)) as database:
                database.execute("pragma wal_checkpoint(truncate)")
            aside = live.with_name(f"{name}.before-{time.time():.0f}")
            live.rename(aside)
            kept.append(str(aside))
        for rest in ("-wal", "-shm"):
            Path(f"{live}{rest}").unlink(missing_ok=True)
        partial.rename(live)
    return kept


def drill(place: Place, backup: Path) -> tuple[int, int]:
    """Restore beside the service, compare, and have the release check it. Returns how many tables and rows."""
    tables = rows = 0
    with tempfile.TemporaryDirectory(prefix="drill-") as folder:
        data = Path(folder)
        for name, noted in read_json(backup / NOTE)["files"].items():
            copy = data / name
            shutil.copyfile(backup / name, copy)
            with closing(sqlite3.connect(copy)) as database:
                ((said,),) = database.execute("pragma integrity_check").fetchmany(1)
            restored = figures(copy)
            differ = differences(noted["figures"], restored) or said.replace("ok", "")
            if differ:
                raise RolloutError(f"{name} of {backup.name} differs (rows, checksum): {differ}")
            tables, rows = tables + len(restored), rows + sum(count for count, _ in restored.values())
        version = str((place.current or {})["version"])
        told = read_env(place.root / "slots" / place.serving / "env")
        command = ["env", f"DATA_DIR={data}", "/bin/sh", "-c", place.service(version).check]
        done = in_release(place, version, command, told, CHECK_SECONDS)
        if done.returncode:
            raise RolloutError(f"the check of {version} on {backup.name} failed: {complaint(done)}")
    return tables, rows


def taken(backup: Path) -> str:
    """When it was made, for people."""
    return moment(read_json(backup / NOTE)["taken"])


def age(backup: Path) -> float:
    """Seconds since it was made: what the loss of the disk costs."""
    return time.time() - float(read_json(backup / NOTE)["taken"])
