"""The database around a migration: copied before, migrated once at a time, and one line when that fails."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from rollout import database
from rollout.errors import RolloutError
from rollout.files import locked
from rollout.place import Place

TOLD = {"ENVIRONMENT": "dev", "GREETING": "selam"}
FACTS = {
    "name": "shop", "port": 1, "app": "src", "requirements": "r", "pythons": ["3"], "settings_module": "s",
    "processes": {"web": {"command": "x"}}, "health": {"ready": "/"}, "migrate": "true", "check": "true",
    "state": ["shop.sqlite3", "absent.sqlite3"],
}  # fmt: skip


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Release 1 with a database of one row, and a rollout of it under way."""
    made = Place(tmp_path)
    (made.release("1") / "app").mkdir(parents=True)
    (made.release("1") / "manifest.json").write_text('{"commit": "0"}')
    tell(made)
    (tmp_path / "data").mkdir()
    with closing(sqlite3.connect(tmp_path / "data/shop.sqlite3")) as connection, connection:
        connection.execute("CREATE TABLE stays (name TEXT)")
        connection.execute("INSERT INTO stays VALUES ('Marta')")
    made.note(version="1", number=7)
    return made


def tell(place: Place, **facts: str) -> None:
    """Give release 1 other facts."""
    (place.release("1") / "service.yml").write_text(json.dumps(FACTS | facts))


