"""What holds for every test: the infrastructure that it executes is recorded (`make coverage` reports it)."""

from __future__ import annotations

import os
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]  # xdist says nothing of its types

from tests import parts
from tests.coverage import record

os.environ.update(record.environment())


LONG_SECONDS = 30


class Told:
    """Says what failed when it fails, and what took long: a long run's summary comes late."""

    def __init__(self, terminal: pytest.TerminalReporter) -> None:
        self.terminal = terminal

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            crash = getattr(report.longrepr, "reprcrash", None)
            why = str(crash.message if crash else report.longrepr).strip().splitlines()[:1]
            self.terminal.ensure_newline()
            self.terminal.write_line(f"{report.nodeid} failed at its {report.when}: {''.join(why)[:200]}")
        elif report.duration > LONG_SECONDS:
            self.terminal.ensure_newline()
            self.terminal.write_line(f"{report.nodeid} {report.when}: {report.duration:.0f} s")


@pytest.hookimpl(trylast=True)  # when there is a terminal to write to
def pytest_configure(config: pytest.Config) -> None:
    """A misspelled REQUIRE is an error at once, not a part that is silently not required."""
    parts.required()
    if getattr(config, "workerinput", {"workerid": FIRST})["workerid"] != FIRST:
        os.nice(YIELDS)
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if terminal and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Told(terminal))


HOSTS = "tests/playbooks/hosts/"
LOADED_HOSTS = (f"{HOSTS}test_haproxy", "tests/rollout/test_fleet")
QUIET = tuple(
    f"tests/k8s/test_{name}" for name in ("bad_input", "environments", "manifests", "network", "policy")
)
LOADED = (
    *(f"tests/rollout/test_{name}" for name in ("another", "controls", "promises", "three")),
    "tests/docker/test_compose",
    "tests/k8s/",
    *LOADED_HOSTS,
)


FIRST = "gw0"
"""The process of pytest-xdist that does first what comes first."""
YIELDS = 5
"""By how much the others are nicer: a third of its share where there is too little for all."""


class Together(LoadFileScheduling):
    """A file of tests goes to one process. All that need the servers go to the same one, all that send load, for they
    would only wait for each other, and all that share a namespace of the cluster without load.
    """

    def _split_scope(self, nodeid: str) -> str:
        if nodeid.startswith(QUIET):
            return "cluster"
        if nodeid.startswith(LOADED):
            return "load"
        return "servers" if nodeid.startswith(HOSTS) else super()._split_scope(nodeid)

    def _assign_work_unit(self, node: Any) -> None:
        """Load is for the first process: the others yield to it, so that what is measured is not their work."""
        if "load" in self.workqueue:
            self.workqueue.move_to_end("load", last=node.gateway.id != FIRST)
        super()._assign_work_unit(node)


def pytest_xdist_make_scheduler(config: Any, log: Any) -> Any:
    """How the tests are spread, in place of --dist."""
    return Together(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Load on the servers comes last, when those who need them for something else are done."""
    items.sort(key=lambda item: item.nodeid.startswith(LOADED_HOSTS))
