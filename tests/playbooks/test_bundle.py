"""A bundle is what was built or is refused; how it is built from a commit is tested with scripts/release.py."""

from __future__ import annotations

import io
import os
import shutil
import sys
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rollout import bundle
from rollout.errors import RolloutError
from rollout.files import read_json, sha256
from rollout.service import Health, Process, Service

VERSION = "20261123-052500-0123456789ab"
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
SHOP = Service(
    name="shop",
    port=1,
    app="src",
    requirements="requirements.txt",
    pythons=(PYTHON,),
    settings_module="shop.settings",
    processes={"web": Process("gunicorn shop")},
    health=Health("/ready"),
    migrate="true",
    check="true",
)


@pytest.fixture(autouse=True)
def without_wheels(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is unpacked here needs no packages."""
    monkeypatch.setattr(bundle, "install", lambda release, manifest, **_: None)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """What is to be packed."""
    files = {
        "app/manage.py": "#!",
        "app/shop/site.py": "x = 1\n",
        "static/a.css": "a {}",
        "wheels/a.whl": "PK",
    }
    for name, text in files.items():
        path = tmp_path / "work" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "work/app/manage.py").chmod(0o755)
    bundle.write_manifest(tmp_path / "work", SHOP, VERSION, "0123456789abcdef")
    return tmp_path / "work"


@pytest.fixture
def packed(work: Path, tmp_path: Path) -> Path:
    path = bundle.path_of(tmp_path / "store", "shop", VERSION)
    bundle.pack(work, path, epoch=1_700_000_000)
    return path


def seal(path: Path) -> None:
    """Write the checksum of a bundle as it is now: as somebody would who could change both files."""
    path.with_suffix(".tar.sha256").write_text(f"{sha256(path)}  {path.name}\n")


def refusal(path: Path, into: Path) -> str:
    """Why a bundle is not unpacked; whatever the reason, nothing of it stays behind."""
    with pytest.raises(RolloutError) as refused:
        bundle.unpack(path, into)
    assert not into.exists()
    assert not list(into.parent.glob(f".{into.name}*"))
    return str(refused.value)


def test_what_was_packed_is_unpacked_and_its_wheels_are_left_in_the_bundle(
    packed: Path, tmp_path: Path
) -> None:
    into = tmp_path / "releases" / VERSION
    manifest = bundle.unpack(packed, into)
    assert manifest == read_json(into / "manifest.json")
    assert (manifest["version"], manifest["commit"]) == (VERSION, "0123456789abcdef")
    assert (into / "app/shop/site.py").read_text() == "x = 1\n"
    modes = {path.name: path.stat().st_mode & 0o777 for path in (into / "app").rglob("*.py")}
    assert modes == {"manage.py": 0o755, "site.py": 0o644}
    assert not (into / "wheels").exists()


def test_the_bytes_depend_on_names_and_contents_alone(work: Path, packed: Path, tmp_path: Path) -> None:
    again = bundle.path_of(tmp_path / "another store", "shop", VERSION)
    for path in work.rglob("*"):
        os.utime(path, (1, 1))
        path.chmod(0o700 if path.is_dir() or path.stat().st_mode & 0o100 else 0o600)
    bundle.pack(work, again, epoch=1_700_000_000)
    assert again.read_bytes() == packed.read_bytes()
    with tarfile.open(packed) as tar:
        names = tar.getnames()
        owners = {(entry.uid, entry.gid, entry.uname, entry.gname, entry.mtime) for entry in tar}
    assert names == sorted(names)
    assert owners == {(0, 0, "", "", 1_700_000_000)}


@pytest.mark.parametrize("where", [0, 700, -1])
def test_one_changed_byte_is_found_wherever_it_stands(packed: Path, tmp_path: Path, where: int) -> None:
    content = bytearray(packed.read_bytes())
    content[where] ^= 1
    packed.write_bytes(content)
    line = refusal(packed, tmp_path / "releases" / VERSION)
    assert line == (
        f"{packed} is corrupt: its checksum is not the one written beside it; "
        "delete it and run `make build`, or fetch it again"
    )


@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: path.write_text("\n")])
def test_a_bundle_without_a_checksum_is_refused(
    packed: Path, tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    spoil(packed.with_suffix(".tar.sha256"))
    line = refusal(packed, tmp_path / "releases" / VERSION)
    assert line == f"{packed} has no checksum beside it; delete it and run `make build`"


def test_a_bundle_that_is_not_there_is_named_with_what_lists_the_others(tmp_path: Path) -> None:
    with pytest.raises(
        RolloutError, match=r"there is no bundle .*/shop-9.tar; `make releases` lists what is kept"
    ):
        bundle.verify(bundle.path_of(tmp_path, "shop", "9"))


def test_content_that_is_not_the_manifests_is_found_although_the_checksum_fits(
    work: Path, packed: Path, tmp_path: Path
) -> None:
    (work / "app/shop/site.py").write_text("x = 2\n")
    bundle.pack(work, packed, epoch=1_700_000_000)
    line = refusal(packed, tmp_path / "releases" / VERSION)
    assert "app/shop/site.py is not what the manifest says; delete the bundle and run `make build`" in line


def test_a_file_that_is_missing_is_found(work: Path, packed: Path, tmp_path: Path) -> None:
    (work / "app/shop/site.py").unlink()
    bundle.pack(work, packed, epoch=1_700_000_000)
    assert "app/shop/site.py is not what the manifest says" in refusal(
        packed, tmp_path / "releases" / VERSION
    )


def test_a_file_that_the_manifest_does_not_know_is_found(work: Path, packed: Path, tmp_path: Path) -> None:
    (work / "app/sitecustomize.py").write_text("import os\n")
    bundle.pack(work, packed, epoch=1_700_000_000)
    assert "app/sitecustomize.py is not what the manifest says" in refusal(
        packed, tmp_path / "releases" / VERSION
    )


def test_a_bundle_under_another_releases_name_is_refused(work: Path, tmp_path: Path) -> None:
    other = bundle.path_of(tmp_path / "store", "shop", "20261124-000000-abc")
    bundle.pack(work, other, epoch=1_700_000_000)
    line = refusal(other, tmp_path / "releases/20261124-000000-abc")
    assert line.startswith(f"{other} holds release {VERSION}; give it its name back")
    with pytest.raises(RolloutError, match=f"holds release {VERSION}; give it its name back"):
        bundle.named(other)


def test_a_bundle_that_does_not_say_what_it_holds_is_one_line(work: Path, packed: Path) -> None:
    (work / "manifest.json").write_text("nonsense")
    bundle.pack(work, packed, epoch=1_700_000_000)
    with pytest.raises(RolloutError, match="does not say what it holds: "):
        bundle.named(packed)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("app/link", tarfile.SYMTYPE),
        ("app/hard", tarfile.LNKTYPE),
        ("app/pipe", tarfile.FIFOTYPE),
        ("app/device", tarfile.CHRTYPE),
        ("app/folder", tarfile.DIRTYPE),
        ("../outside", tarfile.REGTYPE),
        ("app/../../outside", tarfile.REGTYPE),
    ],
)
def test_only_plain_files_below_the_release_are_unpacked(
    packed: Path, tmp_path: Path, name: str, kind: bytes
) -> None:
    with tarfile.open(packed, "a") as tar:
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname, entry.size = kind, "/etc/passwd", 1 if kind == tarfile.REGTYPE else 0
        tar.addfile(entry, io.BytesIO(b"x"))
    seal(packed)
    line = refusal(packed, tmp_path / "releases" / VERSION)
    assert line == f"the bundle holds {name}, which is not a plain file; build it again"
    assert not list(tmp_path.rglob("outside"))


def test_an_absolute_name_is_refused(packed: Path, tmp_path: Path) -> None:
    with tarfile.open(packed, "a") as tar:
        tar.addfile(tarfile.TarInfo(f"{tmp_path}/outside"))
    seal(packed)
    assert "outside, which is not a plain file" in refusal(packed, tmp_path / "releases" / VERSION)
    assert not (tmp_path / "outside").exists()


def test_static_files_that_cannot_be_collected_are_told_in_the_words_of_the_service_file(work: Path) -> None:
    shutil.rmtree(work / "static")
    facts = replace(SHOP, static="echo \"KeyError: 'TITLE'\" >&2; false")
    with pytest.raises(RolloutError) as failed:
        bundle.collect_static(facts, work, {})
    assert str(failed.value) == (
        "the service's `static` command: KeyError: 'TITLE'; "
        "mend the application or infra/environments/dev.env, with which static files are collected"
    )


def test_what_is_no_tar_is_refused_in_one_line(packed: Path, tmp_path: Path) -> None:
    packed.write_bytes(b"not a tar " * 100)
    seal(packed)
    line = refusal(packed, tmp_path / "releases" / VERSION)
    assert line.startswith(f"{packed} cannot be unpacked: ")
    assert "\n" not in line


def test_a_disk_that_is_full_while_unpacking_leaves_nothing_behind(
    packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bundle, "install", full)
    line = refusal(packed, tmp_path / "releases" / VERSION)
    assert "No space left on device; free space on the disk and run the command again" in line


def test_a_rest_of_a_killed_unpacking_is_in_nobodys_way(packed: Path, tmp_path: Path) -> None:
    rest = tmp_path / "releases" / f".{VERSION}.partial"
    rest.mkdir(parents=True)
    (rest / "half").touch()
    bundle.unpack(packed, tmp_path / "releases" / VERSION)
    assert not rest.exists()
    assert not (tmp_path / "releases" / VERSION / "half").exists()


def test_a_deleted_bundle_takes_its_checksum_along_and_no_other(work: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    for name, version in (("shop", "1"), ("shop", "2"), ("shopkeeper", "1"), ("shop-keeper", "1")):
        bundle.pack(work, bundle.path_of(store, name, version), epoch=1)
    assert bundle.stored(store, "shop") == ["1", "2"]
    bundle.delete(store, "shop", "1")
    assert bundle.stored(store, "shop") == ["2"]
    assert len(list(store.iterdir())) == 2 * 3
