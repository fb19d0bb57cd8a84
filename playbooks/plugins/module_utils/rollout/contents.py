"""What an unpacked release holds: noted when it is unpacked, compared with what is there whenever somebody asks."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from stat import filemode

from .files import read_json, sha256, write_atomically

NOTE = "contents.json"
OWN = (NOTE, "needs-")  # what a rollout itself writes down beside the folders, and the judge of migrations
STRAY = "does not belong there"
Wrong = dict[str, str]
"""By path below the release: what is wrong with it, in words."""


def note(release: Path) -> None:
    """Write down every file: mode, size, time of its last change, and the digest of its bytes."""
    seen = {name: [*_look(entry), _content(entry)] for name, entry in _entries(release)}
    write_atomically(release / NOTE, json.dumps(seen, separators=(",", ":")))


def differing(release: Path, noted: Path | None = None, *, every_byte: bool = False) -> Wrong:
    """What is not as it was unpacked; what Python compiled there does not count.

    :param noted: the note of another copy.
    :param every_byte: read files, too, whose size and time are as they were. Some 8,000 take a second then, not 0.1.
    """
    expected = read_json(noted or release / NOTE)
    if expected is None:
        return {NOTE: "is missing"}
    wrong = {}
    for name, entry in _entries(release):
        if name not in expected:
            wrong[name] = STRAY
            continue
        mode, *size_and_time, content = expected.pop(name)
        found = _look(entry)
        if found[0] != mode:
            wrong[name] = f"has mode {filemode(found[0])}, not {filemode(mode)}"
        elif (every_byte or found[1:] != size_and_time) and _content(entry) != content:
            wrong[name] = "was edited"
    return wrong | dict.fromkeys(expected, "is missing")


def mend(release: Path, wrong: Wrong, fresh: Path | None) -> None:
    """Make a release what it was. Only what is wrong is touched: processes may be running there.

    :param fresh: another unpacked copy, which gives what is missing here; strays are taken away without one.
    """
    if fresh:
        wrong = differing(release, fresh / NOTE, every_byte=True)
    for name in (name for name, what in wrong.items() if what == STRAY):
        path = release / name
        path.unlink()
        with suppress(OSError):  # at the first folder that is not empty
            while (path := path.parent).parent != release:
                path.rmdir()
    for name in (name for name, what in wrong.items() if fresh and what != STRAY):
        (release / name).parent.mkdir(parents=True, exist_ok=True)
        (fresh / name).replace(release / name)  # type: ignore[operator]
    note(release)


def _entries(folder: Path, before: str = "") -> Iterator[tuple[str, os.DirEntry[str]]]:
    with os.scandir(folder) as found:
        for entry in found:
            if entry.is_dir(follow_symlinks=False):
                if entry.name != "__pycache__":
                    yield from _entries(Path(entry.path), f"{before}{entry.name}/")
            elif before or not entry.name.startswith(OWN):
                yield before + entry.name, entry


def _look(entry: os.DirEntry[str]) -> list[int]:
    info = entry.stat(follow_symlinks=False)
    return [info.st_mode, info.st_size, info.st_mtime_ns]


def _content(entry: os.DirEntry[str]) -> str:
    return os.readlink(entry.path) if entry.is_symlink() else sha256(Path(entry.path))
