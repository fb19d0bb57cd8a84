"""The tests of this folder once more, on PostgreSQL and on MariaDB: with the same results."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.app import servers
from tests.app.service import ROOT

ELSEWHERE = [f"--ignore=tests/app/{name}.py" for name in ("test_on_servers", "test_connection_loss")]


@pytest.mark.verify
@pytest.mark.parametrize(
    "started",
    [
        pytest.param(servers.postgresql, id="postgresql"),
        pytest.param(servers.mariadb, id="mariadb", marks=pytest.mark.chaos),
    ],
)
def test_all_that_holds_on_sqlite_holds_on(started: Callable[[], Any]) -> None:
    # Importing marefia.wsgi sets that for this whole process; there it would load settings before they are told.
    environment = {key: value for key, value in os.environ.items() if key != "DJANGO_SETTINGS_MODULE"}
    with started() as (_, url):
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "loadfile", *ELSEWHERE, "tests/app"],
            cwd=ROOT,
            env=environment | {"TEST_DATABASE_URL": url},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stdout
    assert " skipped" not in done.stdout.splitlines()[-1], done.stdout
