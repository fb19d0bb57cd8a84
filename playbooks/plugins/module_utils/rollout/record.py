"""The last step: what serves now, a line of history, and what may be forgotten."""

from __future__ import annotations

import json
import os
import shutil
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from . import bundle
from .files import write_atomically, write_json
from .place import Place


def settle(place: Place, *, digest: str) -> None:
    """Make the new release the one that serves: from here on nothing is undone any more."""
    rollout, before = place.rollout or {}, place.current or {}
    previous = (
        before.get("version") if before.get("version") != rollout["version"] else before.get("previous")
    )
    write_json(
        place.root / "current.json",
        {
            "version": rollout["version"],
            "slot": place.idle,
            "settings": digest,
            "previous": previous,
            "since": f"{datetime.now().astimezone():%Y-%m-%d %H:%M:%S}",
            "rollout": rollout["number"],
        },
    )


def remember(place: Place, rollout: dict[str, Any], outcome: str, reason: str = "") -> dict[str, Any]:
    """Append the rollout's line to the history and forget that it was under way. Returns the line."""
    starts, now = sorted(rollout.get("steps", {}).items(), key=lambda step: step[1]), time.time()
    ends = [start for _, start in starts[1:]] + [now]
    line = {
        "number": rollout["number"],
        "kind": rollout["kind"],
        "who": rollout["owner"],
        "at": rollout["at"],
        "from": rollout.get("from"),
        "to": rollout["version"],
        "migrations": rollout.get("migrations", []),
        "outcome": outcome,
        "reason": reason,
        "step": rollout.get("step"),
        "seconds": {step: round(end - start, 2) for (step, start), end in zip(starts, ends, strict=True)},
    }
    file = place.root / "history.jsonl"
    text = file.read_text() if file.exists() else ""
    with file.open("a") as history:
        history.write(("" if text.endswith("\n") or not text else "\n") + json.dumps(line) + "\n")
        history.flush()
        os.fsync(history.fileno())
    return line


def forget_old(place: Place, store: Path, keep: int) -> list[str]:
    """Prune unpacked releases, bundles and shared static files by count; never the running or the previous release."""
    current = place.current or {}
    needed = {str(current.get("version")), str(current.get("previous"))}
    name = place.service(str(current["version"])).name
    unpacked = sorted(
        path.name for path in (place.root / "releases").iterdir() if not path.name.startswith(".")
    )
    doomed = [version for version in unpacked[: -keep or None] if version not in needed]
    for version in doomed:
        shutil.rmtree(place.release(version))
    kept = {
        path.relative_to(place.release(version) / "static")
        for version in unpacked
        if version not in doomed
        for path in (place.release(version) / "static").rglob("*")
        if path.is_file()
    }
    shared = place.root / "static"
    for path in [
        path for path in shared.rglob("*") if path.is_file() and path.relative_to(shared) not in kept
    ]:
        path.unlink()
    return doomed + bundle.prune(store, name, keep, needed)


def keep_settings(place: Place, file: Path) -> None:
    """Keep the settings with which a release served, for a rollback to it."""
    version = str((place.current or {})["version"])
    write_atomically(place.release(version) / "settings.env", file.read_text())
