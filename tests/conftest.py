"""What holds for every test: the infrastructure that it executes is recorded (`make coverage` reports it)."""

from __future__ import annotations

import os
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]  # xdist says nothing of its types

from tests import parts
from tests.coverage import record

os.environ.update(record.environment())


def pytest_configure() -> None:
    """A misspelled REQUIRE is an error at once, not a part that is silently not required."""
    parts.required()


HOSTS = "tests/playbooks/hosts/"
LOADED_HOSTS = (f"{HOSTS}test_haproxy", "tests/rollout/test_fleet")
LOADED = (
    *(f"tests/rollout/test_{name}" for name in ("another", "controls", "promises")),
    "tests/docker/test_compose",
    "tests/k8s/",
    *LOADED_HOSTS,
)


class Together(LoadFileScheduling):
    """A file of tests goes to one process. All that need the servers go to the same one, and all that send load: they
    would only wait for each other.
    """

    def _split_scope(self, nodeid: str) -> str:
        if nodeid.startswith(LOADED):
            return "load"
        return "servers" if nodeid.startswith(HOSTS) else super()._split_scope(nodeid)


def pytest_xdist_make_scheduler(config: Any, log: Any) -> Any:
    """How the tests are spread, in place of --dist."""
    return Together(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Load on the servers comes last, when those who need them for something else are done."""
    items.sort(key=lambda item: item.nodeid.startswith(LOADED_HOSTS))
