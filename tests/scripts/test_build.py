"""A build is a function of its commit: not of the folder, the machine's habits or the time."""

from __future__ import annotations

import hashlib
import os
import tarfile
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.rollout.changes import append
from tests.rollout.checkout import Checkout

pytestmark = pytest.mark.verify


def built(clone: Checkout) -> Path:
    """The bundle that `make build` makes in a clone."""
    clone.make("build")
    (bundle,) = (clone.folder / "releases").glob("*.tar")
    return bundle


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_built_twice_in_two_folders_at_two_times_by_two_people_the_bytes_are_the_same(tmp_path: Path) -> None:
    began = time.monotonic()
    one = Checkout(tmp_path, port=1)
    first = built(one)
    elsewhere = (
        tmp_path / "another person's home, #2 % ü" / "whose-paths-are-much-longer-than-those-of-the-first"
    )
    home = elsewhere / "home"
    home.mkdir(parents=True)
    mask = os.umask(0o077)
    try:
        two = Checkout(elsewhere, port=1)
        for path in two.path.rglob("*"):
            if path.is_file() and not path.is_symlink():
                os.utime(path, (1, 1))
        habits = {
            "HOME": str(home),
            "TZ": "Asia/Tokyo",
            "LANG": "de_DE.UTF-8",
            "LC_ALL": "C",
            "PYTHONHASHSEED": "7",
        }
        two.environment |= habits
        second = built(two)
    finally:
        os.umask(mask)
    assert time.monotonic() - began > 1, "the clock's seconds have to differ for this to mean anything"
    assert first.name == second.name
    assert digest(first) == digest(second), difference(first, second)
    assert first.with_suffix(".tar.sha256").read_bytes() == second.with_suffix(".tar.sha256").read_bytes()
    with tarfile.open(first) as tar:
        times = {entry.mtime for entry in tar}
        names = tar.getnames()
    stamp = datetime.fromtimestamp(times.pop(), tz=UTC)
    assert not times
    assert f"-{stamp:%Y%m%d-%H%M%S}-{one.head[:12]}.tar" in first.name, "the time is the commit's"
    assert {"manifest.json", "service.yml", "requirements.txt"} <= set(names)
    assert {name.partition("/")[0] for name in names if "/" in name} == {"app", "static", "wheels"}

    append(one.path / "app/manage.py", "# another byte\n")
    one.make("build")
    (other,) = set((one.folder / "releases").glob("*.tar")) - {first}
    assert digest(other) != digest(first), "a change of the application has to change the bundle"


def difference(first: Path, second: Path) -> list[str]:
    """The names of the files in which two bundles differ."""
    with tarfile.open(first) as one, tarfile.open(second) as two:
        known = {entry.name: (entry.mode, entry.mtime, read(one, entry)) for entry in one}
        found = {entry.name: (entry.mode, entry.mtime, read(two, entry)) for entry in two}
    return sorted(name for name in known.keys() | found.keys() if known.get(name) != found.get(name))


def read(tar: tarfile.TarFile, entry: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(entry)
    return file.read() if file else b""
