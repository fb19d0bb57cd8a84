"""What holds for every test: the infrastructure that it executes is recorded (`make coverage` reports it)."""

from __future__ import annotations

import os
from typing import Any

from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]  # xdist says nothing of its types

from tests import parts
from tests.coverage import record

os.environ.update(record.environment())


def pytest_configure() -> None:
    """A misspelled REQUIRE is an error at once, not a part that is silently not required."""
    parts.required()


class Together(LoadFileScheduling):
    """A file of tests goes to one process, and all that need the servers to the same one: they would only wait."""

    def _split_scope(self, nodeid: str) -> str:
        return (
            "servers"
            if nodeid.startswith(("tests/playbooks/hosts/", "tests/rollout/test_fleet"))
            else super()._split_scope(nodeid)
        )


def pytest_xdist_make_scheduler(config: Any, log: Any) -> Any:
    """How the tests are spread, in place of --dist."""
    return Together(config, log)
