"""Backups of PostgreSQL: what was acknowledged comes back, and what is no good is refused by its name."""

from __future__ import annotations

import json
import re
import shlex
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.playbooks.hosts import scratch
from tests.playbooks.hosts.scratch import NAME

pytestmark = pytest.mark.verify
LOGIN = {"PGUSER": f"{NAME}_a", "PGPASSWORD": "of-the-tests"}  # pragma: allowlist secret
LAG = 5
REPOSITORY = "/var/backups/tests"
NOT_IT = ("arg spec", "removed what was restored", "no release serves", "passed on what was restored")
"""What is said after a playbook's main word."""


class Backups:
    """The database, and the repository on another host."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.host = folder, scratch.names("database")[0]
        (self.keeper,) = scratch.names("backup")
        self.told = {
            "secrets": LOGIN
            | {"BACKUP_PASSWORD": "to-the-repository-of-the-tests"},  # pragma: allowlist secret
            "backup_repository": REPOSITORY,
            "backup_lag_seconds": LAG,
            "backup_others": True,
        }

    def set_up(self, **told: object) -> scratch.Done:
        return scratch.roles(self.folder, "database", ["postgresql", "backup"], self.told | told)

    def play(self, name: str, *, status: int = 0, **told: object) -> str:
        """Run a playbook. What its last module said; AssertionError when it ends otherwise."""
        done = scratch.run(Path(f"playbooks/{name}.yml"), self.told | told, "-v")
        assert (done.status != 0) == (status != 0), done.output
        said: list[str] = re.findall(r'"msg": "((?:[^"\\]|\\.)*)"', done.output)
        return next(text for text in reversed(said) if not any(words in text for words in NOT_IT))

    def root(self, query: str, database: str = NAME, **values: object) -> str:
        """What a query of the superuser gives; :'name' in it is a value."""
        told = " ".join(f"-v {name}={shlex.quote(str(value))}" for name, value in values.items())
        asked = f"printf %s {shlex.quote(query)}"
        words = f"cd /; {asked} | runuser -u postgres -- psql -Atqd {database} -v ON_ERROR_STOP=1 {told}"
        return scratch.sh(self.host, words).strip()

    def labels(self) -> list[str]:
        (stanza,) = json.loads(self.keep("cd /; runuser -u postgres -- pgbackrest --output=json info"))
        return [each["label"] for each in stanza["backup"]]

    def keep(self, script: str) -> str:
        """Run a script on the repository's host."""
        return scratch.sh(self.keeper, script)

    @contextmanager
    def damaged(self, pattern: str, how: str) -> Iterator[str]:
        """The newest file of the repository that fits, damaged and mended again."""
        file = self.keep(f"find {REPOSITORY} -type f -path '{pattern}' | sort | tail -1").strip()
        assert file
        self.keep(f"cp -a {file} /var/tmp/saved")
        try:
            self.keep(f"f={file}; {how}")
            yield file
        finally:
            self.keep(f"cp -a /var/tmp/saved {file}")


@pytest.fixture(scope="module")
def backups(tmp_path_factory: pytest.TempPathFactory) -> Backups:
    made = Backups(tmp_path_factory.mktemp("backups"))
    done = scratch.roles(made.folder, "all", ["base"], made.told)
    assert done.status == 0, done.output
    made.keep(f"rm -rf {REPOSITORY} /etc/pgbackrest.conf")
    done = made.set_up()
    assert done.status == 0, done.output
    assert len(made.labels()) == 1, "a database without any backup"
    made.root("drop table if exists bookings")
    made.root("create table bookings (id bigint generated always as identity primary key, note text)")
    made.root(f"alter table bookings owner to {NAME}")
    assert "made and read again" in made.play("backup")
    return made


def write(backups: Backups, count: int, note: str) -> None:
    query = "insert into bookings (note) select :'note' from generate_series(1, :'count'::int)"
    backups.root(query, note=note, count=count)


def counted(backups: Backups, note: str) -> int:
    return int(backups.root("select count(*) from bookings where note = :'note'", note=note))


def test_a_second_run_changes_nothing(backups: Backups) -> None:
    done = backups.set_up()
    assert done.status == 0, done.output
    assert set(done.changed.values()) == {0}, done.output


def test_the_repository_is_encrypted_and_only_its_host_knows_the_password(backups: Backups) -> None:
    write(backups, 100, "a-word-that-is-looked-for")
    backups.play("backup")
    for word in ("a-word-that-is-looked-for", "postgresql.conf"):
        assert not backups.keep(f"grep -rl {word} {REPOSITORY} | head -1")
    assert "to-the-repository" not in scratch.sh(backups.host, "cat /etc/pgbackrest.conf")
    config = scratch.host(backups.keeper).file("/etc/pgbackrest.conf")
    assert (config.mode, config.user, config.group) == (0o640, "root", "postgres")


