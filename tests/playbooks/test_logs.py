"""What all processes said, by time: whatever they write, wherever it is kept, and never more than a person can read."""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from playbooks.plugins.action.logs_merged import merged
from rollout import circusd, logs, systemd
from rollout.errors import RolloutError
from rollout.place import Place

AT = datetime(2026, 11, 23, 12, 46, 14, 223000, UTC).timestamp()


@pytest.mark.parametrize(
    ("line", "at"),
    [
        ('{"at": "2020-01-01 00:00:00", "event": "x", "timestamp": "2026-11-23T12:46:14.223000Z"}', AT),
        ('{"timestamp":"2026-11-23T15:46:14.223+03:00"}', AT),
        ("[2026-11-23 12:46:14 +0000] [7] [INFO] Listening", AT - 0.223),
        ("absolutely not recommended on 2026-11-23 12:46:14", 0),
        ("2026-02-31 12:46:14 no day", 0),
        ("", 0),
    ],
)
def test_the_time_of_a_line_is_found_as_loggers_write_it(line: str, at: float) -> None:
    assert logs.time_of(line) == pytest.approx(at)


def test_a_time_without_a_zone_is_this_machines() -> None:
    line = f"[{datetime.fromtimestamp(AT):%Y-%m-%d %H:%M:%S},223: INFO/MainProcess] ready"  # noqa: DTZ006
    assert logs.time_of(line) == pytest.approx(AT)


def test_a_line_without_a_time_stays_with_its_own_and_the_last_words_are_as_old_as_the_file() -> None:
    first, second = "2026-11-23 12:46:14Z", "2026-11-23 12:46:15Z"
    lines = ["banner", first, "Traceback", second, "killed"]
    begin = AT - 0.223
    assert list(logs.timed(lines, 9e9)) == list(
        zip([begin, begin, begin, begin + 1, 9e9], lines, strict=True)
    )
    assert list(logs.timed(["killed"], 9e9)) == [(9e9, "killed")]


@pytest.mark.parametrize(("since", "seconds"), [("90s", 90), ("10m", 600), ("2h", 7200), ("1d", 86400)])
def test_since_is_a_number_and_a_unit(since: str, seconds: int) -> None:
    assert logs.ago(since) == seconds


@pytest.mark.parametrize("since", ["", "10", "m", "-1m", "1.5h", "10 min ago", "10m\n", "9999999s"])
def test_any_other_since_is_refused_in_a_line(since: str) -> None:
    with pytest.raises(RolloutError, match=r"^SINCE=.* cannot be followed; say how long ago, as 90s, 10m"):
        logs.ago(since)


def said(folder: Path, name: str, *ago: float, text: str = "") -> None:
    """Write a log with lines that were said so many seconds ago."""
    (folder / "log").mkdir(exist_ok=True)
    times = [datetime.fromtimestamp(time.time() - each, UTC).isoformat() for each in ago]
    (folder / "log" / name).write_text("".join(f"{at} {text or name} {n}\n" for n, at in enumerate(times)))


def newest(root: Path, since: str = "10m") -> list[str]:
    found = logs.newest(circusd.Manager(Place(root)), ["web", "worker"], since)
    assert found == sorted(found, key=lambda line: line[0])
    return [f"{who}: {text.partition(' ')[2]}" for _, who, text in found]


def test_the_files_of_a_process_are_one_and_all_processes_are_in_order(tmp_path: Path) -> None:
    said(tmp_path, "web-blue.log.2", 500, 400)
    said(tmp_path, "web-blue.log.1", 300)
    said(tmp_path, "web-blue.log", 200, 100)
    said(tmp_path, "worker-green.log", 700, 250, 50)
    said(tmp_path, "circus.log", 10)
    assert newest(tmp_path, "450s") == [
        "web-blue: web-blue.log.2 1",
        "web-blue: web-blue.log.1 0",
        "worker-green: worker-green.log 1",
        "web-blue: web-blue.log 0",
        "web-blue: web-blue.log 1",
        "worker-green: worker-green.log 2",
    ]
    os.utime(tmp_path / "log/web-blue.log.2", (1, 1))
    assert len(newest(tmp_path, "450s")) == 5, "what was last written before that is not even read"
    assert newest(tmp_path / "elsewhere") == []


def test_however_much_was_said_a_bounded_amount_is_told_and_that_it_was_cut(tmp_path: Path) -> None:
    said(tmp_path, "web-blue.log", *range(590, 0, -1), text="x" * 9000)
    said(tmp_path, "worker-blue.log", *(each / 5 for each in range(2900, 0, -1)))
    assert (tmp_path / "log/web-blue.log").stat().st_size > logs.TAIL_BYTES
    lines = newest(tmp_path)
    assert len(lines) == logs.MOST_LINES
    assert lines[0].startswith("logs: lines are left out: at most 1000 of a host are told"), lines[0]
    assert lines[-1] == "worker-blue: worker-blue.log 2899"
    assert max(map(len, lines)) < logs.MOST_CHARACTERS + 20
    assert any(line.endswith("xxx...") for line in lines)


def test_what_was_said_reaches_the_terminal_as_text(tmp_path: Path) -> None:
    said(tmp_path, "web-blue.log", 1, text="\x1b[2Jgone\x07 \t{{ 1 }} é")
    assert newest(tmp_path) == ["web-blue: ?[2Jgone? \t{{ 1 }} é 0"]


def test_the_journal_is_asked_for_a_unit_and_read_line_by_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = [
        {"__REALTIME_TIMESTAMP": "1700000001500000", "MESSAGE": "one\ntwo"},
        {"__REALTIME_TIMESTAMP": "1700000002000000", "MESSAGE": [255, 111, 107]},
        {"__REALTIME_TIMESTAMP": "1700000003000000", "MESSAGE": None},
    ]
    (tmp_path / "entries").write_text("".join(f"{json.dumps(entry)}\n" for entry in entries))
    program = tmp_path / "journalctl"
    program.write_text(f'#!/bin/sh\necho "$@" >{tmp_path}/asked\ncat {tmp_path}/entries\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    manager = systemd.Manager(Place(tmp_path), "shop")
    whole = [(1700000001.5, "one"), (1700000001.5, "two"), (1700000002.0, "\ufffdok")]
    assert manager.said("web", "blue", 1.5, 9) == whole
    assert manager.said("web", "blue", 1.5, 2) == whole[-2:]
    asked = (tmp_path / "asked").read_text()
    assert asked == "--quiet --output=json --all --since=@1 --lines=2 --unit=shop-web@blue.service\n"


def test_a_line_tells_its_host_only_where_there_are_several() -> None:
    one, two = [(AT, "web-blue", "a"), (AT + 2, "web-blue", "c")], [(AT + 1, "worker-blue", "b")]
    assert merged({"host2": one}) == [
        "2026-11-23 12:46:14Z  web-blue  a",
        "2026-11-23 12:46:16Z  web-blue  c",
    ]
    assert merged({"host2": one, "host3": two}) == [
        "2026-11-23 12:46:14Z  host2 web-blue     a",
        "2026-11-23 12:46:15Z  host3 worker-blue  b",
        "2026-11-23 12:46:16Z  host2 web-blue     c",
    ]
    assert merged({"host2": []}) == []
