"""A database's tables are carried to another database as they are, and the diagram shows the models."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from tests.app import servers
from tests.app.service import ROOT, environment

SCRIPT = str(ROOT / "scripts/tables.py")
REACHED = {"stays_listing_amenities", "accounts_user", "auth_permission"}


def sqlite() -> Any:
    return nullcontext((None, "sqlite:///copy.sqlite3"))


def ask(told: dict[str, str], *command: str, given: str = "") -> subprocess.CompletedProcess[str]:
    env = {"DJANGO_SETTINGS_MODULE": "marefia.settings", "PATH": os.environ["PATH"]} | told
    return subprocess.run(
        [sys.executable, *command],
        cwd=ROOT / "app",
        env=env,
        input=given,
        capture_output=True,
        text=True,
        check=False,
    )


def must(told: dict[str, str], *command: str, given: str = "") -> str:
    done = ask(told, *command, given=given)
    assert done.returncode == 0, done.stderr
    return done.stdout


each_vendor = pytest.mark.parametrize(
    "started",
    [
        sqlite,
        pytest.param(servers.postgresql, marks=pytest.mark.verify),
        pytest.param(servers.mariadb, marks=pytest.mark.verify),
    ],
)


@each_vendor
def test_a_dump_of_sqlite_is_the_same_on_every_vendor_in_whatever_order(
    tmp_path: Path, started: Callable[[], Any]
) -> None:
    source, file, back = environment(tmp_path), tmp_path / "rows.jsonl", tmp_path / "back.jsonl"
    must(source, "manage.py", "migrate", "--verbosity", "0")
    must(source, "manage.py", "demo")
    must(source, "manage.py", "shell", "-c", MOMENT)
    must(source, "manage.py", "shell", "-c", PAYLOADS)
    must(source, SCRIPT, "dump", str(file))
    assert "T03:04:05.123456+00:00" in file.read_text()
    first, *rows, last = file.read_text().splitlines(keepends=True)
    rows.sort(key=lambda line: (json.loads(line)[0], line[::-1]))  # another server sorts otherwise
    file.write_text("".join([first, *rows, last]))
    with started() as (_, url):
        target = source | {"DATABASE_URL": url}
        assert "tables are missing there; migrate it" in ask(target, SCRIPT, "load", str(file)).stderr
        must(target, "manage.py", "migrate", "--verbosity", "0")
        must(target, SCRIPT, "load", str(file))
        here, there = (json.loads(must(told, SCRIPT, "sums")) for told in (source, target))
        assert here == there
        assert {table for table, (count, _) in here.items() if count} >= REACHED
        must(target, SCRIPT, "dump", str(back))
        assert "T03:04:05.123456+00:00" in back.read_text()
        assert back.read_text().splitlines()[-1] == last.rstrip()
        must(target, "manage.py", "shell", "-c", CHANGE)
        assert json.loads(must(target, SCRIPT, "sums")) != here


@each_vendor
def test_null_and_the_null_of_json_stay_two(tmp_path: Path, started: Callable[[], Any]) -> None:
    with started() as (_, url):
        told = environment(tmp_path) | {"DATABASE_URL": url}
        must(told, "-c", NULLABLE.format(script=SCRIPT, file=str(tmp_path / "rows.jsonl")))


def listing(column: str, value: Any) -> Callable[[dict[str, list[Any]], dict[str, list[str]]], None]:
    """Write a value into the first row of the listings, whose key is 1."""
    return lambda rows, columns: rows["stays_listing"][0].__setitem__(
        columns["stays_listing"].index(column), value
    )


def user_without_staff(rows: dict[str, list[Any]], columns: dict[str, list[str]]) -> None:
    rows["accounts_user"][0][columns["accounts_user"].index("is_staff")] = None


def endless_payload(rows: dict[str, list[Any]], columns: dict[str, list[str]]) -> None:
    row = dict.fromkeys(columns["outbox_outboxrow"]) | {"id": "9", "handler": "none", "payload": "Infinity"}
    now = dict.fromkeys(("created_at", "available_at", "sent_at"), "2026-01-02T03:04:05+00:00")
    row |= now | {"status": "pending", "attempts": "0", "last_error": ""}
    rows["outbox_outboxrow"] = [list(row.values())]


def amenities_but_for_case(rows: dict[str, list[Any]], columns: dict[str, list[str]]) -> None:
    rows["stays_amenity"] += [["801", "Wi-Fi 8"], ["802", "wi-fi 8"]]


@pytest.mark.verify
@pytest.mark.parametrize("started", [servers.postgresql, servers.mariadb])
def test_a_row_that_a_server_refuses_is_named_and_not_shown(
    tmp_path: Path, started: Callable[[], Any]
) -> None:
    told, file = environment(tmp_path), tmp_path / "rows.jsonl"
    must(told, "manage.py", "migrate", "--verbosity", "0")
    must(told, "manage.py", "demo")
    must(told, SCRIPT, "dump", str(file))
    first, *lines, last = map(json.loads, file.read_text().splitlines())
    refused: dict[str, list[Callable[..., None]]] = {
        "stays_listing: the row with the key 1 ": [
            listing("title", "long" * 50),
            listing("host_id", "4711"),
            listing("price", "0.00"),
        ],
        "accounts_user: the row with the key 1 ": [user_without_staff],
        "outbox_outboxrow: the row with the key 9 ": [endless_payload],
    }
    if started is servers.postgresql:
        refused["stays_listing: the row with the key 1 "] += [listing("title", "a\0b")]
    else:
        refused["stays_amenity: the row with the key 802 "] = [amenities_but_for_case]
    with started() as (_, url):
        target = told | {"DATABASE_URL": url}
        must(target, "manage.py", "migrate", "--verbosity", "0")
        for said, changes in refused.items():
            for change in changes:
                rows: dict[str, list[Any]] = {table: [] for table in first["tables"]}
                for table, row in lines:
                    rows[table].append(list(row))
                change(rows, first["tables"])
                every = [[table, row] for table, its in rows.items() for row in its]
                file.write_text("".join(f"{json.dumps(line)}\n" for line in (first, *every, last)))
                done = ask(target, SCRIPT, "load", str(file))
                assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
                assert done.stderr.startswith(f"error: {said}cannot be stored ("), done.stderr
                assert done.stderr.endswith("; mend that row in the source, then dump or copy again\n")
                assert "DETAIL" not in done.stderr
                assert "pbkdf2" not in done.stderr


BROKEN = [
    '["nosuchtable", [1]]',
    '["accounts_user", [1]]',
    "17",
    "[]",
    '["accounts_user", "x"]',
    "[[], []]",
    "{}",
]


@pytest.mark.verify
def test_what_is_wrong_with_a_dump_is_one_line(tmp_path: Path) -> None:
    told, file = environment(tmp_path), tmp_path / "rows.jsonl"
    must(told, "manage.py", "migrate", "--verbosity", "0")
    must(told, SCRIPT, "dump", str(file))
    first, *rows, last = file.read_text().splitlines()
    user = {"id": "1", "is_staff": "True", "date_joined": "yesterday"}
    values = [user.get(column) for column in json.loads(first)["tables"]["accounts_user"]]
    key = "accounts_user: the row with the key 1 cannot be stored"
    for lines, said in [
        *(([first, line, *rows, last], "line 2 of") for line in BROKEN),
        ([first, json.dumps(["accounts_user", values]), *rows, last], f"{key} (“yesterday” value has"),
        ([first, json.dumps(["accounts_user", ["1", *[5] * (len(values) - 1)]]), *rows, last], key),
        ([first, *rows, last, *rows[:1]], "goes on after its last line; give one dump alone"),
        ([first, *rows, last, last], "goes on after its last line; give one dump alone"),
        (["[" * 100_000], "cannot be read"),
        ([first, "[" * 100_000], "cannot be read"),
    ]:
        file.write_text("\n".join(lines))
        done = ask(told, SCRIPT, "load", str(file))
        assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
        assert done.stderr.startswith("error: ")
        assert said in done.stderr
        assert "; " in done.stderr, "no remedy"


def test_the_next_dump_sweeps_what_a_killed_one_left(tmp_path: Path) -> None:
    told, file = environment(tmp_path / "service"), tmp_path / "rows.jsonl"
    must(told, "manage.py", "migrate", "--verbosity", "0")
    dump_while(told, file, "os.kill(os.getpid(), signal.SIGKILL)")
    (left,) = tmp_path.glob(".*")
    others = {f".rows.jsonl.{os.getpid()}.partial", ".rows.jsonl.old.partial", ".rows.jsonl.gz.1.partial"}
    for name in others:
        (tmp_path / name).touch()
    must(told, SCRIPT, "dump", str(file))
    assert not left.exists()
    assert {path.name for path in tmp_path.glob(".*")} == others, "of a dump that goes on, or none of its own"


MOMENT = """
import datetime; from marefia.stays.models import Listing
when = datetime.datetime(2026, 1, 2, 3, 4, 5, 123456, datetime.UTC)
Listing.objects.filter(pk=1).update(created_at=when)
"""
PAYLOADS = """
from django.db.models import JSONField, Value
from marefia.outbox.models import OutboxRow
for payload in (Value(None, JSONField()), "null", "", {"b": [None, 1.5], "a": "\\u00e9"}):
    OutboxRow.objects.create(handler="none", payload=payload)
