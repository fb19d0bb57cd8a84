"""What every stage of every event has to meet, whoever runs it: where it goes, what it is told, what it may open."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from pathlib import Path

from tests.pipelines import graph, jenkinsfiles, workflows
from tests.pipelines.graph import Event, Met

REACHING = ("deploy", "rollback", "smoke", "drill")
"""The stages that reach servers."""
TAKING = ("scan", "migrations", "deploy")
"""Those that get what `build` made, where the event has it."""
TOLD = {
    "scan": {"ADVISORIES": "https://osv-vulnerabilities.storage.googleapis.com/PyPI/all.zip"},
    "migrations": {"REQUIRE": "postgresql"},
}
"""What a stage is told beside CI and ENV."""
KEPT = {
    "jenkins": {"test": {"junit", "archiveArtifacts"}, "build": {"stash", "archiveArtifacts"}},
    "github": {"test": {"reports-*"}, "build": {"releases"}},
}
READERS: dict[str, graph.Teller] = {"jenkins": jenkinsfiles.stages, "github": workflows.stages}


def broken(root: Path) -> Iterator[str]:
    """A line for each stage that meets something else."""
    for event in (*graph.EVENTS, *_other_rollbacks()):
        for runner, reader in READERS.items():
            yield from _compared(root, runner, event, reader(root, event))


def _other_rollbacks() -> Iterator[Event]:
    """A person may name the other environment, and no version."""
    for event in graph.EVENTS:
        if event.parameters:
            yield replace(event, parameters={"ENVIRONMENT": "staging", "VERSION": ""})


def _compared(root: Path, runner: str, event: Event, found: Mapping[str, Met]) -> Iterator[str]:
    told = graph.told(root, event.name)
    needs = {stage: met.needs for stage, met in found.items()}
    if needs != told:
        stages = sorted(stage for stage in {*needs, *told} if needs.get(stage) != told.get(stage))
        yield f"graph: {runner} differs for {event.name}: {', '.join(stages)}"
    for stage, met in found.items():
        to = graph.reached(root, event) if stage in REACHING else ""
        wanted = expected(runner, event, stage, to)
        if stage not in TOLD or "ADVISORIES" not in TOLD[stage]:  # told to every stage of a file, used by one
            met = replace(met, told={k: v for k, v in met.told.items() if k != "ADVISORIES"})
        if "build" not in found or stage not in TAKING:
            wanted = replace(wanted, taken=met.taken if stage == "smoke" else frozenset())
        if event.name == "nightly" and not to:  # one a night
            wanted = replace(wanted, alone="")
        for field in fields(Met):
            its, should = getattr(met, field.name), getattr(wanted, field.name)
            if its != should and field.name != "needs":
                yield f"{field.name}: {runner} {event.name} {stage}: {_said(its)}, not {_said(should)}"


def expected(runner: str, event: Event, stage: str, to: str) -> Met:
    """What a stage should meet.

    :param to: the environment that it reaches, or nothing.
    """
    told = {"CI": "true", **({"ENV": to} if to else {}), **TOLD.get(stage, {})}
    common = {"needs": frozenset(), "taken": frozenset({"releases"})}
    kept = frozenset(KEPT[runner].get(stage, set()))
    if runner == "github":
        if stage in ("deploy", "rollback"):
            told["VERSION"] = event.parameters.get("VERSION", "")
        if stage == "test":
            told["PYTHON"] = "python*"
        each = f"{stage} *" if stage == "test" else stage
        alone = f"rollout {to}" if to else f"{each} {event.github['ref']} cancelled by the next"
        return Met(told=told, place=to, alone=alone, opened=_keys(to), kept=kept, **common)
    asked = {"milestone"} if stage == "deploy" else set()
    asked |= {"its RELEASE_MANAGER"} if event.name == "tag" and to else set()
    return Met(
        told=told, place="deployer" if to else "python", alone=f"marefia {to}" if to else "", kept=kept,
        opened=_keys(*(f"{what}-{to}" for what in ("ssh", "vault") if to)), asked=frozenset(asked), **common,
    )  # fmt: skip


def _keys(*names: str) -> frozenset[str]:
    return frozenset(f"credentials {name}" for name in names if name)


def _said(value: object) -> object:
    return sorted(value) if isinstance(value, frozenset) else value