def test_the_way_between_the_hosts_leads_to_pgbackrest_only(backups: Backups) -> None:
    address = scratch.address(backups.keeper)
    said = scratch.sh(
        backups.host,
        f"cd /; runuser -u postgres -- ssh -o BatchMode=yes {address} 'x cat /etc/passwd' 2>&1 | head -3",
    )
    assert "root:x" not in said
    assert "pgBackRest" in said or "ERROR" in said


def test_a_drill_compares_every_row_while_others_write(backups: Backups) -> None:
    stop = threading.Event()

    def keep_writing() -> None:
        while not stop.is_set():
            write(backups, 20, "meanwhile")

    writer = threading.Thread(target=keep_writing)
    writer.start()
    try:
        said = backups.play("drill")
    finally:
        stop.set()
        writer.join()
    assert re.search(r"tables? with \d+ rows as in the source at 20.*recovery took [\d.]+ s", said)
    assert re.search(r"the last archived write was \d+ s old; writers waited \d+ ms", said)
    assert counted(backups, "meanwhile") > 0
    assert "beside" not in scratch.sh(backups.host, "ls /var/lib/postgresql/17; ps -u postgres -o args")


def serve(host: str, check: str) -> None:
    """A release that serves, as far as its check needs one."""
    told = LOGIN | {"ENVIRONMENT": "staging", "DATABASE_URL": f"postgres://database:5432/{NAME}"}
    service = scratch.FACTS | {
        "app": "app", "requirements": "r", "pythons": ["3.13"], "settings_module": "s", "migrate": "true",
        "processes": {"web": {"command": "true"}}, "check": check,
    }  # fmt: skip
    files = {
        "current.json": json.dumps({"version": "1", "slot": "blue"}),
        "slots/blue/env": "".join(f"{name}={value}\n" for name, value in told.items()),
        "releases/1/manifest.json": json.dumps({"commit": "abc"}),
        "releases/1/service.yml": json.dumps(service),
    }
    scratch.sh(host, f"cd /srv; mkdir -p {NAME}/data {NAME}/slots/blue {NAME}/releases/1/app")
    for path, text in files.items():
        scratch.machines().write(host, f"/srv/{NAME}/{path}", text)


@pytest.mark.chaos
def test_a_drill_has_the_release_that_serves_check_what_was_restored(backups: Backups) -> None:
    first = scratch.names("fleet")[0]
    scratch.sh(first, "apt-get -qq update; apt-get -qq install -y postgresql-client-17 >/dev/null")
    ask = 'psql "$DATABASE_URL" -Atc "select pg_is_in_recovery(), current_user, count(*) > 0 from bookings" '
    try:
        serve(first, f'{ask} >"$DATA_DIR/checked"')
        backups.play("drill")
        assert scratch.sh(first, f"cat /srv/{NAME}/data/checked").strip() == f"t|{NAME}|t"
        serve(first, "echo half of it is gone; false")
        done = scratch.run(Path("playbooks/drill.yml"), backups.told)
        assert done.status != 0
        assert "the check of 1 failed on what was restored: half of it is gone" in done.output
    finally:
        scratch.sh(first, f"rm -rf /srv/{NAME}")
    assert "beside" not in scratch.sh(backups.host, "ls /var/lib/postgresql/17; ps -u postgres -o args")
    assert "5499" not in scratch.sh(backups.host, "nft list ruleset")


@pytest.mark.chaos
def test_a_drill_fails_loudly_over_what_no_backup_holds(backups: Backups) -> None:
    backups.root("create unlogged table forgotten as select 1 as id")
    try:
        assert "what is written to public.forgotten is in no backup; alter" in backups.play("drill", status=2)
    finally:
        backups.root("drop table forgotten")


@pytest.mark.parametrize(
    "how",
    [
        "printf XXXX | dd of=$f bs=1 seek=50000 conv=notrunc",
        pytest.param("truncate -s 50000 $f", marks=pytest.mark.chaos),
    ],
)
def test_a_damaged_backup_is_refused_by_name(backups: Backups, how: str) -> None:
    backups.play("backup")
    newest = backups.labels()[-1]
    with backups.damaged(f"*/backup/main/{newest[:16]}/bundle/*", f"{how} 2>/dev/null"):
        for name in ("drill", "restore"):
            said = backups.play(name, status=2)
            assert re.search(
                rf"the repository is damaged: {newest[:16]}: \d+ files checksum invalid; restore", said
            )
    assert "as in the source" in backups.play("drill")


