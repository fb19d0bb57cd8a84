"""What pgBackRest knows: which backups there are, and whether every byte of the repository is as it was written."""

from __future__ import annotations

import json
import re
import subprocess
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from .errors import RolloutError

STANZA = "main"
ARCHIVE = "the archived log"
DAY = 86400
MISSING = (1, 3)  # the codes by which `info` says that nothing was ever made here


@dataclass(frozen=True)
class Backup:
    """A backup: its name in the repository, when it was finished (Unix time), the bytes of the database."""

    label: str
    stop: float
    size: int

    @property
    def ended(self) -> str:
        return moment(self.stop)


def moment(seconds: float) -> str:
    """A Unix time as people and PostgreSQL write it."""
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(sep=" ", timespec="seconds")  # noqa: UP017


def when(text: str) -> float:
    """The Unix time that a person named. Without an offset it is UTC."""
    try:
        named = datetime.fromisoformat(text)
    except ValueError as error:
        raise RolloutError(
            f"TIME={text} is no moment", "write it as TIME=2026-11-23T12:00:00+00:00"
        ) from error
    return (named if named.tzinfo else named.replace(tzinfo=timezone.utc)).timestamp()  # noqa: UP017


def tell(*arguments: str, seconds: float = 3600) -> str:
    """Run pgBackRest as its user. Returns what it printed; raises RolloutError with its complaint."""
    command = ["runuser", "-u", "postgres", "--", "pgbackrest", f"--stanza={STANZA}", *arguments]
    # What another password makes of a file is no text, and part of the complaint.
    done = subprocess.run(
        command, cwd="/", capture_output=True, text=True, errors="replace", timeout=seconds, check=False
    )
    if done.returncode:
        said = (done.stderr + done.stdout).strip().splitlines()
        errors = [line.partition("ERROR:")[2].strip() for line in said if "ERROR:" in line]
        raise RolloutError(f"pgbackrest {arguments[-1]}: {(errors or said or ['no word'])[0]}")
    return done.stdout


def ready() -> bool:
    """Have a repository for this database that takes what is archived. Returns whether it was made now."""
    made = _status(_info()) in MISSING
    try:
        if made:
            tell("stanza-create")
        tell("check")
    except RolloutError as error:
        if "do not match the database" in str(error) or "system-id" in str(error):
            raise RolloutError(
                "the repository holds the backups of another database than the one that runs here",
                "`make restore` brings that one back; or name another backup_repository",
            ) from error
        raise RolloutError(str(error), "mend that and run site again") from error
    return made


def backups() -> list[Backup]:
    """All that are there, oldest first."""
    return [
        Backup(each["label"], float(each["timestamp"]["stop"]), int(each["info"]["size"]))
        for each in _info().get("backup", [])
    ]


def archived() -> str:
    """The newest file of the write-ahead log that is archived."""
    return max(
        (each["max"] or "" for each in _info().get("archive", [])), key=lambda name: name[8:], default=""
    )


def _info() -> dict[str, Any]:
    (stanza,) = json.loads(tell("--output=json", "info"), strict=False)
    if _status(stanza) > max(MISSING):
        raise RolloutError(
            f"the repository cannot be read: {stanza['repo'][0]['status']['message'].splitlines()[0].rstrip(':')}",
            "is BACKUP_PASSWORD the one that it was made with?",
        )
    return dict(stanza)


def _status(stanza: dict[str, Any]) -> int:
    return int(stanza["status"]["code"])


def make(*, full: bool) -> Backup:
    """Back up, on top of a full backup that is at most a week old, and prune. Returns the new one."""
    newest_full = max((each.stop for each in backups() if each.label.endswith("F")), default=0.0)
    kind = "full" if full or newest_full < time.time() - 7 * DAY else "diff"
    tell(f"--type={kind}", "backup")
    return backups()[-1]


def judge(most_days: float, named: float | None) -> Backup:
    """The backup to restore from, after every byte of the repository was read and compared.

    :param most_days: how old the newest may be, when no moment is named.
    :param named: the moment (Unix time) to restore.
    :raises RolloutError: there is none for that moment, it is too old, or something in the repository is damaged.
    """
    if named and named > time.time():
        raise RolloutError(f"{moment(named)} is yet to come", "name a moment that has been")
    known = backups()
    if not known:
        raise RolloutError("the repository holds no backup", "make one: `make backup`")
    fit = [each for each in known if named is None or each.stop <= named]
    if not fit:
        raise RolloutError(
            f"the oldest backup, {known[0].label}, ended at {known[0].ended}", "name a TIME after that"
        )
    age = (time.time() - fit[-1].stop) / DAY
    if named is None and age > most_days:
        raise RolloutError(
            f"the newest backup, {fit[-1].label}, is {age:.1f} days old; at most {most_days:g} are allowed",
            "find out why none was made since, `make backup`, or restore by TIME",
        )
    found = verify()
    needed = [name for name in found if name == ARCHIVE or fit[-1].label.startswith(name)]
    _refuse({name: found[name] for name in needed})
    return fit[-1]


def judge_all() -> None:
    """Read everything. Raises RolloutError that names what is damaged."""
    _refuse(verify())


def _refuse(damaged: dict[str, str]) -> None:
    if damaged:
        words = "; ".join(f"{name}: {what}" for name, what in damaged.items())
        raise RolloutError(
            f"the repository is damaged: {words}",
            "restore a TIME that does not need it, or bring the repository back from a copy; then `make backup`",
        )


def verify() -> dict[str, str]:
    """Read every file of the repository. Returns what is wrong with which backup, or with the archived log."""
    damaged, name = {}, ""
    for line in tell("--output=text", "--verbose", "verify").splitlines():
        if heading := re.match(r"\s*(archiveId|backup): ([^,]+),", line):
            name = ARCHIVE if heading[1] == "archiveId" else heading[2]
        elif counts := re.findall(r"([a-z ]+): ([1-9]\d*)", line):
            damaged[name] = ", ".join(f"{number} files {what.strip()}" for what, number in counts)
    return damaged


def restore(target: Path, label: str, *, until: str = "", name: str = "") -> None:
    """Unpack a backup into an empty folder, so that a server started there replays the log: to the moment `until`, to
    the restore point `name`, or all of it. It stays read-only then, and archives nothing.
    """
    kind = ["--type=standby"]
    if until or name:
        kind = [f"--type={'time' if until else 'name'}", f"--target={until or name}", "--target-action=pause"]
    tell(f"--set={label}", f"--pg1-path={target}", *kind, "restore")
