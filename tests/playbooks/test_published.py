"""One folder for all who roll out: a bundle gets there once, and nobody ends with another of its name."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from rollout import bundle, published
from rollout.errors import RolloutError
from rollout.files import sha256

VERSION = "20261123-052500-0123456789ab"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder that is shared."""
    (tmp_path / "shared").mkdir()
    return tmp_path / "shared"


def store(folder: Path, name: str, content: str = "", signature: str = "") -> Path:
    """Where somebody's store has the release's bundle, or would have it."""
    path = bundle.path_of(folder.parent / name, "shop", VERSION)
    if content:
        path.parent.mkdir()
        path.write_text(content)
        path.with_suffix(".tar.sha256").write_text(f"{sha256(path)}  {path.name}\n")
    if signature:
        path.with_suffix(".tar.sig").write_text(signature)
    return path


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_what_one_publishes_another_fetches_with_all_that_belongs_to_it(folder: Path) -> None:
    ours, theirs = store(folder, "ours", "bytes", "by abebe"), store(folder, "theirs")
    assert not published.fetch(folder, ours)
    assert not published.fetch(folder, theirs)
    published.publish(folder, ours)
    assert published.fetch(folder, theirs)
    assert contents(theirs.parent) == contents(ours.parent) == contents(folder)
    bundle.verify(theirs)
    before = {path: path.stat().st_ino for path in folder.iterdir()}
    published.publish(folder, theirs)
    assert {path: path.stat().st_ino for path in folder.iterdir()} == before, "what is there stays untouched"


def test_a_signature_that_is_made_later_follows_both_ways(folder: Path) -> None:
    ours, theirs = store(folder, "ours", "bytes"), store(folder, "theirs", "bytes")
    published.publish(folder, ours)
    theirs.with_suffix(".tar.sig").write_text("by abebe")
    published.publish(folder, theirs)
    assert published.fetch(folder, ours)
    assert ours.with_suffix(".tar.sig").read_text() == "by abebe"


def test_another_bundle_of_the_same_name_is_refused_and_both_stay(folder: Path) -> None:
    ours, theirs = store(folder, "ours", "bytes"), store(folder, "theirs", "other bytes")
    published.publish(folder, ours)
    for act in (published.fetch, published.publish):
        with pytest.raises(RolloutError, match=r"^.*theirs/\S+ is not the one that \S+shared has; delete it"):
            act(folder, theirs)
    assert (folder / ours.name).read_text() == "bytes"
    assert theirs.read_text() == "other bytes"


def test_a_published_bundle_that_changed_is_not_taken(folder: Path) -> None:
    ours, theirs = store(folder, "ours", "bytes"), store(folder, "theirs")
    published.publish(folder, ours)
    (folder / ours.name).write_text("spoiled")
    with pytest.raises(RolloutError, match=r"shared/\S+ is corrupt"):
        published.fetch(folder, theirs)
    assert not theirs.exists()


def test_who_is_slower_by_a_moment_is_refused_and_replaces_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = store(folder, "ours", "bytes"), store(folder, "theirs", "other bytes")
    copy = shutil.copy

    def slowly(source: Path, target: Path) -> None:
        monkeypatch.undo()
        published.publish(folder, theirs)
        copy(source, target)

    monkeypatch.setattr(shutil, "copy", slowly)
    with pytest.raises(RolloutError, match="is not the one that"):
        published.publish(folder, ours)
    assert (folder / ours.name).read_text() == "other bytes"
    bundle.verify(folder / ours.name)


def test_nothing_is_seen_of_a_copy_that_was_cut_off(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = store(folder, "ours", "bytes", "by abebe")
    link = os.link

    def until_the_bundle(source: Path, target: Path) -> None:
        if target.suffix == ".tar":
            raise KeyboardInterrupt
        link(source, target)

    monkeypatch.setattr(os, "link", until_the_bundle)
    with pytest.raises(KeyboardInterrupt):
        published.publish(folder, ours)
    monkeypatch.undo()
    assert bundle.stored(folder, "shop") == []
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]
    published.publish(folder, ours)
    assert contents(folder) == contents(ours.parent)


def test_a_folder_that_is_not_mounted_is_an_error_and_not_made(folder: Path) -> None:
    ours = store(folder, "ours", "bytes")
    folder.rmdir()
    for act in (published.fetch, published.publish):
        with pytest.raises(
            RolloutError, match=r"shared, where releases are published, is no folder here; mount it"
        ):
            act(folder, ours)
    assert not folder.exists()
