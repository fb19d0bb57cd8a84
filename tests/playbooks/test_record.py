"""The last step: what serves, the line of history, and what may be forgotten."""

from __future__ import annotations

import json
import shutil
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from rollout import bundle, record
from rollout.errors import StaleLease
from rollout.lease import Lease
from rollout.place import Place

VERSIONS = [f"2026112{day}-000000-abc" for day in range(6)]
FACTS = {
    "name": "shop", "port": 1, "app": "src", "requirements": "r", "pythons": ["3"], "settings_module": "s",
    "processes": {"web": {"command": "x"}}, "health": {"ready": "/"}, "migrate": "true", "check": "true",
}  # fmt: skip


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Six releases, unpacked and in a store, each with a file of its own and one that all have."""
    store = tmp_path / "store"
    store.mkdir()
    for version in VERSIONS:
        static = tmp_path / "releases" / version / "static"
        static.mkdir(parents=True)
        (static.parent / "service.yml").write_text(json.dumps(FACTS))
        for name in (f"site.{version}.css", "logo.abc.svg"):
            (static / name).touch()
            (tmp_path / "static").mkdir(exist_ok=True)
            (tmp_path / "static" / name).touch()
        bundle.path_of(store, "shop", version).touch()
        bundle.path_of(store, "shop", version).with_suffix(".tar.sha256").touch()
    return Place(tmp_path)


def rollout(number: int, version: str, **more: Any) -> dict[str, Any]:
    """A rollout under way."""
    begun = {
        "number": number,
        "version": version,
        "kind": "deploy",
        "owner": "abebe",
        "at": "2026-11-23 05:25:00",
    }
    return begun | {"steps": {"lock": 1.0}} | more


def settle(place: Place, number: int, version: str, digest: str = "d") -> dict[str, Any]:
    place.note(**rollout(number, version), settings=digest)
    record.settle(place)
    current = place.current
    assert current is not None
    return current


def test_what_served_before_is_the_previous_one_and_slots_alternate(place: Place) -> None:
    assert place.idle == "blue"
    first = settle(place, 1, VERSIONS[0])
    assert (first["version"], first["previous"], first["slot"], first["rollout"]) == (
        VERSIONS[0],
        None,
        "blue",
        1,
    )
    second = settle(place, 2, VERSIONS[1])
    assert (second["version"], second["previous"], second["slot"]) == (VERSIONS[1], VERSIONS[0], "green")


def test_the_same_release_again_is_not_its_own_previous_one(place: Place) -> None:
    settle(place, 1, VERSIONS[0])
    settle(place, 2, VERSIONS[1])
    again = settle(place, 3, VERSIONS[1], digest="another setting")
    assert (again["previous"], again["settings"]) == (VERSIONS[0], "another setting")


def test_a_line_tells_who_what_from_to_and_how_long_each_step_took(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time", lambda: 20.5)
    steps = {"preflight": 12.25, "lock": 10.0, "migrate": 20.0}
    begun = rollout(7, "2", steps=steps, migrations=["stays.0002"], step="migrate") | {"from": "1"}
    record.remember(place, begun, "failed", "the migration failed; mend it")
    (line,) = place.history
    assert line == {
        "number": 7,
        "kind": "deploy",
        "who": "abebe",
        "at": "2026-11-23 05:25:00",
        "from": "1",
        "to": "2",
        "migrations": ["stays.0002"],
        "outcome": "failed",
        "reason": "the migration failed; mend it",
        "step": "migrate",
        "seconds": {"lock": 2.25, "preflight": 7.75, "migrate": 0.5},
    }


def test_a_line_cut_short_by_a_full_disk_spoils_no_other(place: Place) -> None:
    file = place.root / "history.jsonl"
    record.remember(place, rollout(1, "1"), "done")
    file.write_text(file.read_text() + file.read_text()[:40])
    record.remember(place, rollout(3, "3"), "done")
    assert [line["number"] for line in place.history] == [1, 3]


def served(place: Place, *versions: str) -> None:
    """Each served, one after the other."""
    for number, version in enumerate(versions, 1):
        settle(place, number, version)
        record.remember(place, rollout(number, version), "done")


def forget(place: Place, keep: int) -> list[str]:
    return record.forget_old(place, nullcontext, place.root / "store", "shop", keep)


def unpacked(place: Place) -> list[str]:
    return sorted(path.name for path in (place.root / "releases").iterdir())


def test_the_oldest_go_with_bundle_and_static_files_but_not_those_that_are_needed(place: Place) -> None:
    served(place, VERSIONS[1], VERSIONS[2], VERSIONS[0], VERSIONS[5])
    (place.root / "releases/.half.partial").mkdir()
    pruned = forget(place, keep=1)
    kept = [VERSIONS[0], VERSIONS[4], VERSIONS[5]]
    assert pruned == [version for version in VERSIONS if version not in kept]
    assert unpacked(place) == kept
    assert bundle.stored(place.root / "store", "shop") == kept
    assert sorted(path.name for path in (place.root / "static").iterdir()) == [
        "logo.abc.svg",
        *(f"site.{version}.css" for version in kept),
    ]


def test_releases_that_never_served_push_out_none_that_did(place: Place) -> None:
    served(place, VERSIONS[2], VERSIONS[1], VERSIONS[0])
    for number, version in enumerate(VERSIONS[3:], 4):
        record.remember(place, rollout(number, version), "failed", "a reason")
    assert forget(place, keep=3) == []
    assert forget(place, keep=2) == [VERSIONS[2], VERSIONS[3]], "the oldest of either kind"


def test_after_a_first_rollout_that_failed_the_others_that_never_served_go(place: Place) -> None:
    place.note(**rollout(1, VERSIONS[0]))
    assert forget(place, keep=2) == VERSIONS[1:4]


def test_a_second_pruning_finds_nothing(place: Place) -> None:
    settle(place, 1, VERSIONS[5])
    assert forget(place, keep=2)
    assert forget(place, keep=2) == []


def test_keeping_none_keeps_what_is_needed(place: Place) -> None:
    served(place, VERSIONS[2])
    assert forget(place, keep=0)
    assert unpacked(place) == [VERSIONS[2]]
    assert bundle.stored(place.root / "store", "shop") == [VERSIONS[2]]


def test_a_bundle_that_another_environment_runs_stays_until_that_environment_is_gone(place: Place) -> None:
    other = Place(place.root / "other")
    other.root.mkdir()
    served(other, VERSIONS[0], VERSIONS[1])
    record.forget_old(other, nullcontext, place.root / "store", "shop", keep=6)
    served(place, VERSIONS[5])
    forget(place, keep=0)
    assert unpacked(place) == [VERSIONS[5]]
    assert bundle.stored(place.root / "store", "shop") == [VERSIONS[0], VERSIONS[1], VERSIONS[5]]
    shutil.rmtree(other.root)
    assert forget(place, keep=0) == VERSIONS[:2]


def test_whoever_has_lost_the_lease_prunes_nothing(place: Place) -> None:
    settle(place, 1, VERSIONS[5])
    with pytest.raises(StaleLease):
        record.forget_old(place, Lease(place.root, 1).act, place.root / "store", "shop", keep=0)
    assert unpacked(place) == VERSIONS


def test_settings_are_kept_for_as_long_as_the_release_that_they_served(place: Place) -> None:
    place.settings_file("next").parent.mkdir()
    place.settings_file("next").write_text("A=1\n")
    for number, version in enumerate(VERSIONS, 1):
        settle(place, number, version)
        record.keep_settings(place)
        place.note(**rollout(number, version))
        record.remember(place, rollout(number, version), "done")
    assert place.settings_file(VERSIONS[0]).read_text() == "A=1\n"
    record.forget_old(place, nullcontext, place.root / "store", "shop", keep=1)
    assert not place.settings_file(VERSIONS[0]).exists()
    assert place.settings_file(VERSIONS[5]).exists()
