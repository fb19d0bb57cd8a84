"""The report fails under 100 %, names what is missing, and accepts no stale exception."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.coverage import __main__ as report
from tests.coverage.lines import Excepted, Kept, Line

RAN = Line("shell", "scripts/a", 3, "echo ran", executed=True)
MISSED = Line("shell", "scripts/a", 7, "    die 'disk full'", executed=False)
EXCEPTION = Excepted("scripts/a", "disk full", "no test fills a disk")


def verdict(tmp_path: Path, lines: list[Line], *excepted: Excepted) -> int:
    return report.report(lines, list(excepted), tmp_path / "infra.json")


def test_everything_executed_is_a_pass(tmp_path: Path) -> None:
    assert verdict(tmp_path, [RAN]) == 0


def test_a_missed_line_fails_and_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verdict(tmp_path, [RAN, MISSED]) == 1
    assert "scripts/a:7  die 'disk full'" in capsys.readouterr().out
    assert json.loads((tmp_path / "infra.json").read_text())["not_executed"] == [
        "scripts/a:7  die 'disk full'"
    ]


def test_an_excepted_line_passes_with_its_reason_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verdict(tmp_path, [RAN, MISSED], EXCEPTION) == 0
    assert "no test fills a disk" in capsys.readouterr().out


def test_an_exception_that_a_test_executes_is_an_error(tmp_path: Path) -> None:
    assert verdict(tmp_path, [RAN], Excepted("scripts/a", "echo ran", "old")) == 1


def test_an_exception_whose_line_is_gone_is_an_error(tmp_path: Path) -> None:
    assert verdict(tmp_path, [RAN], EXCEPTION) == 1


def test_an_exception_that_fits_two_lines_is_an_error(tmp_path: Path) -> None:
    twin = Line("shell", "scripts/a", 9, "    warn 'disk full'", executed=False)
    assert verdict(tmp_path, [MISSED, twin], EXCEPTION) == 1


def test_an_exception_that_is_the_whole_of_one_line_means_that_one(tmp_path: Path) -> None:
    patch = Line("patch", "scripts/a", 9, "patch of echo ran", executed=True)
    assert verdict(tmp_path, [MISSED, patch], Excepted("scripts/a", MISSED.text, "nobody can")) == 0


def test_an_exception_without_a_reason_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "shell-1.trace").touch()
    file = tmp_path / "exceptions.yml"
    file.write_text("- {path: scripts/a, anchor: die, reason: ''}\n")
    assert report.main(["--recordings", str(tmp_path), "--exceptions", str(file)]) == 2
    assert "needs path, anchor and reason" in capsys.readouterr().err


@pytest.fixture
def ledger(tmp_path: Path) -> Kept:
    """One line kept, which a run missed and another executed."""
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts/a").write_text("one\n")
    kept = Kept(tmp_path / "chaos.json", tmp_path)
    kept.keep([replace(MISSED, executed=True), RAN], [str(MISSED)])
    return Kept(tmp_path / "chaos.json", tmp_path)


def test_what_chaos_executed_counts_where_nothing_else_does(ledger: Kept) -> None:
    other = replace(MISSED, number=8)
    assert [line.executed for line in ledger.fill([MISSED, RAN, other])] == [True, True, False]


def test_what_chaos_executed_of_other_bytes_does_not_count_and_is_forgotten(
    ledger: Kept, tmp_path: Path
) -> None:
    (tmp_path / "scripts/a").write_text("another\n")
    changed = Kept(tmp_path / "chaos.json", tmp_path)
    assert changed.fill([MISSED]) == [MISSED]
    changed.keep([], [])
    (tmp_path / "scripts/a").write_text("one\n")
    assert Kept(tmp_path / "chaos.json", tmp_path).fill([MISSED]) == [MISSED]


def test_only_what_the_rest_misses_is_kept(ledger: Kept) -> None:
    assert ledger.fill([replace(RAN, executed=False)]) == [replace(RAN, executed=False)]


def test_nothing_to_measure_is_not_a_hundred_percent(tmp_path: Path) -> None:
    assert verdict(tmp_path, []) == 1


def test_nothing_recorded_says_what_to_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert report.main(["--recordings", str(tmp_path)]) == 2
    assert "make test verify" in capsys.readouterr().err
