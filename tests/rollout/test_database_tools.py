"""scripts/db on the service that runs here; each of its words and refusals: tests/scripts/test_db.py."""

import gzip
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.app import servers
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


def test_a_dump_of_what_runs_is_loaded_elsewhere_and_never_over_it(up: Checkout, tmp_path: Path) -> None:
    first, second = tmp_path / "first.jsonl.gz", tmp_path / "second.jsonl"
    db(up, "dump", str(first))
    refused = db(up, "load", str(first), check=False)
    assert refused.returncode == 1
    assert "has rows already; give the URL of an empty database" in refused.stderr
    db(up, "load", str(first), f"sqlite:///{tmp_path}/other.sqlite3")
    db(up, "dump", str(second))
    stays = [line for line in gzip.decompress(first.read_bytes()).decode().splitlines() if '["stays_' in line]
    assert stays
    assert stays == [line for line in second.read_text().splitlines() if '["stays_' in line]


def test_a_copy_to_a_server_while_the_service_runs_has_the_same_checksums(up: Checkout) -> None:
    with servers.postgresql() as (_, url):
        bare = url.replace(f":{servers.PASSWORD}@", "@")
        verdicts = [
            line.split()[-1] for line in db(up, "copy", bare, PGPASSWORD=servers.PASSWORD).stdout.splitlines()
        ]
        assert len(verdicts) > 10
        assert set(verdicts) == {"same"}
        again = db(up, "copy", bare, check=False, PGPASSWORD=servers.PASSWORD)
        assert again.returncode == 1
        assert "has rows already" in again.stderr


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
