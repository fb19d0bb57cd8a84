"""The last step: what serves now, a line of history, and what may be forgotten."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Any

from . import bundle
from .errors import counted
from .files import write_atomically, write_json
from .place import Place

Act = Callable[[], AbstractContextManager[None]]


def settle(place: Place) -> None:
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
            "settings": rollout["settings"],
            "previous": previous,
            "since": f"{datetime.now().astimezone():%Y-%m-%d %H:%M:%S}",
            "rollout": rollout["number"],
        },
    )


def line_of(rollout: dict[str, Any], outcome: str, reason: str = "") -> dict[str, Any]:
    """What is remembered of a rollout that ends now."""
    starts, now = sorted(rollout.get("steps", {}).items(), key=lambda step: step[1]), time.time()
    ends = [start for _, start in starts[1:]] + [now]
    return {
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


def left(rollout: dict[str, Any], history: list[dict[str, Any]]) -> str:
    """What is said of a rollout that nobody carries on: its deployer died, or undoing it failed."""
    ended = "failed" if rollout["number"] in [line["number"] for line in history] else "died"
    more = " and is not undone" if ended == "failed" else ""
    return f"rollout {rollout['number']} {ended} in step {rollout['step']}{more}; the next deploy undoes it"


def in_a_line(rollout: dict[str, Any]) -> str:
    """One rollout in one line."""
    seconds = " ".join(f"{step} {took:.1f}" for step, took in rollout["seconds"].items())
    migrations = f", {counted(len(rollout['migrations']), 'migration')}" if rollout["migrations"] else ""
    why = f": {rollout['reason']}" if rollout["reason"] else ""
    what = f"{rollout['from'] or 'nothing'} -> {rollout['to'] or 'nothing'}"
    return (
        f"{rollout['number']:>4}  {rollout['at']}  {rollout['kind']:<8}  {rollout['outcome']:<6}  "
        f"{what}  by {rollout['who']}{migrations} ({seconds} s){why}"
    )


def remember(place: Place, rollout: dict[str, Any], outcome: str, reason: str = "") -> dict[str, Any]:
    """Append the rollout's line to the history and forget that it was under way. Returns the line."""
    line = line_of(rollout, outcome, reason)
    file = place.root / "history.jsonl"
    text = file.read_text() if file.exists() else ""
    with file.open("a") as history:
        history.write(("" if text.endswith("\n") or not text else "\n") + json.dumps(line) + "\n")
        history.flush()
        os.fsync(history.fileno())
    return line


def forget_old(place: Place, act: Act, store: Path, name: str, keep: int) -> list[str]:
    """Prune unpacked releases, bundles and shared static files. Returns the versions that are gone.

    What is running, previous or under way stays, and beyond that the `keep` releases that served last and the
    newest `keep` that never served: however many fail, they push out none that served.

    :param act: entered for what another deployer could meet half-way; folders are emptied outside of it.
    """
    served = list(dict.fromkeys(line["to"] for line in place.history[::-1] if line["outcome"] == "done"))
    releases, shared = place.root / "releases", place.root / "static"
    unpacked = {path.name for path in releases.glob("[!.]*")}
    doomed = _doomed(unpacked, served, keep, _needed(place))
    with act():
        for version in doomed:
            place.release(version).rename(releases / f".{version}.pruned")
            place.settings_file(version).unlink(missing_ok=True)
        for cut_short in releases.glob(".*.partial"):  # unpacked by a deployer that was killed
            cut_short.rename(cut_short.with_suffix(".pruned"))
        kept = {
            path.relative_to(releases / version / "static")
            for version in unpacked - doomed
            for path in (releases / version / "static").rglob("*")
        }
        for path in shared.rglob("*"):
            if path.is_file() and path.relative_to(shared) not in kept:
                path.unlink()
    for rest in releases.glob(".*.pruned"):
        shutil.rmtree(rest)
    if stored := set(bundle.stored(store, name)):
        needed = {version for each in _environments(store, place) for version in _needed(each)}
        for version in (unwanted := _doomed(stored, served, keep, needed)):
            bundle.delete(store, name, version)
        doomed |= unwanted
    return sorted(doomed)


def _needed(place: Place) -> set[str]:
    current, rollout = place.current or {}, place.rollout or {}
    return {
        str(version) for version in (current.get("version"), current.get("previous"), rollout.get("version"))
    }


def _doomed(versions: set[str], served: list[str], keep: int, needed: set[str]) -> set[str]:
    lately = [version for version in served if version in versions][:keep]
    never = sorted(versions.difference(served), reverse=True)[:keep]
    return versions.difference(needed, lately, never)


def _environments(store: Path, place: Place) -> list[Place]:
    """Every environment of this machine that takes its releases from a store, this one from now on."""
    file, mine = store / "environments", str(place.root.resolve())
    known = file.read_text().splitlines() if file.exists() else []
    if mine not in known:
        with file.open("a") as environments:
            environments.write(f"{mine}\n")
    return [Place(Path(root)) for root in {*known, mine}]


def keep_settings(place: Place) -> None:
    """Keep the settings with which a release serves, for a rollback to it."""
    version = str((place.current or {})["version"])
    write_atomically(place.settings_file(version), place.settings_file("next").read_text())
