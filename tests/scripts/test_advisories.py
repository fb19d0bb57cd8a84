"""Which locked versions `make scan` calls vulnerable, and which database it does not believe."""

import json
import os
import subprocess
import sys
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.scripts.advisories import advisory, database
from tests.scripts.project import ROOT

REMEDY = "fetch it: docs/supply-chain.md"


def judged(folder: Path, source: Path | str, *pins: str) -> str:
    """What is refused of a lock of these pins; "" where it passes."""
    lock = folder / "lock.txt"
    lock.write_text("".join(f"{pin} \\\n    --hash=sha256:0\n    # via x\n" for pin in pins))
    done = subprocess.run(
        [sys.executable, ROOT / "scripts/advisories.py", lock.name],
        cwd=folder,
        env=os.environ | {"ADVISORIES": str(source)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (int(bool(done.stderr)), "")
    return done.stderr.strip()


def found(tmp_path: Path, version: str, *entries: dict[str, Any]) -> bool:
    """Whether some-thing of a version is called vulnerable."""
    return bool(judged(tmp_path, database(tmp_path / "advisories", *entries), f"some-thing=={version}"))


def test_a_vulnerable_version_is_refused_by_name_and_a_fixed_one_passes(tmp_path: Path) -> None:
    entries = database(tmp_path / "advisories", advisory())
    assert judged(tmp_path, entries, "some_thing==1.9") == (
        "some-thing 1.9 in lock.txt: GHSA-1; take 2 or later: make lock UPGRADE=1"
    )
    assert judged(tmp_path, entries, "some_thing==2.0") == ""


@pytest.mark.parametrize(
    ("version", "vulnerable"),
    [
        ("0.9", False), ("1.0rc1", False), ("1.0", True), ("1.4.9", True), ("1.5", False), ("1.6", False),
        ("2.0a1", False), ("2.0", True), ("2.3", True), ("2.3.post1", False), ("2.3+local", True), ("2.4", False),
        ("3.0.0", True), ("3.1", False), ("1!1.0", False),
    ],
)  # fmt: skip
def test_every_range_and_every_listed_version_counts(tmp_path: Path, version: str, vulnerable: bool) -> None:
    ranges = [
        [{"fixed": "1.5"}, {"introduced": "1.0"}],
        [{"introduced": "2.0"}, {"last_affected": "2.3"}],
    ]
    assert found(tmp_path, version, advisory(ranges=ranges, versions=["3.0", "a-b"])) == vulnerable


def test_a_pre_release_of_the_fixed_version_is_vulnerable(tmp_path: Path) -> None:
    assert found(tmp_path, "2rc1", advisory())


def test_what_says_its_versions_in_another_form_counts(tmp_path: Path) -> None:
    assert found(tmp_path, "9", advisory(ranges=[[{"introduced": "0"}, {"fixed": "a-b"}]]))


def test_names_and_ecosystems_are_told_apart(tmp_path: Path) -> None:
    other = advisory()
    other["affected"][0]["package"]["ecosystem"] = "npm"
    assert not found(tmp_path, "1", other, advisory(package="something"))


def test_what_was_withdrawn_does_not_count(tmp_path: Path) -> None:
    assert not found(tmp_path, "1", advisory(withdrawn="2026-01-01T00:00:00Z"))


def test_advisories_that_name_each_other_are_one_finding(tmp_path: Path) -> None:
    same = [
        advisory("GHSA-1", aliases=["CVE-1"]),
        advisory("PYSEC-1", aliases=["CVE-1"], ranges=[[{"introduced": "0"}, {"fixed": "1.5"}]]),
        advisory("GHSA-2", ranges=[[{"introduced": "0"}]]),
    ]
    assert judged(tmp_path, database(tmp_path / "advisories", *same), "some-thing==1").splitlines() == [
        "some-thing 1 in lock.txt: CVE-1, GHSA-1, PYSEC-1; take 1.5 or later: make lock UPGRADE=1",
        "some-thing 1 in lock.txt: GHSA-2; no version mends it: do without",
    ]


def test_each_entry_of_a_lock_for_several_machines_is_judged(tmp_path: Path) -> None:
    pins = ("some-thing==1 ; python_version < '3.12'", "some-thing[x]==2 ; python_version >= '3.12'")
    said = judged(tmp_path, database(tmp_path / "advisories", advisory()), *pins)
    assert said.startswith("some-thing 1 in lock.txt: GHSA-1; ")
    assert said.count("\n") == 0


def test_what_is_locked_to_no_version_is_refused(tmp_path: Path) -> None:
    entries = database(tmp_path / "advisories", advisory())
    for pin in ("some-thing>=1", "some-thing==1.*", "some-thing"):
        assert "is not locked to a version; lock again: make lock" in judged(tmp_path, entries, pin)


@pytest.mark.parametrize("name", ["GHSA-1", "CVE-1"])
def test_an_excepted_one_passes_by_any_of_its_names(tmp_path: Path, name: str) -> None:
    until = datetime.now(UTC).date() + timedelta(days=9)
    entry = {"what": f"{name} some-thing", "reason": "never called by us", "until": until}
    (tmp_path / "infra").mkdir()
    (tmp_path / "infra/exceptions.yml").write_text(yaml.safe_dump({"advisories": [entry]}))
    assert not found(tmp_path, "1", advisory(aliases=["CVE-1"]))


def test_an_exception_that_matches_nothing_any_more_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "infra").mkdir()
    (tmp_path / "infra/exceptions.yml").write_text("advisories: [{what: GHSA-1 some-thing}]\n")
    said = judged(tmp_path, database(tmp_path / "advisories", advisory()), "some-thing==2")
    assert said == (
        "infra/exceptions.yml: advisories: GHSA-1 some-thing matches nothing any more; take it out"
    )


def test_a_zip_is_read_as_a_folder_is(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("GHSA-1.json", json.dumps(advisory()))
    assert "GHSA-1" in judged(tmp_path, tmp_path / "all.zip", "some-thing==1")


def test_without_a_database_nothing_passes(tmp_path: Path) -> None:
    assert judged(tmp_path, "", "a==1") == f"no advisory database is given (ADVISORIES); {REMEDY}"


@pytest.mark.parametrize(
    ("entries", "why"),
    [
        ([], "holds no advisory for PyPI"),
        ([advisory(days=-400)], "holds no advisory for PyPI"),
        ([advisory(days=8), advisory(days=9, package="b")], "is too old: its newest advisory is of "),
    ],
    ids=["empty", "of another time", "stale"],
)
def test_a_database_that_is_empty_or_stale_passes_nothing(
    tmp_path: Path, entries: list[dict[str, Any]], why: str
) -> None:
    said = judged(tmp_path, database(tmp_path / "advisories", *entries), "a==1")
    assert said.startswith(f"the advisory database {tmp_path}/advisories {why}")
    assert said.endswith(REMEDY)


def test_a_stale_database_with_one_new_entry_passes(tmp_path: Path) -> None:
    assert not found(tmp_path, "3", advisory(days=900), advisory("GHSA-2", days=6))


@pytest.mark.parametrize("change", [{"modified": "soon"}, {"modified": "2026-01-01"}, {"affected": [1]}])
def test_a_database_of_another_form_passes_nothing(tmp_path: Path, change: dict[str, Any]) -> None:
    said = judged(tmp_path, database(tmp_path / "advisories", advisory() | change), "a==1")
    assert said.startswith(f"the advisory database {tmp_path}/advisories is not of the OSV format: ")


@pytest.mark.parametrize("text", ["", "{", "PK"])
def test_a_database_that_cannot_be_read_is_one_clear_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "all.zip").write_text(text)
    for source in (tmp_path / "all.zip", tmp_path / "nowhere.zip", "https://127.0.0.1:9/all.zip"):
        said = judged(tmp_path, source, "a==1")
        assert said.startswith(f"the advisory database {source} cannot be read: ")
        assert said.endswith(REMEDY)
        assert said.count("\n") == 0
