"""What a release and its settings have to be before anything is started."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections import namedtuple
from pathlib import Path

import pytest

from rollout import bundle, contents, release
from rollout.errors import RolloutError
from rollout.files import sha256
from rollout.place import Place

CLEAN, DIRTY = "20261123-052500-0123456789ab", "20261123-052500-0123456789ab-dirty-01234567"
Usage = namedtuple("Usage", "total used free")


def test_uncommitted_changes_go_to_dev_only() -> None:
    release.fit_for(DIRTY, "dev")
    release.fit_for(CLEAN, "production")
    for environment in ("staging", "production"):
        with pytest.raises(
            RolloutError, match=r"holds uncommitted changes and may .* dev only; commit them, then"
        ):
            release.fit_for(DIRTY, environment)


def test_a_digest_tells_settings_apart_and_does_not_tell_them() -> None:
    digest = release.digest_of({"A": "1", "SECRET": "hidden"})
    assert digest == release.digest_of({"SECRET": "hidden", "A": "1"}), "the order of lines is no setting"
    others = [{"A": "2", "SECRET": "hidden"}, {"A": "1", "SECRET": "other"}, {"A": "1"}, {}]
    assert len({digest, *map(release.digest_of, others)}) == 5
    assert "hidden" not in digest


def test_secrets_are_invented_once_and_for_their_owner_only(tmp_path: Path) -> None:
    place = Place(tmp_path)
    release.keep_secrets(place, {}, ["ONE"])
    first = (tmp_path / "secrets.env").read_text()
    release.keep_secrets(place, {}, ["ONE", "TWO"])
    assert first in (tmp_path / "secrets.env").read_text()
    assert (tmp_path / "secrets.env").stat().st_mode & 0o777 == 0o600
    (tmp_path / "dev.env").write_text("A=1\n")
    settings = place.settings(tmp_path / "dev.env")
    assert set(settings) == {"A", "ONE", "TWO"}
    assert settings["ONE"] != settings["TWO"]
    assert len(settings["ONE"]) >= 50


def test_secrets_that_are_given_take_the_place_of_those_that_were(tmp_path: Path) -> None:
    place = Place(tmp_path)
    release.keep_secrets(place, {"ONE": "first", "OLD": "gone"}, [])
    release.keep_secrets(place, {"ONE": "second"}, [])
    assert (tmp_path / "secrets.env").read_text() == "ONE=second\n"
    assert (tmp_path / "secrets.env").stat().st_mode & 0o777 == 0o600


def test_only_a_rollback_serves_with_the_settings_of_then_and_with_the_secrets_of_today(
    tmp_path: Path,
) -> None:
    place = Place(tmp_path)
    release.tell(place, CLEAN, "A=1\n", "rollback")
    assert place.told() == {"A": "1"}, "none were kept"
    place.settings_file(CLEAN).write_text("A=2\n")
    release.keep_secrets(place, {"ONE": "today"}, [])
    release.tell(place, CLEAN, "A=1\n", "rollback")
    assert place.told() == {"A": "2", "ONE": "today"}
    release.tell(place, CLEAN, "A=1\n", "deploy")
    assert place.told() == {"A": "1", "ONE": "today"}


def test_a_disk_without_room_is_found_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = bundle.path_of(tmp_path / "store", "shop", CLEAN)
    path.parent.mkdir()
    path.write_bytes(b"x" * 1_000_000)
    path.with_suffix(".tar.sha256").write_text(sha256(path))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, 104_000_000))
    with pytest.raises(
        RolloutError, match=r"has 104 MB free, the release needs 105; free space on that disk"
    ):
        release.unpack(Place(tmp_path), path.parent, "shop", CLEAN)
    assert list((tmp_path / "releases").iterdir()) == []


def test_the_last_line_of_a_failed_check_is_the_reason(tmp_path: Path) -> None:
    place = Place(tmp_path)
    app = place.release("1") / "app"
    app.mkdir(parents=True)
    (place.release("1") / "manifest.json").write_text('{"commit": "0"}')
    facts = {
        "name": "shop", "port": 1, "app": "src", "requirements": "r", "pythons": ["3"], "settings_module": "s",
        "processes": {"web": {"command": "x"}}, "health": {"ready": "/"}, "migrate": "true",
        "check": "echo fine; echo trace >&2; echo DATABASE_URL is missing in $ENVIRONMENT >&2; exit 3",
    }  # fmt: skip
    (place.release("1") / "service.yml").write_text(json.dumps(facts))
    with pytest.raises(
        RolloutError, match=r"^the check of 1 failed: DATABASE_URL is missing in dev; mend the settings"
    ):
        release.check(place, "1", {"ENVIRONMENT": "dev"})


FILES = {
    "app/page.html": "as built",
    "app/sub/one.py": "x = 1",
    "venv/lib/six.py": "six",
    "manifest.json": "{}",
}


def laid(folder: Path) -> Path:
    """A release as it is unpacked."""
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "static").mkdir()
    (folder / "venv/bin").mkdir()
    (folder / "venv/bin/python").symlink_to("/usr/bin/python3")
    contents.note(folder)
    return folder


@pytest.fixture
def unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An unpacked release; any bundle holds the same."""
    monkeypatch.setattr(bundle, "verify", lambda path: None)
    monkeypatch.setattr(bundle, "unpack", lambda path, into: laid(into))
    path = bundle.path_of(tmp_path / "store", "shop", CLEAN)
    path.parent.mkdir()
    path.touch()
    return laid(Place(tmp_path).release(CLEAN))


