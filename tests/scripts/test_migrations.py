"""`make migrations` judges what a commit would do to the running release, and tries it on PostgreSQL."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from tests.app import servers
from tests.playbooks.untouched import refusal
from tests.rollout.another import become_the_guestbook
from tests.rollout.changes import append
from tests.rollout.checkout import REPOSITORY, Checkout, Run, wait_until

PACKAGE = "inkwell"
GUESTS = "src/guests"
KEEPS = "migrations.RunPython(migrations.RunPython.noop, migrations.RunPython.noop)"
KEY = "models.BigAutoField(primary_key=True, serialize=False)"
REWRITES = 'migrations.RunSQL("ALTER TABLE guests_entry ALTER key TYPE text USING key || 1", "SELECT 1")'
SAID = "]\n    rollout_override = 'a slow machine takes longer than a rollout waits'\n    more = ["
"""A person's word, with which the judge lets a migration pass."""
REWRITES += SAID
BESIDE = 'migrations.RunSQL("CREATE INDEX CONCURRENTLY texts ON guests_entry (text)", "DROP INDEX texts")'
BESIDE += "]\n    atomic = False\n    more = ["
MIGRATION = "from django.db import migrations, models\n\n\nclass Migration(migrations.Migration):\n"
NO_ENGINE = {"MIGRATIONS_DATABASE_URL": "", "DOCKER_HOST": "unix:///nowhere", "PREVIOUS": "HEAD^"}


def wheel(folder: Path) -> Path:
    """A package that nobody but the guestbook has heard of."""
    folder.mkdir()
    path = folder / f"{PACKAGE}-1.0-py3-none-any.whl"
    about = f"{PACKAGE}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr(f"{PACKAGE}.py", "COLOUR = 'blue'\n")
        packed.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: 1.0\n")
        packed.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        packed.writestr(f"{about}/RECORD", "")
    return path


