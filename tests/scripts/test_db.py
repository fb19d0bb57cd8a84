"""scripts/db where a release of this repository serves on SQLite. On servers: tests/rollout/test_database_tools.py."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from rollout.files import env_text, read_env, write_json
from rollout.place import Place
from tests.app import databases, servers
from tests.app.service import ROOT, wait_for
from tests.scripts.project import clean_environment

SECRET = "opaque-5"  # pragma: allowlist secret
OWN = "own-5"  # pragma: allowlist secret
# Stands for a program: notes its words, and what it was told of passwords and of the database.
NOTES = """\
#!/bin/sh
echo "$(basename "$0") $*" >>"STATE/calls"
env | grep -E '^(PG|MYSQL_|DATABASE_URL)' | sort >>"STATE/told"
"""


class Db:
    """An environment in which release 1 serves, and scripts/db there."""

    def __init__(self, root: Path) -> None:
        self.place = Place(root)
        self.bin = self.place.release("1") / "venv/bin"

    def __call__(self, *words: str, status: int = 0, given: str = "", **told: str) -> str:
        """What it said: on stdout, or when it has to fail its one line on stderr."""
        own = {"ROLLOUT_ROOT": str(self.place.root), "VENV": os.environ.get("VENV", sys.prefix)}
        env = clean_environment(**own | told)
        command = [str(ROOT / "scripts/db"), *words]
        done = subprocess.run(
            command,
            cwd=self.place.root,
            env=env,
            input=given,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == status, done.stdout + done.stderr
        if not status:
            return done.stdout
        assert done.stderr.startswith("error: ")
        assert done.stderr.count("\n") == 1, done.stderr
        assert "; " in done.stderr, "no remedy"
        return done.stderr.removeprefix("error: ").rstrip("\n")

    def start(self, *words: str, **told: str) -> subprocess.Popen[str]:
        """The same, and go on while it runs, in a process group of its own."""
        own = {"ROLLOUT_ROOT": str(self.place.root), "VENV": os.environ.get("VENV", sys.prefix)}
        return subprocess.Popen(
            [str(ROOT / "scripts/db"), *words],
            cwd=self.place.root,
            env=clean_environment(**own | told),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,
        )

    def run(self, *command: str, **told: str) -> subprocess.CompletedProcess[str]:
        """Run a command as the release does."""
        own = self.place.settings(self.place.root / "slots/blue/env")
        return subprocess.run(
            command,
            cwd=self.place.release("1") / "app",
            env=self.place.environment("1", own, "dev") | told,
            capture_output=True,
            text=True,
            check=False,
        )

    def told(self, **settings: str) -> None:
        """Change what the release is told."""
        for file in (self.place.root / "secrets.env", self.place.root / "slots/blue/env"):
            file.write_text(env_text(read_env(file) | settings))

    def stub(self, *names: str) -> None:
        """Have these programs only note that they were called."""
        for name in names:
            (self.bin / name).unlink(missing_ok=True)
            (self.bin / name).write_text(NOTES.replace("STATE", str(self.place.root)))
            (self.bin / name).chmod(0o755)

    def noted(self, what: str) -> list[str]:
        """The lines that the stubs left."""
        return (self.place.root / what).read_text().splitlines()

    def titles(self, name: str = "marefia.sqlite3") -> list[str]:
        """The titles of the listings in a file of the data folder."""
        with closing(sqlite3.connect(self.place.root / "data" / name)) as database:
            return [title for (title,) in database.execute("SELECT title FROM stays_listing ORDER BY id")]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with demo data, whose release is this repository's own folder."""
    place = Place(tmp_path_factory.mktemp("served"))
    release = place.release("1")
    for folder in (release / "venv/bin", place.root / "slots/blue", place.root / "data"):
        folder.mkdir(parents=True)
    (release / "app").symlink_to(ROOT / "app")
    shutil.copy(Path(sys.prefix) / "pyvenv.cfg", release / "venv")
    (release / "venv/lib").symlink_to(Path(sys.prefix) / "lib")
    (release / "venv/bin/python").symlink_to(Path(sys.executable).resolve())
    shutil.copy(ROOT / "infra/service.yml", release)
    write_json(release / "manifest.json", {"commit": "abc"})
    write_json(place.root / "current.json", {"version": "1", "slot": "blue"})
    shutil.copy(ROOT / "infra/environments/dev.env", place.root / "slots/blue/env")
    (place.root / "secrets.env").write_text(f"SECRET_KEY={'k' * 40}\nPGPASSWORD={OWN}\n")
    for command in ("migrate", "demo"):
        done = Db(place.root).run("python", "manage.py", command)
        assert done.returncode == 0, done.stderr
    return place.root


