"""The image's entry point refuses what it cannot start. What it starts, test_image and test_compose show."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

START = Path(__file__).parents[2] / "infra/docker/start.py"
FACTS = {"processes": {"web": {"command": "true"}, "mill": {"command": "sh -c 'echo ground $0'"}}}


@pytest.fixture
def start(tmp_path: Path) -> Path:
    """The entry point beside a service file of two processes."""
    (tmp_path / "start.json").write_text(json.dumps(FACTS))
    return Path(shutil.copy(START, tmp_path))


def run(start: Path, *words: str) -> subprocess.CompletedProcess[str]:
    scratch = start.parent / "run"
    scratch.mkdir()
    told = {"RUN_DIR": str(scratch), "PATH": "/usr/bin:/bin"}
    command = (sys.executable, str(start), *words)
    return subprocess.run(command, env=told, capture_output=True, text=True, check=False, timeout=30)


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        ((), "no process is named"),
        (("start",), "no process is named"),
        (("start", "nonsense", "--reload"), "there is no process nonsense"),
    ],
)
def test_what_cannot_be_started_is_one_line_that_names_what_can(
    start: Path, words: tuple[str, ...], wrong: str
) -> None:
    done = run(start, *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: {wrong}; start one of web, mill\n"


def test_a_process_is_started_with_the_words_that_follow(start: Path) -> None:
    assert run(start, "start", "mill", "barley").stdout == "ground barley\n"


def test_whether_nothing_is_well_is_one_line(start: Path) -> None:
    done = run(start, "healthy")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"error: [Errno 2] No such file or directory: '{start.parent / 'run/process'}'\n"


@pytest.mark.parametrize("content", [b"caf\xe9", b"a\0b", None], ids=["Latin-1", "zero byte", "folder"])
def test_a_file_that_cannot_be_a_secret_is_one_line_that_names_it(start: Path, content: bytes | None) -> None:
    file = start.parent / "secrets/SECRET_KEY"
    file.parent.mkdir()
    file.mkdir() if content is None else file.write_bytes(content)
    start.write_text(start.read_text().replace("/run/secrets", str(file.parent)))
    done = run(start, "start", "mill")
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert str(file) in line


def test_a_command_that_there_is_not_is_one_line(start: Path) -> None:
    done = run(start, "nonsense")
    assert done.returncode == 127
    assert done.stderr.startswith("error: there is no command nonsense; ")
