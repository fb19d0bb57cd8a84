"""Switches the recording of executed tasks, templates and shell lines on, for everything that a test starts."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RECORDINGS = ROOT / ".cache" / "coverage" / "infra"


def environment() -> dict[str, str]:
    """The variables that carry the recording; a test with an environment of its own adds them to it."""
    folder = Path(os.environ.get("INFRA_COVERAGE_DIR", RECORDINGS))
    folder.mkdir(parents=True, exist_ok=True)
    tracer = os.environ.get("BASH_ENV", str(ROOT / "tests" / "coverage" / "trace.sh"))
    return {"INFRA_COVERAGE_DIR": str(folder), "BASH_ENV": tracer}