def rows(path: Path) -> list[tuple[str]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT name FROM stays").fetchall()


def test_a_copy_holds_what_was_committed_and_is_named_after_the_rollout(place: Place) -> None:
    with closing(sqlite3.connect(place.root / "data/shop.sqlite3")) as writer:
        writer.execute("INSERT INTO stays VALUES ('not committed')")
        assert database.back_up(place, "1", 7) == ["000007-shop.sqlite3"]
    assert rows(place.root / "backups/000007-shop.sqlite3") == [("Marta",)]
    assert (place.root / "backups").stat().st_mode & 0o777 == 0o700


def test_three_copies_are_kept_and_no_rest_of_a_killed_one(place: Place) -> None:
    database.back_up(place, "1", 1)
    (place.root / "backups/.000002-shop.sqlite3").touch()
    for number in (8, 9, 10):
        database.back_up(place, "1", number)
    kept = sorted(path.name for path in (place.root / "backups").iterdir())
    assert kept == ["000008-shop.sqlite3", "000009-shop.sqlite3", "000010-shop.sqlite3"]


def test_a_database_that_cannot_be_copied_is_one_line_and_no_rest(place: Place) -> None:
    (place.root / "data/shop.sqlite3").write_text("no database at all " * 100)
    with pytest.raises(
        RolloutError, match=r"shop.sqlite3 cannot be copied to \S+: .*; free space there and deploy"
    ):
        database.back_up(place, "1", 7)
    assert list((place.root / "backups").iterdir()) == []


def test_a_migration_runs_in_the_release_with_its_settings(place: Place) -> None:
    tell(place, migrate="echo $GREETING $ENVIRONMENT $RELEASE_VERSION $PWD >$DATA_DIR/said")
    assert database.migrate(place, TOLD, 60) > 0
    said = (place.root / "data/said").read_text()
    assert said == f"selam dev 1 {place.release('1')}/app\n"


def test_the_last_line_of_a_failed_migration_is_the_reason(place: Place) -> None:
    tell(place, migrate="echo trace >&2; echo 'no such column: nights' >&2; exit 1")
    with pytest.raises(
        RolloutError, match=r"failed .*: no such column: nights; mend the migration and deploy again$"
    ):
        database.migrate(place, TOLD, 60)


def test_a_migration_that_does_not_end_is_ended_and_named(place: Place) -> None:
    tell(place, migrate="exec sleep 60")  # far longer than the time limit that has to end it
    with pytest.raises(
        RolloutError, match=r"of 1 did not end in 0 s; mend what it waits for and deploy again"
    ):
        database.migrate(place, TOLD, 0.3)


def test_two_migrations_never_run_at_once(place: Place) -> None:
    with (
        locked(place.root / "migrate.lock", 1, "nobody"),
        pytest.raises(
            RolloutError, match="still held after 0 s by a migration that still runs; wait for it, or end"
        ),
    ):
        database.migrate(place, TOLD, 0.2)


def test_a_migration_whose_deployer_was_killed_still_keeps_others_out(place: Place) -> None:
    tell(place, migrate=f"mkfifo {place.root}/go; echo begun >{place.root}/begun; read _ <{place.root}/go")
    code = (
        "import json, sys; from pathlib import Path; from rollout import database; from rollout.place import Place\n"
        "database.migrate(Place(Path(sys.argv[1])), json.loads(sys.argv[2]), 60)"
    )
    path = {"PYTHONPATH": str(Path(database.__file__).parents[1])}
    deployer = subprocess.Popen([sys.executable, "-c", code, str(place.root), json.dumps(TOLD)], env=path)
    while not (place.root / "begun").exists():
        assert deployer.poll() is None
    deployer.kill()
    deployer.wait(10)
    with pytest.raises(RolloutError, match="still held"):
        database.migrate(place, TOLD, 0.2)
    with (place.root / "go").open("w") as go:
        go.write("\n")
    tell(place)
    database.migrate(place, TOLD, 10)


def test_demo_data_is_loaded_where_the_service_has_any(place: Place) -> None:
    database.load_demo(place, TOLD, 10)
    tell(place, demo="echo 'no demo today' >&2; exit 1")
    with pytest.raises(
        RolloutError, match=r"the demo data could not be loaded: no demo today; mend the demo command"
    ):
        database.load_demo(place, TOLD, 10)


def test_of_a_traceback_the_error_is_told_without_the_lines_that_explain_it() -> None:
    said = "Traceback (most recent call last):\n  at\nValueError: one\nTraceback (most recent call last):\n  at\n"
    done = subprocess.CompletedProcess(
        [], 1, "", said + "Error: two\nLINE 1: SELECT\n             ^\nDETAIL: row 7"
    )
    assert database.complaint(done) == "Error: two"


def test_of_what_cannot_be_parsed_the_place_is_told_too() -> None:
    code = "try: compile('x = = 1', 'shop/urls.py', 'exec')\nexcept SyntaxError as e: raise ValueError from e"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert database.complaint(done) == "ValueError"
    code = "compile('y = 1\\nx = = 1', 'shop/urls.py', 'exec')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert database.complaint(done) == 'SyntaxError: invalid syntax (File "shop/urls.py", line 2)'


# -- on hosts, where a rollout is root

SERVICE = 12345  # the service's user


@pytest.fixture
def hosted(place: Place) -> Iterator[Place]:
    """The same, where users other than root get to, with data of the service's user."""
    if os.geteuid():
        pytest.skip("only root can act as another user")
    folder = Path(tempfile.mkdtemp())
    shutil.copytree(place.root, folder, dirs_exist_ok=True)
    folder.chmod(0o755)
    for path in [folder / "data", *(folder / "data").iterdir()]:
        os.chown(path, SERVICE, SERVICE)
    (folder / "data").chmod(0o700)
    yield Place(folder)
    shutil.rmtree(folder)


def test_a_command_of_a_release_is_the_services_own_on_hosts(hosted: Place) -> None:
    tell(hosted, migrate="id -u >$RUN_DIR/said; id -G >>$RUN_DIR/said; touch $DATA_DIR/made")
    database.migrate(hosted, TOLD, 60)
    assert (hosted.root / "run/command/said").read_text() == f"{SERVICE}\n{SERVICE}\n"
    assert (hosted.root / "data/made").stat().st_uid == SERVICE


def test_a_copy_on_hosts_is_made_by_the_services_user(hosted: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that root leaves beside a database lock the service out."""
    monkeypatch.setattr(sys, "executable", "/usr/bin/python3")  # one that every user may run
    assert database.back_up(hosted, "1", 7) == ["000007-shop.sqlite3"]
    copy = hosted.root / "backups/000007-shop.sqlite3"
    assert rows(copy) == [("Marta",)]
    assert (copy.stat().st_uid, copy.stat().st_mode & 0o777) == (SERVICE, 0o600)