@pytest.fixture
def db(served: Path, tmp_path: Path) -> Db:
    return Db(shutil.copytree(served, tmp_path / "run", symlinks=True))


def test_it_starts_where_the_machines_own_python_has_no_packages(db: Db, tmp_path: Path) -> None:
    bare = tmp_path / "python3"
    bare.write_text(f'#!/bin/sh\nexec {Path(sys.executable).resolve()} -I -S "$@"\n')
    bare.chmod(0o755)
    assert subprocess.run([bare, "-c", "import yaml"], capture_output=True).returncode == 1
    assert "sqlite does not count that" in db("indexes", PATH=f"{tmp_path}:/usr/bin:/bin")


@pytest.mark.parametrize("name", [pytest.param("rows.jsonl", marks=pytest.mark.chaos), "rows.jsonl.gz"])
def test_a_dump_is_loaded_into_an_empty_database_which_is_migrated_first(db: Db, name: str) -> None:
    assert db("dump", name).endswith(f"tables are in {db.place.root}/{name}\n")
    assert (db.place.root / name).stat().st_mode & 0o777 == 0o600, "rows are not for everybody"
    verdicts = [line.split()[-1] for line in db("load", name, "sqlite:///other.sqlite3").splitlines()]
    assert len(verdicts) > 10
    assert set(verdicts) == {"same"}
    assert db.titles("other.sqlite3") == db.titles() != []


def test_a_database_with_rows_is_never_loaded_into(db: Db) -> None:
    db("dump", "rows.jsonl")
    refused = "there has rows already; give the URL of an empty database"
    assert refused in db("load", "rows.jsonl", status=1)
    with closing(sqlite3.connect(db.place.root / "data/other.sqlite3")) as other:
        other.execute("CREATE TABLE somebodys AS SELECT 1 AS one")
        other.commit()
        for words in (["load", "rows.jsonl"], ["copy"]):
            assert f"somebodys {refused}" == db(*words, "sqlite:///other.sqlite3", status=1)
        tables = other.execute("SELECT name FROM sqlite_master").fetchall()
    assert tables == [("somebodys",)], "it was migrated nevertheless"


@pytest.mark.chaos
def test_a_dump_is_loaded_into_the_environments_own_database_while_that_is_empty(db: Db) -> None:
    db("dump", "rows.jsonl")
    db.told(DATABASE_URL="sqlite:///fresh.sqlite3")
    assert "tables are missing there; migrate it" in db("load", "rows.jsonl", status=1)
    assert db.run("python", "manage.py", "migrate").returncode == 0
    assert "  same\n" in db("load", "rows.jsonl")
    assert db.titles("fresh.sqlite3") == db.titles()


def test_a_copy_migrates_compares_and_is_refused_the_second_time(db: Db) -> None:
    lines = db("copy", "sqlite:///other.sqlite3").splitlines()
    assert {line.split()[-1] for line in lines} == {"same"}
    assert db.titles("other.sqlite3") == db.titles() != []
    assert "has rows already" in db("copy", "sqlite:///other.sqlite3", status=1)
    assert "has rows already" in db("copy", "sqlite:///marefia.sqlite3", status=1), "into itself"


