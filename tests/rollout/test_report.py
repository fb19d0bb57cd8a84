"""What a report says of requests that were lost."""

import json
from pathlib import Path

from tests.rollout.report import errors_said


def line(level: str, at: str, **said: str) -> str:
    return json.dumps({"event": "request_failed", "level": level, "timestamp": at, **said})


def test_of_a_5xx_the_logs_errors_since_then_are_told_and_not_more_than_asked_for(tmp_path: Path) -> None:
    traceback = "\n".join(["Traceback (most recent call last):", *["  a call"] * 40, "OSError: no folder"])
    (tmp_path / "web-blue.log").write_text(
        "\n".join(
            [
                line("error", "2026-01-01T00:00:01.5Z", request="GET /old"),
                line("info", "2026-01-01T00:00:03.5Z", request="GET /fine"),
                line("error", "2026-01-01T00:00:04.5Z", request="POST /second"),
                "ModuleNotFoundError: last words",
            ]
        )
    )
    (tmp_path / "web-green.log").write_text(
        line("error", "2026-01-01T00:00:03.5Z", request="POST /first", exception=traceback)
    )
    (tmp_path / "worker-blue.log").write_text(line("error", "2026-01-01T00:00:03.5Z", request="a task"))
    since = 1767225602  # 2026-01-01 00:00:02 UTC
    first, second, last = errors_said(tmp_path, since)
    assert "POST /first" in first
    assert first.endswith("OSError: no folder")
    assert len(first.splitlines()) < 15
    assert "web-blue.log" in second
    assert "POST /second" in second
    assert "last words" in last
    assert errors_said(tmp_path, since, most=1) == [first, "and 2 more"]