class Book:
    """The guestbook in a clone: its first commit is the previous release, the next one has migrations."""

    def __init__(self, folder: Path) -> None:
        self.checkout = Checkout(folder, port=1)
        self.first = self.checkout.commit(become_the_guestbook)

    def write(self, *operations: str, models: str = "", on: str = "") -> None:
        """Commit a migration for each of these lists of operations, in place of those before."""

        def migrations(checkout: Path) -> None:
            append(checkout / GUESTS / "models.py", models)
            before = "0001_initial"
            for number, each in enumerate(operations, 2):
                lines = f"    dependencies = [('guests', '{before}')]\n    operations = [{each}]\n"
                before = f"{number:04}_step"
                (checkout / GUESTS / f"migrations/{before}.py").write_text(MIGRATION + lines)

        self.checkout.go_to(on or self.first)
        self.checkout.commit(migrations)

    def migrations(self, **told: str) -> Run:
        return self.checkout.make(
            "migrations", check=False, seconds=1200, **{"PREVIOUS": self.first, "ROWS": "1000"} | told
        )


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Book:
    return Book(tmp_path_factory.mktemp("book"))


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The URL of a PostgreSQL: one that whoever runs the tests has named, or a container."""
    with ExitStack() as ends:
        yield os.environ.get("MIGRATIONS_DATABASE_URL") or ends.enter_context(servers.postgresql())[1]


def errors(run: Run) -> list[str]:
    return [line.removeprefix("error: ") for line in run.output.splitlines() if line.startswith("error: ")]


@pytest.mark.verify
def test_an_application_is_judged_with_its_own_packages_which_the_tools_may_lack(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path, port=1)
    package = wheel(tmp_path / "packages")
    become_the_guestbook(checkout.path)
    append(checkout.path / GUESTS / "settings.py", f"import {PACKAGE}\n")
    checkout.environment["PIP_FIND_LINKS"] = str(package.parent)

    line = refusal(checkout.make("migrations", check=False))
    assert line.startswith("the migrations cannot be judged: ")
    assert f"No module named '{PACKAGE}'" in line

    digest = hashlib.sha256(package.read_bytes()).hexdigest()
    append(checkout.path / "locks/guestbook.txt", f"{PACKAGE}==1.0 \\\n    --hash=sha256:{digest}\n")
    assert checkout.make("migrations", REQUIRE="postgresql").output == (
        "previous release: none, no commit before this one has marefia-guests\n"
        "migrations are complete: nothing runs that they could hurt\n"
    )


@pytest.mark.verify
def test_what_a_runner_with_a_fresh_clone_gets_is_judged_by_the_commit_before(book: Book) -> None:
    book.write('migrations.RunSQL("DROP TABLE guests_entry")')
    run = book.migrations(**NO_ENGINE | {"PREVIOUS": ""}, REQUIRE="postgresql")
    assert run.status
    assert f"previous release: {book.first[:12]} (the commit before this one)\n" in run.output
    (line,) = errors(run)
    assert line.startswith(
        "guests.0002_step: Raw SQL operation: the running release still uses table guests_entry."
    )


@pytest.mark.verify
def test_two_last_migrations_are_named_with_the_way_out_and_nothing_is_tried(book: Book) -> None:
    book.write(KEEPS)

    def merge(checkout: Path) -> None:
        folder = checkout / GUESTS / "migrations"
        (folder / "0002_other.py").write_text((folder / "0002_step.py").read_text())

    book.checkout.commit(merge)
    wrong, _, remedy = refusal(book.migrations()).partition(". Way out: ")
    assert wrong == "guests: more than one last migration (0002_other, 0002_step)"
    assert remedy == "python manage.py makemigrations --merge"


@pytest.mark.verify
def test_without_postgresql_it_is_said_in_a_line_and_fails_where_that_is_required(book: Book) -> None:
    book.write(KEEPS)
    run = book.migrations(**NO_ENGINE)
    assert (run.status, errors(run)) == (0, [])
    assert run.output.splitlines()[-1].startswith(
        "left out: there is no PostgreSQL to try them on (docker version: "
    )
    assert refusal(book.migrations(**NO_ENGINE, REQUIRE="postgresql")).startswith(
        "there is no PostgreSQL to try them on"
    )


def test_a_machine_without_docker_has_no_postgresql_and_no_traceback(tmp_path: Path) -> None:
    asked = "scratch.server().__enter__()"
    code = f"import scratch\ntry:\n    {asked}\nexcept scratch.AbsentError as error:\n    print(error)"
    folders = f"{REPOSITORY}/scripts:{REPOSITORY}/playbooks/plugins/module_utils"
    told = {"PATH": str(tmp_path), "PYTHONPATH": folders}
    done = subprocess.run([sys.executable, "-c", code], env=told, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("docker version: "), done.stderr


@pytest.mark.verify
def test_without_a_new_migration_there_is_nothing_to_try(book: Book) -> None:
    book.checkout.go_to(book.first)
    run = book.migrations(**NO_ENGINE | {"PREVIOUS": book.first}, REQUIRE="postgresql")
    assert run.output.splitlines() == [
        f"previous release: {book.first} (named by PREVIOUS)",
        "migrations are complete: 0 to apply, judged by what the previous release needs",
        "new since then: none, nothing to try",
    ]


@pytest.mark.verify
def test_what_the_previous_release_can_live_with_passes_and_locks_on_a_million_rows_are_told(
    book: Book, server: str
) -> None:
    refers = f'("id", {KEY}), ("of", models.ForeignKey("guests.Entry", models.CASCADE))'
    note = (
        f"\n\nclass Note(models.Model):\n    id = {KEY}\n    of = models.ForeignKey(Entry, models.CASCADE)\n"
    )
    last = "migrations.RunPython(migrations.RunPython.noop)"
    book.write(f'migrations.CreateModel("Note", [{refers}])', REWRITES, BESIDE, last, models=note)
    run = book.migrations(MIGRATIONS_DATABASE_URL=server, ROWS="")
    assert (run.status, errors(run)) == (0, []), run.output
    assert f"the tests of {book.first} pass on the new schema" in run.output
    assert "irreversible: guests.0005_step, which is allowed" in run.output
    told = run.output.partition("locks, where guests_entry has 1000000 rows:\n")[2].splitlines()
    assert told[0].split() == ["migration", "table", "lock", "seconds"]
    assert [re.sub(r" +", " ", line).rpartition(" ")[0] for line in told[1:]] == [
        "guests.0002_step guests_entry SHARE ROW EXCLUSIVE",
        "guests.0003_step guests_entry ACCESS EXCLUSIVE",
        "guests.0004_step guests_entry SHARE UPDATE EXCLUSIVE",
    ]
    assert float(told[2].split()[-1]) > 0.2, "it was rewritten in no time"


@pytest.mark.verify
def test_a_column_that_the_previous_release_tests_and_a_long_lock_are_named(book: Book, server: str) -> None:
    drops = (
        'migrations.RunSQL("ALTER TABLE guests_entry DROP text", "ALTER TABLE guests_entry ADD text text")'
        + SAID
    )
    locks = 'lambda _, editor: editor.execute("LOCK guests_tick; SELECT pg_sleep(5.5)")'
    waits = f"migrations.RunPython({locks}, migrations.RunPython.noop)"
    book.write(drops, waits)
    run = book.migrations(MIGRATIONS_DATABASE_URL=server)
    assert run.status
    tests, lock = errors(run)
    assert tests.startswith(f"tests of {book.first} fail on the new schema: ")
    assert "test_an_entry_is_kept" in tests
    assert re.match(
        r"guests.0003_step holds ACCESS EXCLUSIVE on guests_tick for \d+\.\d s with 1000 rows, ", lock
    )


@pytest.mark.verify
def test_tests_that_never_see_the_new_schema_fail_for_they_prove_nothing(book: Book, server: str) -> None:
    def blind(checkout: Path) -> None:
        path = checkout / "infra/service.yml"
        path.write_text(re.sub(r"(?m)^tests: .*", "tests: echo all is well", path.read_text()))

    book.checkout.go_to(book.first)
    previous = book.checkout.commit(blind)
    book.write(KEEPS, on=previous)
    line = refusal(book.migrations(MIGRATIONS_DATABASE_URL=server, PREVIOUS=previous))
    assert re.match(rf"the tests of {previous} used no test_migrations_\w+, so they say nothing; ", line)


@pytest.mark.verify
def test_a_way_back_that_loses_rows_or_fails_is_named_unless_the_migration_says_why(
    book: Book, server: str
) -> None:
    fails = "migrations.RunPython(migrations.RunPython.noop, lambda apps, _: print('zero') or 1 / 0)"
    loses = 'migrations.RunSQL("SELECT 1", "DELETE FROM guests_entry")'
    other = loses.replace("guests_entry", "guests_tick")
    book.write(fails, loses, f'{other}]\n    rollout_override = "nobody reads it"\n    more = [')
    run = book.migrations(MIGRATIONS_DATABASE_URL=server)
    assert run.status
    assert [line.partition("; ")[0] for line in errors(run)] == [
        "guests.0003_step loses 1 row of guests_entry, back",
        "guests.0002_step fails, back: ZeroDivisionError: division by zero",
    ]
    assert "overridden: guests.0004_step loses 1 row of guests_tick, back: nobody reads it" in run.output


@pytest.mark.verify
def test_an_interrupt_leaves_no_database_behind(book: Book, server: str) -> None:
    def made() -> set[str]:
        with psycopg.connect(server) as connection:
            rows = connection.execute(
                "SELECT datname FROM pg_database WHERE datname LIKE '%migrations\\_%'"
            ).fetchall()
            return {row[0] for row in rows}

    book.write('migrations.RunSQL("SELECT pg_sleep(60)", "SELECT 1")')
    before = made()
    run = book.checkout.start("migrations", PREVIOUS=book.first, MIGRATIONS_DATABASE_URL=server)
    wait_until(lambda: made() != before or run.status is not None, "the first database", 300)
    os.killpg(run.process.pid, signal.SIGTERM)
    run.wait(60)
    wait_until(lambda: made() == before, "the last database's end", 60)