def again(tmp_path: Path, *, mend: bool = True) -> str:
    return release.unpack(Place(tmp_path), tmp_path / "store", "shop", CLEAN, mend=mend)


HARM = {
    "echo by hand >app/page.html": {"app/page.html": "was edited"},
    "rm -r app/sub": {"app/sub/one.py": "is missing"},
    "chmod 600 app/page.html": {"app/page.html": "has mode -rw-------, not -rw-r--r--"},
    "ln -sf /bin/sh venv/bin/python": {"venv/bin/python": "was edited"},
    "mkdir -p app/new/deep; touch app/new/deep/file": {"app/new/deep/file": "does not belong there"},
    "rm -r app/sub; touch app/sub": {"app/sub": "does not belong there", "app/sub/one.py": "is missing"},
    "rm contents.json": {"contents.json": "is missing"},
}


@pytest.mark.parametrize("harm", list(HARM))
def test_what_is_changed_in_an_unpacked_release_is_named_and_mended(
    unpacked: Path, tmp_path: Path, harm: str
) -> None:
    wrong = HARM[harm]
    right, served = (unpacked / "venv/lib/six.py").stat(), unpacked.stat()
    assert (contents.differing(unpacked), again(tmp_path)) == ({}, "is here")
    subprocess.run(["sh", "-ec", harm], cwd=unpacked, check=True)
    assert contents.differing(unpacked) == wrong
    files = f"{len(wrong)} changed file{'' if len(wrong) == 1 else 's'}"
    one = f"{min(wrong)}{', ...' if len(wrong) > 1 else ''}"
    assert again(tmp_path, mend=False) == f"is here with {files} ({one}), which a deploy mends"
    assert contents.differing(unpacked) == wrong, "a dry run changes nothing"
    assert again(tmp_path) == f"is here, {files} ({one}) mended"
    assert (contents.differing(unpacked, every_byte=True), again(tmp_path)) == ({}, "is here")
    assert {name: (unpacked / name).read_text() for name in FILES} == FILES
    assert (unpacked / "static").is_dir()
    assert not (unpacked / "app/new").exists()
    assert [each.name for each in unpacked.parent.iterdir()] == [CLEAN]
    assert (unpacked / "venv/lib/six.py").stat().st_ino == right.st_ino, "what is right stays"
    assert unpacked.stat().st_ino == served.st_ino, "processes may be running there"


def test_what_python_compiles_and_a_rollout_writes_down_is_no_change_and_a_touched_file_no_edit(
    unpacked: Path,
) -> None:
    (unpacked / "app/sub/__pycache__").mkdir()
    (unpacked / "app/sub/__pycache__/one.cpython-311.pyc").touch()
    (unpacked / "needs-0123.json").touch()
    os.utime(unpacked / "app/page.html", (1, 1))
    assert contents.differing(unpacked) == {}


def test_an_edit_that_hides_its_size_and_time_is_found_before_a_rollout(
    unpacked: Path, tmp_path: Path
) -> None:
    page = unpacked / "app/page.html"
    before = page.stat()
    page.write_text("AS BUILT")
    os.utime(page, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert again(tmp_path) == "is here, 1 changed file (app/page.html) mended"
    assert page.read_text() == "as built"


def test_strays_need_no_bundle_and_what_is_missing_does(
    unpacked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    shutil.rmtree(tmp_path / "store")
    (unpacked / "app/celerybeat-schedule").touch()
    assert again(tmp_path) == "is here, 1 changed file (app/celerybeat-schedule) mended"
    (unpacked / "app/page.html").unlink()
    with pytest.raises(RolloutError, match="there is no bundle"):
        again(tmp_path)


def test_looking_at_a_large_release_takes_less_than_a_second(tmp_path: Path) -> None:
    for number in range(8000):
        folder = tmp_path / f"venv/{number // 100}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.py").touch()
    contents.note(tmp_path)
    (tmp_path / "venv/7/700.py").write_text("by hand")
    begin = time.process_time()
    assert contents.differing(tmp_path) == {"venv/7/700.py": "was edited"}
    assert time.process_time() - begin < 1


def test_a_bundle_that_changed_is_told_also_where_its_release_is_unpacked(tmp_path: Path) -> None:
    path = bundle.path_of(tmp_path / "store", "shop", CLEAN)
    path.parent.mkdir()
    path.write_bytes(b"changed")
    path.with_suffix(".tar.sha256").write_text("0")
    Place(tmp_path).release(CLEAN).mkdir(parents=True)
    with pytest.raises(RolloutError, match="is corrupt"):
        release.unpack(Place(tmp_path), path.parent, "shop", CLEAN)
