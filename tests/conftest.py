"""What holds for every test: the infrastructure that it executes is recorded (`make coverage` reports it)."""

from __future__ import annotations

import os

import pytest

from tests import parts
from tests.coverage import record

os.environ.update(record.environment())


def pytest_configure() -> None:
    """A misspelled REQUIRE is an error at once, not a part that is silently not required."""
    parts.required()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Side by side by file: what a file's tests share is set up once. Load tests are one group, whatever their file."""
    for item in items:
        if not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group(str(item.path)))