"""
# A database that has a table with a JSON column which may be NULL, as another release's may.
NULLABLE = """
import os, sys
sys.path.insert(0, os.path.dirname({script!r}))
import django; django.setup()
import rows, tables
from django.db import connection, models
class Note(models.Model):
    text = models.JSONField(null=True)
    class Meta:
        app_label = "outbox"
rows.tables = tables.tables = lambda: {{"outbox_note": Note}}
with connection.schema_editor() as editor:
    editor.create_model(Note)
Note.objects.create(text=None); Note.objects.create(text=models.Value(None, models.JSONField()))
before = tables.sums()
tables.dump(tables.Path({file!r}))
Note.objects.all().delete()
tables.load(tables.Path({file!r}))
assert tables.sums() == before
assert [row.pk for row in Note.objects.filter(text__isnull=True)] == [1]
Note.objects.update(text=None)
assert tables.sums() != before
"""
CHANGE = "from marefia.stays.models import Listing; Listing.objects.filter(pk=1).update(title='another')"
# dump, with something that happens as soon as the users are read: amenities and listings come later.
MEANWHILE = """
import os, signal, sys
sys.path.insert(0, os.path.dirname({script!r}))
import tables
real = tables.rows
def rows(model):
    yield from real(model)
    if model._meta.db_table == "accounts_user":
        {happens}
