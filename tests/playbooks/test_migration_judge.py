"""What the judge refuses hurts the running release, what it accepts does not: both tried on a database."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.playbooks.migration_cases import (
    ACCEPTED,
    INITIAL,
    MODELS,
    REFUSED,
    SQL_ACCEPTED,
    SQL_REFUSED,
    USE,
    Case,
)
from tests.playbooks.migration_project import Project

CASES = REFUSED + ACCEPTED
BATCH = 31  # apps in a project: enough to share a start, few enough to be loaded quickly
SQL = [Case(f"sql_refused_{n}", sql, harm) for n, (sql, harm) in enumerate(SQL_REFUSED)]
SQL += [Case(f"sql_accepted_{n}", sql) for n, sql in enumerate(SQL_ACCEPTED)]

TRY = """
import django, importlib, io, json, sys, traceback
django.setup()
from django.db import transaction
said = {}
for app, code in json.load(open("use.json")).items():
    try:
        with transaction.atomic():
            exec(code, {})
        said[app] = ""
    except Exception as error:
        said[app] = repr(error)
print(json.dumps(said))
"""


@dataclass
class Tried:
    """What became of some cases: the judge's answers, and what the running release said afterwards."""

    deploy: dict[str, Any]
    rollback: dict[str, Any]
    after: dict[str, str]


def written(root: Path, cases: list[Case]) -> tuple[Project, Project]:
    """Two releases on one database, with an app for each case: the running one and the new one."""
    running, new = (Project(root / name, root / "db.sqlite3") for name in ("running", "new"))
    for case in cases:
        initial = INITIAL.replace("APP", case.name)
        for project in (running, new):
            project.app(case.name, MODELS.replace("APP", case.name))
            project.migration(case.name, "0001_initial", initial)
        operations = case.operations.replace("APP", case.name)
        new.migration(case.name, "0002_case", operations, after="0001_initial")
    use = {case.name: USE.replace("APP", case.name) for case in cases}
    running.write("use.json", json.dumps(use))
    return running, new


def used(running: Project) -> dict[str, str]:
    """The error of each app's models at work, or ''."""
    done = running.run("-c", TRY)
    assert done.returncode == 0, done.stderr
    said: dict[str, str] = json.loads(done.stdout)
    return said


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tried]:
    """Each case judged, then applied all the same."""
    results: dict[str, Tried] = {}
    for start in range(0, len(CASES), BATCH):
        cases = CASES[start : start + BATCH]
        running, new = written(tmp_path_factory.mktemp("cases"), cases)
        running.migrate()
        deploy = new.judge("judge", "--needs", running.needs())
        new.migrate()
        rollback = new.judge("judge", "--rollback", "--needs", running.root / "needs.json")
        batch = Tried(deploy, rollback, used(running))
        results |= {case.name: batch for case in cases}
    return results


@pytest.fixture(scope="module")
def sql_lines(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What the judge says of raw SQL, by case; all in one app per case, never applied."""
    cases = [Case(c.name, f"migrations.RunSQL({c.operations.replace('APP', 'shop')!r})") for c in SQL]
    running, new = written(tmp_path_factory.mktemp("sql"), [Case("shop", "")])
    after = "0002_case"
    for case in cases:
        new.migration("shop", case.name, case.operations, after=after)
        after = case.name
    running.migrate()
    refused = new.judge("judge", "--needs", running.needs())["refused"]
    return {case.name: lines(refused, f"shop.{case.name}") for case in cases}


def lines(entries: list[dict[str, str]], migration: str) -> list[str]:
    """What a person reads about one migration."""
    return [entry["line"] for entry in entries if entry["migration"] == migration]


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
def test_what_hurts_the_running_release_is_refused(case: Case, tried: dict[str, Tried]) -> None:
    batch, migration = tried[case.name], f"{case.name}.0002_case"
    said = lines(batch.deploy["refused"], migration)
    assert any(case.harm.replace("APP", case.name) in line for line in said), said
    assert all(line.startswith(migration) and "Way out: " in line and "\n" not in line for line in said)
    assert bool(batch.after[case.name]) is case.seen, "the verdict is not what the running release felt"


@pytest.mark.parametrize("case", ACCEPTED, ids=lambda case: case.name)
def test_what_the_running_release_can_live_with_is_accepted(case: Case, tried: dict[str, Tried]) -> None:
    batch, migration = tried[case.name], f"{case.name}.0002_case"
    assert [case.name, "0002_case"] in batch.deploy["pending"]
    assert not lines(batch.deploy["refused"], migration)
    assert not batch.after[case.name]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_rollback_passes_expansions_and_stops_at_contractions(case: Case, tried: dict[str, Tried]) -> None:
    batch, migration = tried[case.name], f"{case.name}.0002_case"
    assert [case.name, "0002_case"] in batch.rollback["past"]
    said = lines(batch.rollback["refused"], migration)
    assert bool(said) is bool(case.harm)
    assert all("go forward instead" in line and "running release" not in line for line in said)


@pytest.mark.parametrize("case", SQL, ids=lambda case: case.name)
def test_raw_sql_is_judged_by_what_it_defines(case: Case, sql_lines: dict[str, list[str]]) -> None:
    said = sql_lines[case.name]
    if case.harm:
        assert any(case.harm.replace("APP", "shop") in line for line in said), said
    else:
        assert not said
