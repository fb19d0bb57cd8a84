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


@pytest.mark.parametrize(
    "started",
    [
        sqlite,
        pytest.param(servers.postgresql, marks=pytest.mark.verify),
        pytest.param(servers.mariadb, marks=pytest.mark.verify),
    ],
)
def test_a_copy_out_of_sqlite_has_the_same_checksum_for_every_table(
    tmp_path: Path, started: Callable[[], Any]
) -> None:
    source = environment(tmp_path)
    must(source, "manage.py", "migrate", "--verbosity", "0")
    must(source, "manage.py", "demo")
    rows = must(source, SCRIPT, "read")
    with started() as (_, url):
        target = source | {"DATABASE_URL": url}
        must(target, "manage.py", "migrate", "--verbosity", "0")
        cut = ask(target, SCRIPT, "write", given="".join(rows.splitlines(keepends=True)[:-1]))
        assert "the source ended early" in cut.stderr
        must(target, SCRIPT, "write", given=rows)
        here, there = (json.loads(must(told, SCRIPT, "sums")) for told in (source, target))
        assert here == there
        assert {table for table, (count, _) in here.items() if count} >= REACHED
        again = ask(target, SCRIPT, "write", given=rows)
        assert again.returncode == 1
        assert "has rows already; give an empty, migrated database" in again.stderr
        must(target, "manage.py", "shell", "-c", CHANGE)
        assert json.loads(must(target, SCRIPT, "sums")) != here


CHANGE = "from marefia.stays.models import Listing; Listing.objects.filter(pk=1).update(title='another')"


def test_the_diagram_in_the_docs_is_that_of_the_models(tmp_path: Path) -> None:
    drawn = must(environment(tmp_path), SCRIPT, "diagram")
    assert f"```mermaid\n{drawn}```\n" in (ROOT / "docs/databases.md").read_text()
