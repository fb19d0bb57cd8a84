"""Files that are the old or the new ones, and settings that every reader reads alike."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rollout.errors import RolloutError
from rollout.files import env_text, locked, read_env, read_json, write_atomically, write_json


def test_a_reader_sees_all_of_the_old_or_all_of_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "current.json"
    write_atomically(path, "old")
    seen = list[str]()
    monkeypatch.setattr(os, "fsync", lambda number: seen.append(path.read_text()))
    write_atomically(path, "new and longer")
    assert (seen, path.read_text()) == (["old"], "new and longer")


def test_a_write_that_fails_leaves_the_old_file_and_no_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(number: int) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "current.json"
    write_atomically(path, "old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_secret_is_readable_by_its_owner_only_from_its_first_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes = list[int]()
    monkeypatch.setattr(os, "fsync", lambda number: modes.append(os.fstat(number).st_mode & 0o777))
    write_atomically(tmp_path / "secrets.env", "KEY=value", 0o600)
    assert modes == [0o600]
    assert (tmp_path / "secrets.env").stat().st_mode & 0o777 == 0o600


def test_json_that_is_not_there_is_none_and_damaged_json_is_named(tmp_path: Path) -> None:
    path = tmp_path / "current.json"
    assert read_json(path) is None
    write_json(path, {"version": "1"})
    assert read_json(path) == {"version": "1"}
    path.write_text('{"version"')
    with pytest.raises(RolloutError, match=rf"{path} is not readable JSON: .*; move it away"):
        read_json(path)


def test_settings_survive_a_round_trip(tmp_path: Path) -> None:
    told = {"URL": "https://one.example/?a=b&c=d#e", "EMPTY": "", "FROM": "Name <name@example.org>"}
    path = tmp_path / "dev.env"
    path.write_text("# a comment\n\n" + env_text(told))
    assert read_env(path) == told


@pytest.mark.parametrize(
    "line",
    [
        "export KEY=value",
        "KEY value",
        "KEY",
        " KEY=value",
        "A-KEY=value",
        "2KEY=value",
        "=value",
        'KEY="value"',
        "KEY='value'",
        "KEY=$OTHER",
        "KEY=`id`",
        "KEY=one\\",
    ],
)
def test_what_other_readers_read_differently_is_refused_with_its_place(tmp_path: Path, line: str) -> None:
    path = tmp_path / "dev.env"
    path.write_text(f"FIRST=1\n{line}\n")
    with pytest.raises(RolloutError, match=rf"^{path}:2: not plain KEY=value; write it without quotes"):
        read_env(path)


def test_a_setting_that_stands_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "dev.env"
    path.write_text("KEY=1\nKEY=1\n")
    with pytest.raises(RolloutError, match=rf"^{path}:2: KEY is set twice; keep one"):
        read_env(path)


def test_a_lock_is_waited_for_and_then_its_holder_is_named(tmp_path: Path) -> None:
    path = tmp_path / "migrate.lock"
    with (
        locked(path, 1, "nobody"),
        pytest.raises(RolloutError, match=r"still held after 0 s by a migration; wait for it, or end"),
        locked(path, 0.1, "a migration"),
    ):
        pytest.fail("two hold it")
    with locked(path, 0.1, "a migration"):
        pass


def test_a_child_that_inherits_a_lock_holds_it_when_its_parent_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "migrate.lock"
    wait = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with locked(path, 1, "nobody") as number:
        child = subprocess.Popen(wait, stdin=subprocess.PIPE, pass_fds=(number,))
    with pytest.raises(RolloutError, match="still held"), locked(path, 0.1, "the child"):
        pytest.fail("the child lost the lock")
    child.communicate(timeout=10)
    with locked(path, 0.1, "the child"):
        pass
