"""scripts/db on the service that runs here: what it says of the database, and what it carries elsewhere."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.app import servers
from tests.app.service import environment
from tests.rollout.checkout import Checkout

pytestmark = pytest.mark.verify


def db(
    checkout: Checkout, *words: str, given: str = "", check: bool = True, **told: str
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        ["scripts/db", *words],
        cwd=checkout.path,
        env=checkout.environment | told,
        input=given,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert not check or done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done


def test_a_dump_is_loaded_again_and_changes_nothing(up: Checkout, tmp_path: Path) -> None:
    first, second = tmp_path / "first.jsonl.gz", tmp_path / "second.jsonl"
    db(up, "dump", str(first))
    db(up, "load", str(first))
    db(up, "dump", str(second))
    unpacked = subprocess.run(["gzip", "-dc", first], capture_output=True, text=True, check=True).stdout
    stays = [line for line in unpacked.splitlines() if '"model": "stays.' in line]
    assert stays
    assert stays == [line for line in second.read_text().splitlines() if '"model": "stays.' in line]


def test_a_copy_to_another_server_has_the_same_checksums(up: Checkout, tmp_path: Path) -> None:
    up.make("down")  # what writes is stopped: a schedule's row would differ
    try:
        with servers.postgresql() as (_, url):
            assert "the target lacks tables; migrate it" in db(up, "copy", url, check=False).stderr
            told = environment(tmp_path) | {"DATABASE_URL": url, "PATH": os.environ["PATH"]}
            migrate = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
            subprocess.run(migrate, cwd=up.path / "app", env=told, check=True, timeout=120)
            verdicts = [line.split()[-1] for line in db(up, "copy", url).stdout.splitlines()]
            assert len(verdicts) > 10
            assert set(verdicts) == {"same"}
            again = db(up, "copy", url, check=False)
            assert again.returncode == 1
            assert "has rows already" in again.stderr
    finally:
        up.make("deploy")


def test_what_it_says_of_indexes_and_slow_statements(up: Checkout) -> None:
    lines = db(up, "indexes").stdout.splitlines()
    assert not [line for line in lines if line.startswith("missing")], lines
    refused = db(up, "slow", check=False)
    assert refused.returncode == 1
    assert "keeps no record of statements; look on PostgreSQL or MariaDB" in refused.stderr


def test_a_shell_asks_the_database_itself(up: Checkout) -> None:
    done = db(up, "shell", given="SELECT 'here ' || count(*) > 0 FROM stays_listing;\n", check=False)
    if shutil.which("sqlite3"):
        assert (done.returncode, done.stdout) == (0, "1\n")
    else:
        assert "sqlite3" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("dump",), "dump takes a target"),
        (("slow", "x"), "slow takes no target"),
        (("load", "/nowhere.jsonl"), "nowhere"),
        (("copy", "oracle://x"), "oracle"),
    ],
)
def test_bad_input_is_one_line(up: Checkout, words: tuple[str, ...], said: str) -> None:
    done = db(up, *words, check=False)
    assert done.returncode != 0
    assert said in done.stderr.splitlines()[-1]


def test_without_a_service_it_says_so_and_a_dry_run_does_nothing(up: Checkout, tmp_path: Path) -> None:
    done = db(up, "indexes", check=False, ROLLOUT_ROOT=str(tmp_path))
    assert done.stderr == f"error: no release serves in {tmp_path}; run `make up`\n"
    target = tmp_path / "dump.jsonl"
    assert "would dump" in db(up, "dump", str(target), "--dry-run").stdout
    assert not target.exists()