@pytest.mark.chaos
def test_a_damaged_log_is_refused(backups: Backups) -> None:
    with backups.damaged(
        "*/archive/main/17-1/*/0000*.zst", "printf XXXX | dd of=$f bs=1 seek=20 conv=notrunc 2>/dev/null"
    ):
        assert "damaged: the archived log: 1 files" in backups.play("restore", status=2)


@pytest.mark.chaos
@pytest.mark.parametrize(
    "name", ["backup", *(pytest.param(name, marks=pytest.mark.chaos) for name in ("restore", "drill"))]
)
def test_a_repository_of_another_password_is_named_as_such(backups: Backups, name: str) -> None:
    """What its files are with another password is no text."""
    backups.keep("cp -a /etc/pgbackrest.conf /var/tmp/saved.conf")
    try:
        backups.keep("sed -i 's/^repo1-cipher-pass=/&other/' /etc/pgbackrest.conf")
        said = backups.play(name, status=2)
    finally:
        backups.keep("mv /var/tmp/saved.conf /etc/pgbackrest.conf")
    assert re.search(
        r"(?m)the repository cannot be read: .*; is BACKUP_PASSWORD the one that it was made with\?$", said
    )


def test_a_backup_that_is_too_old_is_refused_by_name(backups: Backups) -> None:
    newest = backups.labels()[-1]
    said = backups.play("restore", status=2, backup_most_days=0)
    assert f"the newest backup, {newest}, is 0.0 days old; at most 0 are allowed" in said


@pytest.mark.parametrize(
    ("moment", "words"),
    [
        ("2001-01-01T00:00:00", r"the oldest backup, \d{8}-\d{6}F, ended at 20"),
        pytest.param("yesterday", "TIME=yesterday is no moment; write it as TIME=", marks=pytest.mark.chaos),
        pytest.param(
            "2999-01-01T00:00:00", "2999-01-01 00:00:00.00:00 is yet to come; name", marks=pytest.mark.chaos
        ),
    ],
)
def test_a_moment_that_cannot_be_restored_is_refused(backups: Backups, moment: str, words: str) -> None:
    assert re.search(words, backups.play("restore", status=2, backup_time=moment))
    assert counted(backups, "meanwhile") > 0


@pytest.mark.chaos
def test_databases_of_others_do_not_go_back_unasked(backups: Backups) -> None:
    backups.root("create database theirs", "postgres")
    try:
        said = backups.play("restore", status=2, backup_others=False)
        assert re.search("the backup also holds .*theirs.*, which would go back to that time, too", said)
    finally:
        backups.root("drop database theirs", "postgres")


def test_any_second_can_be_restored(backups: Backups) -> None:
    write(backups, 10, "kept")
    time.sleep(1.1)  # the moment that is restored
    moment = backups.root("select now()")
    time.sleep(1.1)
    write(backups, 10, "undone")
    backups.root("delete from bookings where note = 'kept'")
    assert "is whole, and the log since then" in backups.play(
        "restore", backup_time=moment, rollout_dry_run=True
    )
    said = backups.play("restore", backup_time=moment)
    assert "made and read again" in said
    assert (counted(backups, "kept"), counted(backups, "undone")) == (10, 0)
    write(backups, 1, "after the restore")
    assert scratch.sh(backups.host, "ls -d /var/lib/postgresql/17/main.before-*")
    scratch.sh(backups.host, "rm -rf /var/lib/postgresql/17/main.before-*")


@pytest.mark.chaos
def test_a_new_server_in_the_place_of_a_lost_one_is_told_to_restore(backups: Backups) -> None:
    write(backups, 10_000, "acknowledged")
    backups.play("backup")
    scratch.sh(
        backups.host,
        "pg_dropcluster --stop 17 main; apt-get -qq purge -y postgresql-17 >/dev/null; rm -rf /etc/postgresql/17",
    )
    done = backups.set_up()
    assert done.status != 0
    assert "the repository holds the backups of another database than the one that runs here" in done.output
    assert "made and read again" in backups.play("restore")
    assert counted(backups, "acknowledged") == 10_000
    done = backups.set_up()
    assert done.status == 0, done.output


@pytest.mark.chaos
def test_backups_are_pruned_by_age_and_the_newest_full_one_is_kept(backups: Backups) -> None:
    before = backups.labels()
    full = [label for label in before if label.endswith("F")]
    assert len(full) > 1
    backups.keep("apt-get -qq install -y faketime >/dev/null")
    backups.keep("cd /; runuser -u postgres -- faketime '+20 days' pgbackrest --stanza=main expire")
    assert backups.labels() == [label for label in before if label.startswith(full[-1])]
    assert "as in the source" in backups.play("drill")