@pytest.mark.chaos
def test_a_dump_that_is_not_whole_changes_nothing(db: Db) -> None:
    db("dump", "rows.jsonl.gz")
    packed = (db.place.root / "rows.jsonl.gz").read_bytes()
    text = gzip.decompress(packed).decode().splitlines(keepends=True)
    other = json.loads(text[0])
    other["tables"]["stays_listing"].append("stars")
    changed = [line.replace("Quiet room 1", "Loud room 1") for line in text]
    assert changed != text
    for content, said in {
        packed[: len(packed) // 2]: "cannot be read",
        gzip.compress("".join(text[:-1]).encode()): "ends early; give one that is whole",
        gzip.compress(
            "".join([json.dumps(other), "\n", *text[1:]]).encode()
        ): "load it with the release that",
        gzip.compress("".join(changed).encode()): "stays_listing reads other than it was dumped",
        b"nonsense": "cannot be read",
        gzip.compress(b'{"model": "auth.group"}\n'): "is no dump of `scripts/db dump`",
        packed * 2: "cut.gz goes on after its last line; give one dump alone",
    }.items():
        (db.place.root / "cut.gz").write_bytes(content)
        assert said in db("load", "cut.gz", "sqlite:///other.sqlite3", status=1)
    assert db.titles("other.sqlite3") == []


def change(file: Path, *statements: str) -> None:
    """Write to a database as one that is not so strict would have stored it."""
    with closing(sqlite3.connect(file)) as database:
        database.execute("PRAGMA ignore_check_constraints = ON")
        for statement in statements:
            database.execute(statement)
        database.commit()


MEND = "; mend that row in the source, then dump or copy again"
OUTBOX = "INSERT INTO outbox_outboxrow (id, handler, payload, last_error) VALUES (7, 'none', '%s', '')"
ROW = "the row with the key %s cannot be stored ("


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (
            "UPDATE stays_listing SET host_id = 4711 WHERE id = 3",
            f"stays_listing: {ROW % 3}host_id refers to",
        ),
        (
            "UPDATE stays_listing SET price = 0 WHERE id = 3",
            f"stays_listing: {ROW % 3}CHECK constraint failed",
        ),
        (OUTBOX % "1e400", f"outbox_outboxrow: {ROW % 7}"),
    ],
)
def test_a_row_that_the_target_refuses_is_named(db: Db, statement: str, said: str) -> None:
    change(db.place.root / "data/marefia.sqlite3", statement)
    told = db("copy", "sqlite:///other.sqlite3", status=1)
    assert told.startswith(said)
    assert told.endswith(MEND)
    assert db.titles("other.sqlite3") == []


def test_only_a_database_that_is_not_reached_sends_one_to_its_password(db: Db) -> None:
    change(db.place.root / "data/marefia.sqlite3", "DROP TABLE stays_review")
    assert "no such table" in db("dump", "rows.jsonl", status=1)


@pytest.mark.parametrize(
    ("url", "name"),
    [("postgres://me@127.0.0.1:1/x", "PGPASSWORD"), ("mysql://me@127.0.0.1:1/x", "MYSQL_PWD")],
)
@pytest.mark.parametrize("way", ["", "_FILE"])
def test_the_targets_password_comes_from_the_caller_and_the_sources_stays_here(
    db: Db, tmp_path: Path, url: str, name: str, way: str
) -> None:
    db.stub("python")
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    said = db("copy", url, status=0, **{name + way: str(tmp_path / "secret") if way else SECRET})
    at_target, at_source = {f"DATABASE_URL={url}", f"{name}={SECRET}"}, {f"PGPASSWORD={OWN}"}
    assert at_target < set(db.noted("told"))
    calls = [line.replace(f"{ROOT}/scripts/", "").split()[1:] for line in db.noted("calls")]
    assert [words[:2] for words in calls] == [
        ["tables.py", "check"],
        ["tables.py", "dump"],
        ["manage.py", "migrate"],
        ["tables.py", "load"],
    ]
    assert len([line for line in db.noted("told") if line in at_source]) == 1, "only who dumps"
    assert SECRET not in said + "".join(db.noted("calls"))


def test_a_password_in_the_url_is_refused_and_not_repeated(db: Db) -> None:
    for url in (
        f"postgres://me:{SECRET}@host/x",
        f"mysql://me@host/x?password={SECRET}",
        f"postgres://me:{SECRET}#@host/x",
        f"{SECRET}",
    ):
        for more in ([], ["--dry-run"]):
            assert SECRET not in db("copy", url, *more, status=1)
    said = db("copy", f"postgres://me:{SECRET}@host/x", status=1)
    assert said.endswith("; give the password as PGPASSWORD, or in a file that PGPASSWORD_FILE names")


