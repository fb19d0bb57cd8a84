"""The tests of this folder once more, on PostgreSQL."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.app import servers
from tests.app.service import ROOT


@pytest.mark.verify
def test_all_that_holds_on_sqlite_holds_on_postgresql() -> None:
    with servers.postgresql() as (_, url):
        elsewhere = [
            f"--ignore=tests/app/{name}.py" for name in ("test_on_postgresql", "test_connection_loss")
        ]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "loadfile", *elsewhere, "tests/app"],
            cwd=ROOT,
            env=os.environ | {"TEST_DATABASE_URL": url},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stdout
    assert " skipped" not in done.stdout.splitlines()[-1], done.stdout
