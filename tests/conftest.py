"""What holds for every test: the infrastructure that it executes is recorded (`make coverage` reports it)."""

from __future__ import annotations

import os

from tests import parts
from tests.coverage import record

os.environ.update(record.environment())


def pytest_configure() -> None:
    """A misspelled REQUIRE is an error at once, not a part that is silently not required."""
    parts.required()