def test_postgresqls_client_is_told_all_that_the_url_says(db: Db) -> None:
    db.stub("psql")
    db.told(DATABASE_URL="postgres://me@db.example:5433/x?sslmode=verify-full&sslrootcert=/ca.pem")
    db("shell")
    (call,) = db.noted("calls")
    words = dict(word.split("=") for word in call.removeprefix("psql ").split())
    assert (
        words.items()
        >= {
            "host": "db.example",
            "port": "5433",
            "dbname": "x",
            "user": "me",
            "sslmode": "verify-full",
            "sslrootcert": "/ca.pem",
            "connect_timeout": "3",
        }.items()
    )
    assert f"PGPASSWORD={OWN}" in db.noted("told")
    assert OWN not in call


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("ssl-ca=/ca.pem", {"--ssl-ca=/ca.pem", "--ssl-verify-server-cert"}),
        ("ssl_ca=/ca.pem&ssl_verify_identity=true", {"--ssl-ca=/ca.pem", "--ssl-verify-server-cert"}),
        ("ssl_ca=/ca.pem&ssl_cert=/a&ssl_key=/b", {"--ssl-ca=/ca.pem", "--ssl-cert=/a", "--ssl-key=/b"}),
        ("ssl_disabled=true", {"--skip-ssl"}),
    ],
)
def test_mariadbs_client_is_told_of_tls_what_the_driver_is(db: Db, query: str, words: set[str]) -> None:
    db.stub("mariadb")
    db.told(DATABASE_URL=f"mysql://me@db.example:3307/x?{query}", MYSQL_PWD=SECRET)
    db("shell")
    (call,) = db.noted("calls")
    assert {word for word in call.split() if "ssl" in word} == words
    assert {"--user=me", "--host=db.example", "--port=3307"} < set(call.split())
    assert "time_zone = '+00:00'" in call, "a session is as strict as the service's"
    assert call.endswith(" x")
    assert f"MYSQL_PWD={SECRET}" in db.noted("told")
    assert SECRET not in call


def test_a_client_that_is_not_there_is_named(db: Db) -> None:
    done = db.run("python", str(ROOT / "scripts/server.py"), "shell", PATH=str(db.bin))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: sqlite3 is not installed; install this client of the database\n"


def test_it_names_indexes_that_nobody_needs_and_references_that_have_none(db: Db) -> None:
    with closing(sqlite3.connect(db.place.root / "data/marefia.sqlite3")) as database:
        find = "SELECT name FROM sqlite_master WHERE name LIKE 'stays_listing_host_id_%'"
        ((name,),) = database.execute(find).fetchall()
        before = db("indexes").splitlines()
        database.execute(f"DROP INDEX {name}")
        database.execute("CREATE INDEX shorter ON stays_listing (price)")
        after = db("indexes").splitlines()
    assert set(after) - set(before) == {
        "missing: stays_listing.host_id refers to another table and begins no index",
        "unused: stays_listing.shorter is the beginning of listing_by_price",
    }
    assert before[-1].startswith("unknown: which indexes are never read; sqlite does not count that")


