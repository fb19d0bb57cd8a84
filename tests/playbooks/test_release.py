"""What a release and its settings have to be before anything is started."""

from __future__ import annotations

import json
import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from rollout import bundle, release
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


def test_an_unpacked_release_that_was_changed_is_not_rolled_out_again(tmp_path: Path) -> None:
    place, store = Place(tmp_path), tmp_path / "store"
    folder = place.release(CLEAN)
    (folder / "app").mkdir(parents=True)
    page = folder / "app/page.html"
    page.write_text("as built")
    files = {"app/page.html": sha256(page), "wheels/installed.whl": "0"}
    (folder / "manifest.json").write_text(json.dumps({"files": files}))
    (folder / "app/celerybeat-schedule").write_text("made by a process of its own")
    assert release.unpack(place, store, "shop", CLEAN) is False, "no bundle is needed"
    page.write_text("by hand")
    with pytest.raises(RolloutError, match=rf"{page} is not what was built; .*rm -r {folder}"):
        release.unpack(place, store, "shop", CLEAN)
    page.unlink()
    with pytest.raises(RolloutError, match="is not what was built"):
        release.unpack(place, store, "shop", CLEAN)


def test_a_bundle_that_changed_is_told_also_where_its_release_is_unpacked(tmp_path: Path) -> None:
    path = bundle.path_of(tmp_path / "store", "shop", CLEAN)
    path.parent.mkdir()
    path.write_bytes(b"changed")
    path.with_suffix(".tar.sha256").write_text("0")
    Place(tmp_path).release(CLEAN).mkdir(parents=True)
    with pytest.raises(RolloutError, match="is corrupt"):
        release.unpack(Place(tmp_path), path.parent, "shop", CLEAN)
