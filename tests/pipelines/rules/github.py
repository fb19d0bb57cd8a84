"""What holds for a workflow."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.pipelines.rules import commands

Job = dict[str, Any]
PINNED = re.compile(r"[\w-]+/[\w-]+@[0-9a-f]{40}$")
PERMITTED = {"contents": "read", "id-token": "write"}
"""What a job may be permitted at most; the token for OIDC only where servers are reached."""
WIDEST = 120
"""Minutes, the longest that a job may take."""


def broken(root: Path) -> Iterator[str]:
    """A line for each rule that the workflows, and the actions of our own, break."""
    for file in sorted((root / ".github/workflows").glob("*.yml")):
        told = yaml.safe_load(file.read_text())
        if told.get("permissions") != {}:
            yield f"permissions: {file.name} does not begin with none"
        if "pull_request_target" in told[True]:  # what YAML 1.1 makes of `on`
            yield f"trigger: {file.name}: a fork's code would see secrets"
        for name, job in told["jobs"].items():
            yield from _job(f"{file.name} {name}", job)
    for file in sorted((root / ".github/actions").glob("*/action.yml")):
        where = file.parent.name
        for step in yaml.safe_load(file.read_text())["runs"]["steps"]:
            yield from _uses(where, step) if "uses" in step else commands.hiding(where, step["run"])


def _job(where: str, job: Job) -> Iterator[str]:
    yield from _permissions(where, job)
    if "uses" not in job:
        yield from _limits(where, job)
    for step in job.get("steps", []):
        yield from _step(where, step)
    # A rule against what hides a failure, not one that does.
    if any(each.get("continue-on-error") for each in (job, *job.get("steps", []))):
        yield f"hidden failure: {where}: continue-on-error"


def _permissions(where: str, job: Job) -> Iterator[str]:
    for what, level in (job.get("permissions") or {"all": "inherited"}).items():
        if level != PERMITTED.get(what):
            yield f"permissions: {where}: {what}: {level}"
        elif what == "id-token" and not (job.get("environment") or "uses" in job):
            yield f"permissions: {where}: {what} without an environment"
        elif what == "id-token" and not any(
            each.get("uses", "").startswith("./") for each in (job, *job.get("steps", []))
        ):
            yield f"permissions: {where}: {what}, and nobody is shown it"
    if job.get("secrets"):
        yield f"secrets: {where}: all are handed on"


def _limits(where: str, job: Job) -> Iterator[str]:
    """What a job may not take from others: time, servers, somebody's approval."""
    if not 0 < job.get("timeout-minutes", 0) <= WIDEST:
        yield f"timeout: {where} has none"
    makes = " ".join(step.get("run", "") for step in job["steps"])
    reaches = job.get("environment")
    if re.search(r"STAGE|drill|deploy|rollback", makes) and not reaches:
        yield f"environment: {where} has none, so nobody is asked"
    if reaches and (job.get("concurrency") or {}).get("cancel-in-progress") is not False:
        yield f"concurrency: {where}: what changes servers may be cut off, or run twice at once"


def _step(where: str, step: dict[str, Any]) -> Iterator[str]:
    if "run" in step:
        yield from commands.broken(where, step["run"])
        if "if" in step:
            yield f"condition: {where}: {step['run']} runs only if {step['if']}"
    else:
        yield from _uses(where, step)


def _uses(where: str, step: dict[str, Any]) -> Iterator[str]:
    kept = step.get("with", {}).get("persist-credentials")
    if not PINNED.match(step["uses"]) and not step["uses"].startswith("./"):  # what this commit holds itself
        yield f"unpinned: {where}: {step['uses']}"
    if step["uses"].startswith("actions/checkout@") and kept is not False:
        yield f"credentials: {where}: the checkout keeps its token"