def test_sqlite_records_no_statements(db: Db) -> None:
    assert db("slow", status=1) == "sqlite keeps no record of statements; look on PostgreSQL or MariaDB"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nonsense",), "there is no action nonsense; see scripts/db --help"),
        (("--nonsense",), "unknown option --nonsense"),
        (("dump",), "dump takes 1 argument(s), not 0"),
        (("load",), "load takes 1 or 2 argument(s), not 0"),
        (("slow", "x"), "slow takes 0 argument(s), not 1"),
        (("load", "/nowhere.jsonl"), "there is no file /nowhere.jsonl; `scripts/db dump FILE` makes one"),
        (("dump", "/nowhere/rows.jsonl"), "/nowhere/rows.jsonl cannot be written"),
        (("dump", "/"), "/ cannot be written"),
        (("copy", "oracle://x"), "a URL of oracle names no database that is supported"),
        (("copy", "postgres://me@host:port/x"), "the URL cannot be understood"),
        (("copy", ""), "a URL of no scheme names no database that is supported"),
        (("load", "infra/service.yml", ""), "a URL of no scheme names no database that is supported"),
        (("copy", "postgres://me@host/"), "the URL names no database; write its name behind the third slash"),
        (("copy", "postgres://me@host"), "the URL names no database; write its name behind the third slash"),
        (("copy", "mysql://me@host/?ssl_ca=x"), "the URL names no database; write its name behind the"),
        (("copy", "sqlite:///"), "the URL names no database; write its name behind the third slash"),
        (("copy", "mysql://me@127.0.0.1:1/x?bogus=1"), "argument 'bogus'); look at the options behind its ?"),
        (("copy", "mysql://me@127.0.0.1:1/x?charset=bogus"), "; look at the options behind its ?"),
        (("copy", "postgres://me@127.0.0.1:1/x?bogus=1"), '"bogus"); look at the options behind its ?'),
        (("copy", "sqlite:///x?bogus=1"), "; look at the options behind its ?"),
        (("copy", "postgres://me@127.0.0.1:1/x"), "look at DATABASE_URL and the password beside it"),
        (("copy", "mysql://me@127.0.0.1:1/x"), "look at DATABASE_URL and the password beside it"),
    ],
)
def test_bad_input_is_one_line(db: Db, words: tuple[str, ...], said: str) -> None:
    assert said in db(*words, status=1)


def test_what_the_environment_tells_wrongly_is_one_line(db: Db, tmp_path: Path) -> None:
    assert db("slow", status=1, ROLLOUT_ROOT=str(tmp_path / "x")).startswith("no release serves in")
    assert "DRY_RUN=yes cannot be followed" in db("slow", status=1, DRY_RUN="yes")
    assert "No such file" in db("copy", "mysql://h/x", status=1, MYSQL_PWD_FILE="/nowhere")
    db.told(DATABASE_URL="sqlite:////nowhere/x.sqlite3")
    assert "unable to open database file" in db("dump", "rows.jsonl", status=1)


def test_a_dry_run_says_what_would_be_done_and_does_nothing(db: Db) -> None:
    there = sorted(db.place.root.rglob("*"))
    assert db("dump", "rows.jsonl", "--dry-run") == "would dump rows.jsonl, in the environment dev\n"
    said = db("--dry-run", "copy", "sqlite:///other.sqlite3")
    assert said == "would copy sqlite:///other.sqlite3, in the environment dev\n"
    assert db("shell", DRY_RUN="1") == "would shell, in the environment dev\n"
    assert sorted(db.place.root.rglob("*")) == there


def test_its_help_names_every_action(db: Db) -> None:
    said = db("--help")
    for words in ("shell ", "dump FILE", "load FILE [URL]", "copy URL", "indexes", "slow"):
        assert f"\n  {words}" in said
    assert db() == said == db("copy", "--help")


def count_on_postgresql(server: servers.Server, url: str) -> None:
    """Have the server record statements."""
    databases.execute(url, "ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'")
    server.do("restart")
    wait_for(lambda: servers.answers(url))
    databases.execute(url, "CREATE EXTENSION pg_stat_statements")


def count_on_mariadb(server: servers.Server, url: str) -> None:
    """Have the server record statements and what reads indexes."""
    line = "printf '[mariadbd]\nperformance_schema=ON\n' >/etc/mysql/conf.d/count.cnf"
    servers.docker("exec", server.name, "sh", "-c", line)
    server.do("restart")
    wait_for(lambda: servers.takes_connections(url))


def without_what_is_unused(db: Db, url: str) -> None:
    """Who follows its advice leaves no reference without an index, and nothing is said of one index twice."""
    databases.execute(url, "CREATE INDEX wider ON stays_booking (guest_id, check_in)")
    databases.execute(url, "CREATE INDEX wide ON stays_booking (guest_id, guests)")
    unused = [line.split()[1].split(".") for line in db("indexes").splitlines() if line.startswith("unused")]
    if url.startswith("postgres"):  # MariaDB has dropped guest_id's own index, which is their beginning
        assert not [name for _, name in unused if name in ("wide", "wider")], "they stay in its place"
    for table, name in {(table, name) for table, name in unused}:
        databases.execute(url, f"DROP INDEX {name}" + (f" ON {table}" if url.startswith("mysql") else ""))
    assert "missing" not in db("indexes")


