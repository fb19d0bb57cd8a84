"""What pgBackRest says, and what is made of it. The real one: tests/playbooks/hosts/test_backup.py."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from rollout import cluster, pgbackrest
from rollout.errors import RolloutError, differences

NOW = time.time()
FULL, DIFFERENTIAL, LATER = "20261101-010000F", "20261101-010000F_20261102-010000D", "20261103-010000F"
WHOLE = """stanza: main
status: ok
  archiveId: 17-1, total WAL checked: 5, total valid WAL: 5
    missing: 0, checksum invalid: 0, size invalid: 0, other: 0
  backup: 20261101-010000F, status: valid, total files checked: 1566, total valid files: 1566
    missing: 0, checksum invalid: 0, size invalid: 0, other: 0
"""


class Repository:
    """A pgbackrest on PATH that says what it is told to, and notes what it is asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "runuser").write_text(
            '#!/bin/sh\nfor last; do :; done\necho "$*" >>"$0.asked"\n'
            f"if [ -f {folder}/$last.fails ]; then cat {folder}/$last.fails; exit 28; fi\ncat {folder}/$last.says\n"
        )
        (folder / "runuser").chmod(0o755)
        self.holds()
        self.says("verify", WHOLE)
        for command in ("stanza-create", "check", "backup"):
            self.says(command, "")

    def says(self, command: str, text: str) -> None:
        (self.folder / f"{command}.says").write_text(text)

    def fails(self, command: str, text: str) -> None:
        (self.folder / f"{command}.fails").write_text(text)

    def holds(self, *backups: tuple[str, float], code: int = 0) -> None:
        """Backups by name and by how many days ago they ended."""
        listed = [
            {"label": label, "timestamp": {"stop": NOW - days * 86400}, "info": {"size": 1 << 25}}
            for label, days in backups
        ]
        archive = [{"max": "000000010000000000000009"}, {"max": "000000020000000100000002"}]
        repo: list[dict[str, Any]] = [{"status": {"code": code, "message": "no key fits"}}]
        self.says(
            "info",
            json.dumps([{"status": {"code": code}, "backup": listed, "archive": archive, "repo": repo}]),
        )

    @property
    def asked(self) -> list[str]:
        return [line.split("main ")[1] for line in (self.folder / "runuser.asked").read_text().splitlines()]


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return Repository(tmp_path)


def refused(*arguments: Any) -> str:
    with pytest.raises(RolloutError) as refusal:
        pgbackrest.judge(*arguments)
    return str(refusal.value)


@pytest.mark.parametrize(("code", "made"), [(0, False), (1, True), (2, False), (3, True)])
def test_a_repository_is_made_once(repository: Repository, code: int, made: bool) -> None:
    repository.holds(code=code)
    assert pgbackrest.ready() is made
    assert ("stanza-create" in repository.asked) is made
    assert repository.asked[-1] == "check"


def test_a_repository_that_no_password_opens_is_not_made_anew(repository: Repository) -> None:
    repository.holds(code=99)
    info = repository.folder / "info.says"
    info.write_bytes(info.read_bytes().replace(b"fits", b"fits:\\nFormatError: \x14v\xf3\xed{"))
    with pytest.raises(
        RolloutError, match=r"cannot be read: no key fits; is BACKUP_PASSWORD the one that .*\?$"
    ):
        pgbackrest.ready()
    assert repository.asked == ["--output=json info"]


@pytest.mark.parametrize(
    ("complaint", "words"),
    [
        (
            "P00  ERROR: [028]: backup and archive info files exist but do not match the database",
            "of another database",
        ),
        (
            "P00  ERROR: [082]: WAL segment was not archived",
            "82]: WAL segment was not archived; mend that and run site",
        ),
        ("", "no word; mend that"),
    ],
)
def test_what_keeps_the_log_from_being_archived_is_told(
    repository: Repository, complaint: str, words: str
) -> None:
    repository.holds((FULL, 1))
    repository.fails("check", complaint)
    with pytest.raises(RolloutError) as refusal:
        pgbackrest.ready()
    assert words in str(refusal.value)


