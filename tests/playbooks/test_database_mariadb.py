"""On MariaDB one migration at a time, from whichever host: the lock is held as long as the command lives."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TypedDict

import pytest

from rollout import database
from tests.app import servers
from tests.app.service import ROOT, environment


class Locked(TypedDict):
    """A command under the lock, as subprocess takes it."""

    args: list[str]
    cwd: Path
    env: dict[str, str]


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

        def locked(seconds: str, *command: str) -> Locked:
            return {"args": [sys.executable, SCRIPT, seconds, *command], "cwd": ROOT / "app", "env": told}

        with subprocess.Popen(
            **locked("5", "sh", "-c", "echo held; read _"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as holder:
            assert holder.stdout
            assert holder.stdout.readline() == "held\n"
            refused = subprocess.run(**locked("1", "true"), check=False, timeout=30)
            assert refused.returncode == database.STILL_LOCKED
            holder.communicate("end\n")
        assert subprocess.run(**locked("5", "true"), check=False, timeout=30).returncode == 0
