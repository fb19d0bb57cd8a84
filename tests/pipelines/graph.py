"""The pipeline as infra/pipeline.yml tells it, and what a stage meets in each runner's own files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

Graph = Mapping[str, frozenset[str]]
"""Each stage, and all that has to have passed before it begins."""


@dataclass(frozen=True)
class Met:
    """What a stage meets when a runner begins it."""

    needs: frozenset[str]
    """The stages that have passed."""
    told: Mapping[str, str]
    """The variables that the runner's file sets."""
    place: str
    """Where it runs: an agent's label in Jenkins, an environment on GitHub."""
    alone: str
    """The lock, or the group, that lets it run once at a time; `cancelled by` the next, if it may be."""
    opened: frozenset[str]
    """Whose credentials were fetched."""
    taken: frozenset[str]
    """What earlier stages made, and lies there."""
    kept: frozenset[str]
    """What is kept of what it makes."""
    asked: frozenset[str] = frozenset()
    """Who had to say yes, and the other things that Jenkins waits for."""


def loaded(file: Path) -> Any:
    """A file of YAML, to be read only."""
    return _parsed(file.read_text())


@cache  # the same files, for each event
def _parsed(text: str) -> Any:
    return yaml.safe_load(text)


def told(root: Path, event: str) -> Graph:
    """What infra/pipeline.yml tells of an event."""
    facts = loaded(root / "infra/pipeline.yml")
    runs = facts["events"][event]
    return closed(
        {stage: {need for need in facts["stages"][stage]["needs"] if need in runs} for stage in runs}
    )


def reached(root: Path, event: Event) -> str:
    """The environment that an event's stages reach, or nothing."""
    to = loaded(root / "infra/pipeline.yml")["environments"].get(event.name, "")
    return event.parameters["ENVIRONMENT"] if to == "named" else str(to)


def closed(needs: Mapping[str, set[str]]) -> Graph:
    """With what its needs need in turn."""

    def all_of(stage: str) -> frozenset[str]:
        return frozenset(needs[stage]).union(*map(all_of, needs[stage]))

    return {stage: all_of(stage) for stage in needs}


@dataclass(frozen=True)
class Event:
    """What happened, as each runner is told: Jenkins by variables, GitHub by the context `github`."""

    name: str
    jenkinsfile: str = "Jenkinsfile"
    variables: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    workflow: str = "pipeline"
    github: Mapping[str, Any] = field(default_factory=dict)


def _push(ref: str) -> dict[str, Any]:
    return {"event_name": "push", "ref": ref, "ref_type": "tag" if "tags" in ref else "branch"}


Teller = Callable[[Path, Event], Mapping[str, Met]]
"""What reads from a runner's own files which stages an event begins."""
EVENTS = (
    Event("branch", variables={"BRANCH_NAME": "topic"}, github=_push("refs/heads/topic")),
    Event(
        "request",
        variables={"BRANCH_NAME": "PR-7", "CHANGE_ID": "7", "CHANGE_TARGET": "main"},
        github={"event_name": "pull_request", "ref": "refs/pull/7/merge", "ref_type": "branch"},
    ),
    Event("main", variables={"BRANCH_NAME": "main"}, github=_push("refs/heads/main")),
    Event("tag", variables={"BRANCH_NAME": "v1", "TAG_NAME": "v1"}, github=_push("refs/tags/v1")),
    Event(
        "rollback",
        jenkinsfile="rollback.jenkinsfile",
        variables={"BRANCH_NAME": "main"},
        parameters={"ENVIRONMENT": "production", "VERSION": "1"},
        workflow="rollback",
        github={"event_name": "workflow_dispatch", "ref": "refs/heads/main", "ref_type": "branch"},
    ),
    Event(
        "nightly",
        jenkinsfile="nightly.jenkinsfile",
        variables={"BRANCH_NAME": "main"},
        workflow="nightly",
        github={"event_name": "schedule", "ref": "refs/heads/main", "ref_type": "branch"},
    ),
)
