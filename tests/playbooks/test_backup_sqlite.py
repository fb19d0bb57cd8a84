"""`make backup`, `make restore` and `make drill` where the data is an SQLite file on this machine."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.playbooks.untouched import refusal
from tests.rollout.checkout import Checkout

pytestmark = [pytest.mark.verify, pytest.mark.chaos]


def backups(site: Checkout) -> list[Path]:
    return sorted((site.root / "backups").glob("[0-9]*Z"))


def note(site: Checkout, word: str) -> None:
    """A row that comes and goes with the database."""
    with closing(sqlite3.connect(site.root / "data/marefia.sqlite3", timeout=30)) as database:
        database.execute("insert into stays_amenity (name) values (?)", (word,))
        database.commit()


def noted(site: Checkout) -> set[str]:
    return {row["name"] for row in site.rows("select name from stays_amenity")}


def test_a_backup_of_the_running_service_is_the_owners_alone(up: Checkout) -> None:
    note(up, "in the first")
    assert "made and read again" in up.make("backup").output
    (made,) = backups(up)
    assert sorted(path.name for path in made.iterdir()) == ["backup.json", "marefia.sqlite3"]
    assert (made.stat().st_mode & 0o777, made.parent.stat().st_mode & 0o777) == (0o700, 0o700)


def test_a_drill_restores_it_elsewhere_compares_it_and_has_the_release_check_it(up: Checkout) -> None:
    said = up.make("drill").output
    assert re.search(
        r"\d\d tables with \d+ rows as in the source at 20.*recovery took [\d.]+ s; the last", said
    )


def test_what_runs_is_not_replaced(up: Checkout) -> None:
    assert "the service runs, and would write to what is taken away; run `make down` first" in refusal(
        up.make("restore", check=False)
    )


def test_the_newest_backup_or_that_of_a_moment_comes_back(up: Checkout) -> None:
    first = backups(up)[0].name
    note(up, "in the second")
    up.make("backup")
    note(up, "in none")
    up.make("down")
    assert "is whole" in up.make("restore", DRY_RUN="1").output
    assert "in none" in noted(up)
    assert "is in place; what was there is kept in " in up.make("restore").output
    assert {"in the first", "in the second"} <= noted(up)
    assert "in none" not in noted(up)
    moment = f"{first[:4]}-{first[4:6]}-{first[6:8]}T{first[9:11]}:{first[11:13]}:{first[13:15]}.999"
    up.make("restore", TIME=moment)
    assert noted(up) & {"in the first", "in the second", "in none"} == {"in the first"}
    assert len(list((up.root / "data").glob("marefia.sqlite3.before-*"))) == 2
    up.make("up")
    assert "as in the source" in up.make("drill").output


@pytest.mark.parametrize("damage", ["tampered", "truncated", "gone"])
def test_a_damaged_backup_is_refused_by_name(up: Checkout, damage: str) -> None:
    newest = backups(up)[-1]
    copy = newest / "marefia.sqlite3"
    whole = copy.read_bytes()
    if damage == "gone":
        copy.unlink()
    else:
        half = len(whole) // 2
        copy.write_bytes(whole[:half] + (b"X" + whole[half + 1 :] if damage == "tampered" else b""))
    try:
        for target in ("drill", "restore"):
            assert f"the backup {newest.name} is damaged: marefia.sqlite3 is not what was written" in refusal(
                up.make(target, check=False)
            )
    finally:
        copy.write_bytes(whole)
        copy.chmod(0o600)


@pytest.mark.parametrize(
    ("moment", "words"),
    [
        ("2001-01-01", "the oldest backup is 20"),
        ("yesterday", "TIME=yesterday is no moment; write it as TIME="),
    ],
)
def test_a_moment_without_a_backup_is_refused(up: Checkout, moment: str, words: str) -> None:
    assert words in refusal(up.make("restore", check=False, TIME=moment))
