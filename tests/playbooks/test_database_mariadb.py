"""On MariaDB one migration at a time, from whichever host: the lock is held as long as the command lives."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rollout import database
from tests.app import servers
from tests.app.service import ROOT, environment

SCRIPT = str(Path(database.__file__).parents[1] / database.LOCK)


@pytest.mark.verify
def test_the_lock_is_the_command_s_and_free_when_it_has_ended(tmp_path: Path) -> None:
    with servers.mariadb() as (_, url):
        told = environment(tmp_path) | {
            "DATABASE_URL": url,
            "DJANGO_SETTINGS_MODULE": "marefia.settings",
            "MYSQL_SESSION": database.session(60),
            "PATH": os.environ["PATH"],
        }

        def locked(seconds: str, *command: str) -> subprocess.Popen[str]:
            return subprocess.Popen(
                [sys.executable, SCRIPT, seconds, *command],
                cwd=ROOT / "app", env=told, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )  # fmt: skip

        with locked("5", "sh", "-c", "echo held; read _") as holder:
            assert holder.stdout
            assert holder.stdout.readline() == "held\n"
            assert locked("1", "true").wait(30) == database.STILL_LOCKED
            holder.communicate("end\n")
        assert locked("5", "true").wait(30) == 0
