"""Every Ansible module of the rollout: a check changes nothing, a failure is one line."""

from __future__ import annotations

import fcntl
import json
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ansible.module_utils
import pytest
from ansible.module_utils.testing import patch_module_args

from rollout.place import Place
from tests.playbooks.modules import PLUGINS, module

NAMES = sorted(path.stem for path in (PLUGINS / "modules").glob("rollout_*.py"))
ONLY_LOOK = {"rollout_status", "rollout_history", "rollout_logs"}
VERSION = "20261123-052500-0123456789ab"
Result = dict[str, Any]
Call = Callable[..., Result]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Run a module as Ansible does, its shared code being found where Ansible puts it. Returns what it says."""
    monkeypatch.setattr(
        ansible.module_utils, "__path__", [*ansible.module_utils.__path__, str(PLUGINS / "module_utils")]
    )

    def run(name: str, /, *, check: bool = False, **arguments: Any) -> Result:
        told = {"root": str(tmp_path / "run"), "_ansible_check_mode": check} | arguments
        with patch_module_args(told), pytest.raises(SystemExit) as ended:
            module(name).main()
        result: Result = json.loads(capsys.readouterr().out)
        assert bool(ended.value.code) == result.get("failed", False)
        return result

    return run


def needed(name: str, tmp_path: Path) -> dict[str, Any]:
    """The arguments without which a module does not start."""
    file = str(tmp_path / "settings.env")
    arguments: dict[str, dict[str, Any]] = {
        "rollout_lease": {"owner": "abebe", "version": VERSION},
        "rollout_release": {
            "number": 1, "store": str(tmp_path / "store"), "name": "shop", "environment": "dev", "settings": "A=1",
        },
        "rollout_database": {"number": 1, "state": "migrated", "environment": "dev"},
        "rollout_record": {"number": 1, "store": str(tmp_path / "store"), "name": "shop"},
        "rollout_slot": {"number": 1, "state": "proved", "port": 1, "manager": file, "environment": "dev",
                         "engine": "process", "name": "shop"},
        "rollout_status": {"engine": "process", "name": "shop"},
        "rollout_logs": {"engine": "process", "name": "shop", "processes": ["web"]},
    }  # fmt: skip
    return arguments.get(name, {})


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_modules_tested_here_are_all_there_are() -> None:
    assert NAMES == [
        "rollout_database",
        "rollout_history",
        "rollout_lease",
        "rollout_logs",
        "rollout_record",
        "rollout_release",
        "rollout_slot",
        "rollout_status",
    ]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("leased", [False, True])
def test_a_check_changes_nothing(call: Call, tmp_path: Path, name: str, leased: bool) -> None:
    if leased:
        call("rollout_lease", **needed("rollout_lease", tmp_path))
    before = tree(tmp_path)
    result = call(name, check=True, **needed(name, tmp_path))
    assert tree(tmp_path) == before
    assert (tmp_path / "run").exists() == leased
    assert result["changed"] == (name not in ONLY_LOOK)


@pytest.mark.parametrize("name", sorted(set(NAMES) - ONLY_LOOK - {"rollout_lease"}))
def test_without_the_lease_no_module_acts_and_each_says_so_in_a_line(
    call: Call, tmp_path: Path, name: str
) -> None:
    call("rollout_lease", **needed("rollout_lease", tmp_path))
    call("rollout_lease", state="free", number=1)
    before = tree(tmp_path)
    result = call(name, step="migrate", **needed(name, tmp_path))
    assert result["stale"] is True
    assert result["msg"] == (
        "this rollout's lease (number 1) was taken over: nobody holds it now; stopped before the next act; "
        "look at `make status`, then deploy again"
    )
    assert tree(tmp_path) == before


def test_taking_the_lease_writes_down_what_is_about_to_be_done(call: Call, tmp_path: Path) -> None:
    taken = call("rollout_lease", kind="deploy", **needed("rollout_lease", tmp_path))
    assert (taken["number"], taken["version"], taken["killed"]) == (1, VERSION, None)
    rollout = json.loads((tmp_path / "run/rollout.json").read_text())
    assert (rollout["step"], rollout["owner"], rollout["version"]) == ("lock", "abebe", VERSION)
    call("rollout_lease", state="free", number=1)
    assert not (tmp_path / "run/rollout.json").exists()
    assert not (tmp_path / "run/lease.json").exists()


def test_the_second_is_refused_and_told_that_it_may_wait(call: Call, tmp_path: Path) -> None:
    call("rollout_lease", **needed("rollout_lease", tmp_path))
    refused = call("rollout_lease", owner="sara", version=VERSION)
    assert refused["held"] is True
    assert refused["msg"].startswith("a rollout is under way: abebe since ")


def test_an_act_that_does_not_end_is_told_with_who_is_at_it_since_when(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its deployer was stopped in the middle of it, say."""
    call("rollout_lease", **needed("rollout_lease", tmp_path))
    monkeypatch.setattr("ansible.module_utils.rollout.lease.LOCK_SECONDS", 0.1)
    with (tmp_path / "run/lease.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        line = call("rollout_lease", owner="sara", version=VERSION)["msg"]
    assert re.search(
        r"lease\.lock is still held after 0 s by abebe since [0-9-]+ [0-9:]+ until .*, in the middle of an act; "
        "wait for it, or end that process$",
        line,
    )


def test_whoever_takes_over_learns_what_the_dead_one_was_doing(call: Call, tmp_path: Path) -> None:
    call("rollout_lease", lease_seconds=0, **needed("rollout_lease", tmp_path))
    taken = call("rollout_lease", owner="sara", version=VERSION)
    assert taken["msg"] == "number 2, taken over from abebe, who died in step lock"
    assert taken["killed"]["number"] == 1
    stale = call("rollout_lease", state="free", number=1)
    assert "was taken over: number 2 is sara since" in stale["msg"]


def test_a_killed_rollout_is_not_forgotten_when_the_one_that_found_it_is_killed_too(
    call: Call, tmp_path: Path
) -> None:
    call("rollout_lease", lease_seconds=0, **needed("rollout_lease", tmp_path))
    call("rollout_lease", lease_seconds=0, owner="sara", version=VERSION)
    assert call("rollout_lease", owner="lulit", version=VERSION)["killed"]["number"] == 1


def test_a_rollback_from_nothing_names_what_lists_the_releases_and_is_in_the_history(
    call: Call, tmp_path: Path
) -> None:
    result = call("rollout_lease", owner="abebe", kind="rollback", version="")
    line = (
        "no release ran here before this one; name one: make rollback VERSION=..., `make releases` lists them"
    )
    assert (result["held"], result["number"], result["msg"]) == (False, 1, line)
    call("rollout_record", **needed("rollout_record", tmp_path) | {"reason": line})
    call("rollout_lease", state="free", number=1)
    (told,) = call("rollout_history")["report"]
    assert "  rollback  failed  nothing -> nothing  by abebe " in told
    assert told.endswith(line)


def test_a_rollback_to_what_never_served_here_names_the_deploy_and_is_in_the_history(
    call: Call, tmp_path: Path
) -> None:
    line = f"{VERSION} never served here; `make deploy VERSION=...` rolls it out if `make releases` lists it"
    rollback = needed("rollout_lease", tmp_path) | {"kind": "rollback"}
    for number in (1, 2):
        result = call("rollout_lease", **rollback)
        assert (result["held"], result["number"], result["msg"]) == (False, number, line)
        call("rollout_record", **needed("rollout_record", tmp_path) | {"number": number, "reason": line})
        call("rollout_lease", state="free", number=number)
    told = call("rollout_history")["report"]
    assert len(told) == 2, "and having been refused is not having served"
    assert told[-1].endswith(line)


def test_a_rollback_goes_to_what_served_here_whatever_came_since(call: Call, tmp_path: Path) -> None:
    recorded(call, tmp_path)
    call("rollout_lease", state="free", number=1)
    (tmp_path / "run/current.json").unlink()
    taken = call("rollout_lease", **needed("rollout_lease", tmp_path) | {"kind": "rollback"})
    assert (taken["number"], taken["version"]) == (2, VERSION)


def test_a_rollout_that_could_not_be_written_down_is_left_to_the_next_one(call: Call, tmp_path: Path) -> None:
    call("rollout_lease", **needed("rollout_lease", tmp_path))
    call("rollout_lease", state="free", number=1, pending=True)
    assert not (tmp_path / "run/lease.json").exists()
    taken = call("rollout_lease", owner="sara", version=VERSION)
    assert (taken["number"], taken["killed"]["number"]) == (2, 1)
    call("rollout_lease", state="free", number=2)
    assert json.loads((tmp_path / "run/rollout.json").read_text())["number"] == 1, "it was not undone yet"


def test_the_lease_is_given_back_on_a_disk_that_is_full(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call("rollout_lease", lease_seconds=0, **needed("rollout_lease", tmp_path))
    call("rollout_lease", owner="sara", version=VERSION)
    with monkeypatch.context() as disk:
        disk.setattr("os.fsync", full)
        assert "No space left on device" in call("rollout_lease", state="free", number=2)["msg"]
    assert not (tmp_path / "run/lease.json").exists()
    assert call("rollout_lease", owner="lulit", version=VERSION)["killed"]["number"] == 1


def full(number: int) -> None:
    """A disk without room."""
    raise OSError(28, "No space left on device", "/somewhere")


def recorded(call: Call, tmp_path: Path) -> Result:
    """Record a success."""
    call("rollout_lease", **needed("rollout_lease", tmp_path))
    place = Place(tmp_path / "run")
    place.note(settings="d")
    place.settings_file("next").parent.mkdir()
    place.settings_file("next").touch()
    place.release(VERSION).mkdir(parents=True)
    return call("rollout_record", **needed("rollout_record", tmp_path))


def test_a_pruning_that_fails_is_told_and_fails_nothing(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: Any) -> None:
        raise PermissionError(13, "Permission denied", "/somewhere")

    monkeypatch.setattr("ansible.module_utils.rollout.record.forget_old", refuse, raising=False)
    result = recorded(call, tmp_path)
    assert result["msg"] == (
        "old releases could not be pruned: Permission denied (/somewhere); mend that and run the command again"
    )
    assert (result["recorded"], result["line"]["outcome"]) == (True, "done")


def test_a_success_whose_line_cannot_be_written_is_a_success_that_the_next_rollout_writes_down(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ansible.module_utils.rollout.record.remember", lambda *_: full(0))
    result = recorded(call, tmp_path)
    assert result["recorded"] is False
    assert result["msg"].startswith("it serves; the next rollout writes its line of history: No space left")
    assert json.loads((tmp_path / "run/current.json").read_text())["version"] == VERSION


def failing(call: Call, tmp_path: Path, name: str, **arguments: Any) -> str:
    """The line with which a module fails under a lease of its own."""
    call("rollout_lease", **needed("rollout_lease", tmp_path))
    result = call(name, **needed(name, tmp_path) | arguments)
    assert result["failed"] is True
    assert not result.get("stale")
    assert "\n" not in result["msg"]
    return str(result["msg"])


def test_an_unknown_release_is_one_line(call: Call, tmp_path: Path) -> None:
    line = failing(call, tmp_path, "rollout_release")
    assert line == (
        f"there is no bundle {tmp_path}/store/shop-{VERSION}.tar; "
        "`make releases` lists what is kept; `make build` makes this commit's"
    )


def test_a_port_that_somebody_else_has_is_one_line(call: Call, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        line = failing(call, tmp_path, "rollout_slot", state="possible", port=port)
    assert line == (
        f"port {port} cannot be used: Address already in use; "
        "stop what listens there, or choose another one: make up PORT=8001"
    )


def test_settings_that_are_not_there_are_one_line(call: Call, tmp_path: Path) -> None:
    line = failing(call, tmp_path, "rollout_database")
    assert line == (
        f"No such file or directory ({tmp_path}/run/settings/next.env); mend that and run the command again"
    )


def test_a_full_disk_is_one_line_that_says_so(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call("rollout_lease", **needed("rollout_lease", tmp_path))
    monkeypatch.setattr("os.fsync", full)
    result = call("rollout_record", step="record", **needed("rollout_record", tmp_path))
    assert result["msg"] == (
        f"No space left on device ({tmp_path / 'run'}); free space on that disk and run the command again"
    ).replace(str(tmp_path / "run"), "/somewhere")


def test_asking_what_does_not_run_is_one_line(call: Call, tmp_path: Path) -> None:
    told = needed("rollout_status", tmp_path)
    assert call("rollout_status", smoke=True, **told)["msg"] == "nothing serves here; run `make deploy`"
    assert call("rollout_status", **told)["report"] == ["nothing serves here yet; `make up` changes that"]


def test_history_is_a_line_for_each_rollout_that_ended(call: Call, tmp_path: Path) -> None:
    assert call("rollout_history")["report"] == ["no rollout ended here yet"]
    ended = {
        "number": 7, "at": "2026-11-23 05:25:00", "kind": "rollback", "outcome": "failed", "from": None,
        "to": VERSION, "who": "abebe", "migrations": ["stays.0002"], "reason": "the port is gone; bring it back",
        "seconds": {"lock": 0.42, "preflight": 12.0},
    }  # fmt: skip
    (tmp_path / "run").mkdir()
    (tmp_path / "run/history.jsonl").write_text(
        "".join(json.dumps(ended | {"number": n}) + "\n" for n in (7, 8))
    )
    told = call("rollout_history", last=1)
    line = (
        f"   8  2026-11-23 05:25:00  rollback  failed  nothing -> {VERSION}  by abebe, 1 migration "
        "(lock 0.4 preflight 12.0 s): the port is gone; bring it back"
    )
    assert told["report"] == [line]
    assert [each["number"] for each in told["rollouts"]] == [8]


def test_a_since_that_says_nothing_is_one_line(call: Call, tmp_path: Path) -> None:
    line = call("rollout_logs", since="yesterday", **needed("rollout_logs", tmp_path))["msg"]
    assert line == "SINCE=yesterday cannot be followed; say how long ago, as 90s, 10m, 2h or 1d"


@pytest.mark.parametrize("name", ["rollout_lease", "rollout_status", "rollout_history", "rollout_logs"])
def test_what_the_system_refuses_is_one_line_with_a_remedy(call: Call, tmp_path: Path, name: str) -> None:
    (tmp_path / "run").touch()
    line = call(name, **needed(name, tmp_path))["msg"]
    assert line.startswith(("File exists", "Not a directory"))
    assert str(tmp_path / "run") in line
    assert line.endswith("; mend that and run the command again")