@pytest.mark.parametrize(
    ("held", "full", "kind"),
    [
        ((), False, "full"),
        (((FULL, 3),), False, "diff"),
        (((FULL, 8),), False, "full"),
        (((FULL, 3),), True, "full"),
    ],
)
def test_a_full_backup_is_made_once_a_week_and_when_it_is_asked_for(
    repository: Repository, held: tuple[tuple[str, float], ...], full: bool, kind: str
) -> None:
    repository.holds(*held, (DIFFERENTIAL, 2))
    assert pgbackrest.make(full=full).label == DIFFERENTIAL
    assert f"--type={kind} backup" in repository.asked


def test_the_newest_backup_is_taken_or_that_before_a_moment(repository: Repository) -> None:
    repository.holds((FULL, 3), (DIFFERENTIAL, 2), (LATER, 1))
    assert pgbackrest.judge(2, None).label == LATER
    assert pgbackrest.judge(2, NOW - 1.5 * 86400).label == DIFFERENTIAL


def test_none_too_old_and_too_early_are_refused(repository: Repository) -> None:
    assert "holds no backup; make one" in refused(2, None)
    repository.holds((FULL, 3))
    assert f"the newest backup, {FULL}, is 3.0 days old; at most 2 are allowed" in refused(2, None)
    assert f"the oldest backup, {FULL}, ended at 20" in refused(2, NOW - 4 * 86400)
    assert "is yet to come" in refused(2, NOW + 86400)
    assert pgbackrest.judge(2, NOW).label == FULL, "a moment may be reached from an older one"


def test_damage_is_refused_by_name_where_it_is_needed(repository: Repository) -> None:
    repository.holds((FULL, 3), (DIFFERENTIAL, 2), (LATER, 1))
    repository.says(
        "verify", WHOLE.replace("missing: 0, checksum invalid: 0", "missing: 2, checksum invalid: 1")
    )
    assert "damaged: the archived log: 2 files missing, 1 files checksum invalid; 20261101" not in refused(
        2, None
    )
    assert "the archived log: 2 files missing, 1 files checksum invalid; restore" in refused(2, None)
    head, _, tail = WHOLE.rpartition("missing: 0")
    repository.says("verify", f"{head}missing: 7{tail}")
    assert pgbackrest.judge(2, None).label == LATER
    assert f"damaged: {FULL}: 7 files missing; restore" in refused(2, NOW - 1.5 * 86400)
    with pytest.raises(RolloutError, match=f"damaged: {FULL}: 7 files missing"):
        pgbackrest.judge_all()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-11-23T12:00:00+00:00", 1795435200),
        ("2026-11-23 12:00", 1795435200),
        ("2026-11-23T15:00:00+03:00", 1795435200),
    ],
)
def test_a_moment_is_utc_unless_it_says_otherwise(text: str, seconds: float) -> None:
    assert pgbackrest.when(text) == seconds
    assert pgbackrest.moment(seconds) == "2026-11-23 12:00:00+00:00"


@pytest.mark.parametrize(
    ("told", "asked"),
    [
        ({"until": "2026-11-23"}, "--type=time --target=2026-11-23 --target-action=pause"),
        ({"name": "drill-1"}, "--type=name --target=drill-1 --target-action=pause"),
        ({}, "--type=standby"),
    ],
)
def test_what_is_restored_stays_read_only(repository: Repository, told: dict[str, str], asked: str) -> None:
    repository.says("restore", "")
    pgbackrest.restore(Path("/beside"), FULL, **told)
    assert repository.asked == [f"--set={FULL} --pg1-path=/beside {asked} restore"]


def test_the_end_of_the_archived_log_is_known(repository: Repository) -> None:
    assert pgbackrest.archived() == "000000020000000100000002"
    assert cluster.segment(pgbackrest.archived()) == 258
    assert cluster.segment("") == 0


def test_figures_that_differ_are_told_table_by_table() -> None:
    source = {"same": (1, "a"), "rows": (2, "b"), "lost": (1, "c")}
    restored = {"same": (1, "a"), "rows": (3, "b"), "new": (1, "d")}
    assert differences(source, restored) == (
        "lost has gone instead of (1, 'c'); new has (1, 'd') instead of nothing; rows has (3, 'b') instead of (2, 'b')"
    )
    assert not differences(source, dict(source))