@pytest.mark.chaos
@pytest.mark.verify
@pytest.mark.parametrize(
    ("started", "name", "count", "client", "counts"),
    [
        (servers.postgresql, "PGPASSWORD", count_on_postgresql, "psql", True),
        (servers.mariadb, "MYSQL_PWD", count_on_mariadb, "mariadb", False),
    ],
)
def test_on_a_server(
    db: Db, started: Callable[[], Any], name: str, count: Callable[..., None], client: str, counts: bool
) -> None:
    with started() as (server, url):
        bare = url.replace(f":{servers.PASSWORD}@", "@")
        wrong = db("copy", bare, status=1, **{name: "wrong"})
        assert "authentication failed" in wrong or "Access denied" in wrong
        copied = db("copy", bare, status=0, **{name: servers.PASSWORD})
        assert {line.split()[-1] for line in copied.splitlines()} == {"same"}
        db.told(DATABASE_URL=bare, **{name: servers.PASSWORD})

        remedy = "start the server again and"
        assert remedy in db("slow", status=1)
        unknown = "unknown: which indexes are never read"
        assert (unknown in db("indexes")) is not counts
        count(server, url)
        db("dump", "back.jsonl.gz")
        assert " ms  " in db("slow")
        lines = db("indexes")
        assert unknown not in lines
        assert "missing" not in lines
        assert "stays_listing.listing_by_price was not read since the server counts" in lines
        if client == "psql":
            databases.execute(url, "SELECT pg_stat_reset()")
            assert re.search(
                r"listing_by_price was not read since 2\d{3}-\d\d-\d\d \d\d:\d\d UTC\n", db("indexes")
            )
        without_what_is_unused(db, url)

        if client == "mariadb":
            databases.execute(url, f"CREATE USER plain@'%' IDENTIFIED BY '{servers.PASSWORD}'")
            databases.execute(url, "GRANT ALL ON service.* TO plain@'%'")
            db.told(DATABASE_URL=bare.replace("root@", "plain@"))
            grant = "GRANT SELECT ON performance_schema.* to the service's user"
            assert db("slow", status=1).endswith(grant)
            assert db("indexes").rstrip().endswith(grant)

        db("load", "back.jsonl.gz", "sqlite:///back.sqlite3")
        assert db.titles("back.sqlite3") == db.titles()
        if shutil.which(client):
            assert "30" in db("shell", given="SELECT count(*) FROM stays_listing;\n").split()


@pytest.mark.parametrize("action", ["dump", "copy"])
def test_an_early_interrupt_is_a_line_or_silence_and_leaves_nothing(
    db: Db, tmp_path: Path, action: str
) -> None:
    there = {path.name for path in db.place.root.iterdir()}
    (tmp_path / "temporary").mkdir()
    target = "rows.jsonl" if action == "dump" else "sqlite:///other.sqlite3"
    for tenths in (1, 2, 3, 4, 6, 8):  # while modules are imported, of one process or the next
        started = db.start(action, target, TMPDIR=str(tmp_path / "temporary"))
        time.sleep(tenths / 10)
        os.killpg(started.pid, signal.SIGINT)  # as a terminal does
        _, said = started.communicate(timeout=60)
        assert started.returncode in (0, 130, -signal.SIGINT), said
        assert said.count("\n") <= 1, said
        assert not said or said.startswith("error: interrupted; "), said
        if not started.returncode:
            break  # it was done: what comes later is not early any more
        assert {path.name for path in db.place.root.iterdir()} == there
        assert not list((tmp_path / "temporary").iterdir())


def test_a_copy_that_is_killed_leaves_no_rows_in_a_file(db: Db, tmp_path: Path) -> None:
    started = db.start("copy", "sqlite:///other.sqlite3", TMPDIR=str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    wait_for(lambda: (db.place.root / "data/other.sqlite3").exists() or started.poll() is not None)
    os.killpg(started.pid, signal.SIGKILL)
    started.communicate()
    assert not list((tmp_path / "temporary").iterdir())
