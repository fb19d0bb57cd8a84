"""What infra/exceptions.yml has to say of everything that it lets pass, and that it lets no other pass."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from tests.scripts.project import ROOT

FILE = "infra/exceptions.yml"


def said(folder: Path, text: str, *checks: str) -> list[str]:
    """The lines of what is refused of a file of exceptions."""
    (folder / FILE).parent.mkdir(exist_ok=True)
    (folder / FILE).write_text(text)
    done = subprocess.run(
        [sys.executable, ROOT / "scripts/exceptions.py", *checks],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (int(bool(done.stderr)), "")
    return done.stderr.splitlines()


def entry(days: int = 30, **more: object) -> str:
    """A file with one entry that lasts so many days from now; `more` says it otherwise, None leaves it out."""
    until = datetime.now(UTC).date() + timedelta(days=days)
    told = {"what": ["CKV_1", "CKV_2 Job/a"], "reason": "nobody is harmed by it", "until": until} | more
    return yaml.safe_dump({"policy": [{key: value for key, value in told.items() if value is not None}]})


@pytest.mark.parametrize("days", [0, 1, 366])
def test_an_exception_with_a_reason_and_a_last_day_passes(tmp_path: Path, days: int) -> None:
    assert said(tmp_path, entry(days)) == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (entry(-1), "ended on "),
        (entry(400), "lasts until "),
        (entry(until=None), "has no last day; "),
        (entry(until="soon"), "has no last day; "),
        (entry(reason=None), "has no reason; "),
        (entry(reason="because"), "has no reason; "),
        (entry(because="of the moon"), "says because, which nothing reads; "),
    ],
)
def test_an_exception_without_a_reason_or_a_last_day_or_past_it_is_refused_by_name(
    tmp_path: Path, text: str, why: str
) -> None:
    first, second = said(tmp_path, text)
    assert first.startswith(f"{FILE}: policy: CKV_1 {why}")
    assert second.startswith(f"{FILE}: policy: CKV_2 Job/a {why}")


def test_one_check_may_be_asked_alone(tmp_path: Path) -> None:
    assert said(tmp_path, entry(-1), "secrets") == []
    assert len(said(tmp_path, entry(-1), "policy")) == 2


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("moon: []\n", "there is no check moon; choose of secrets, pragmas, history, advisories, policy"),
        ("[secrets]\n", "is no mapping"),
        ("secrets: [a]\n", "is no mapping"),
        ("secrets: [{reason: a}]\n", "is no mapping"),
        ("secrets: {\n", "is no mapping"),
    ],
)
def test_a_file_of_another_form_is_one_clear_line(tmp_path: Path, text: str, why: str) -> None:
    (line,) = said(tmp_path, text)
    assert line.startswith(FILE)
    assert why in line


def test_without_a_file_nothing_is_let_pass_and_nothing_refused(tmp_path: Path) -> None:
    said(tmp_path, "")
    (tmp_path / FILE).unlink()
    done = subprocess.run([sys.executable, ROOT / "scripts/exceptions.py"], cwd=tmp_path, check=False)
    assert done.returncode == 0


def test_what_this_repository_lets_pass_stands() -> None:
    done = subprocess.run([sys.executable, "scripts/exceptions.py"], cwd=ROOT, check=False)
    assert done.returncode == 0