tables.rows = rows
sys.argv[1:] = ["dump", {file!r}]
tables.command(tables.main)
"""
COMMIT = (
    "from django.db import connections; "
    "connections.create_connection('default').cursor().execute("
    "\"INSERT INTO stays_amenity (name) VALUES ('late')\")"
)


def dump_while(told: dict[str, str], file: Path, happens: str) -> subprocess.CompletedProcess[str]:
    code = MEANWHILE.format(script=SCRIPT, file=str(file), happens=happens)
    return ask(told, "-c", code)


@each_vendor
def test_a_dump_is_of_one_moment_and_keeps_no_writer_waiting(
    tmp_path: Path, started: Callable[[], Any]
) -> None:
    with started() as (_, url):
        told, file = environment(tmp_path) | {"DATABASE_URL": url}, tmp_path / "rows.jsonl"
        must(told, "manage.py", "migrate", "--verbosity", "0")
        done = dump_while(told, file, COMMIT)
        assert done.returncode == 0, done.stderr
        assert '"late"' not in file.read_text(), "a row that was committed while it was read"
        must(told, SCRIPT, "dump", str(file))
        assert '"late"' in file.read_text(), "nobody wrote meanwhile"


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.gz"])
@pytest.mark.parametrize("end", ["SIGTERM", pytest.param("SIGINT", marks=pytest.mark.chaos), "SIGKILL"])
def test_a_dump_that_is_interrupted_leaves_the_file_that_was_there(
    tmp_path: Path, name: str, end: str
) -> None:
    told, file = environment(tmp_path / "service"), tmp_path / name
    must(told, "manage.py", "migrate", "--verbosity", "0")
    file.write_text("of yesterday")
    done = dump_while(told, file, f"os.kill(os.getpid(), signal.{end})")
    assert file.read_text() == "of yesterday"
    if end == "SIGKILL":
        assert done.returncode == -9
    else:
        assert (done.returncode, done.stdout) == (130, "")
        assert done.stderr.startswith("error: interrupted; nothing of it is left")
        assert {path.name for path in tmp_path.iterdir()} == {name, "service"}


@pytest.mark.chaos
def test_a_load_that_is_killed_leaves_the_database_empty(tmp_path: Path) -> None:
    told, file = environment(tmp_path), tmp_path / "rows.jsonl"
    must(told, "manage.py", "migrate", "--verbosity", "0")
    must(told, "manage.py", "demo")
    must(told, SCRIPT, "dump", str(file))
    other = told | {"DATABASE_URL": "sqlite:///other.sqlite3"}
    must(other, "manage.py", "migrate", "--verbosity", "0")
    killed = LOAD.format(script=SCRIPT, file=str(file))
    assert ask(other, "-c", killed).returncode == -9
    must(other, SCRIPT, "check", str(file))
    must(other, SCRIPT, "load", str(file))


LOAD = """
import os, signal, sys
sys.path.insert(0, os.path.dirname({script!r}))
import tables
tables.sums = lambda: os.kill(os.getpid(), signal.SIGKILL)
sys.argv[1:] = ["load", {file!r}]
tables.command(tables.main)
"""


def test_the_diagram_in_the_docs_is_that_of_the_models(tmp_path: Path) -> None:
    drawn = must(environment(tmp_path), SCRIPT, "diagram")
    assert f"```mermaid\n{drawn}```\n" in (ROOT / "docs/databases.md").read_text()
