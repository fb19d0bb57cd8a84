"""Workflows of GitHub: what each stage of an event meets in them, and in those that they call."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.pipelines.graph import Event, Met, closed, loaded

MAKE = re.compile(r"make \"?\$?(\w+)\"?$")
Context = Mapping[str, Any]


def stages(root: Path, event: Event) -> dict[str, Met]:
    """What each stage of an event meets."""
    inputs = {name.lower(): value for name, value in event.parameters.items()}
    context = {
        "github": event.github,
        "inputs": inputs,
        "vars": {"VAULT": "https://vault.example", "ADVISORIES": ""},
    }
    found: dict[str, Met] = {}
    for stage, met in _jobs(root, event.workflow, context, set()):
        found[stage] = replace(met, needs=met.needs | found[stage].needs) if stage in found else met
    needs = closed({stage: set(met.needs) for stage, met in found.items()})
    return {stage: replace(met, needs=needs[stage]) for stage, met in found.items()}


def _jobs(root: Path, workflow: str, context: Context, before: set[str]) -> Iterator[tuple[str, Met]]:
    """Each stage of a workflow, in order."""
    file = loaded(root / f".github/workflows/{workflow}.yml")
    env = {name: evaluated(value, context) for name, value in (file.get("env") or {}).items()}
    stages: dict[str, set[str]] = {}
    for name, job in file["jobs"].items():  # a job stands below those that it needs
        needed = job.get("needs", [])
        mine = before.union(*(stages[each] for each in ([needed] if isinstance(needed, str) else needed)))
        stages[name] = set()
        if "if" in job and not _expression(job["if"], context):
            continue
        if "uses" in job:
            declared = loaded(root / job["uses"])[True]["workflow_call"]["inputs"]
            given = {key: told.get("default", "") for key, told in declared.items()}
            given |= {key: evaluated(value, context) for key, value in job["with"].items()}
            called = _jobs(root, Path(job["uses"]).stem, {**context, "inputs": given}, mine)
        else:
            called = _steps(job, {**context, "matrix": _every(job)}, env, mine)
        for stage, met in called:
            stages[name].add(stage)
            yield stage, met


def _every(job: Mapping[str, Any]) -> dict[str, str]:
    """A matrix whose values are all `*`: what is said once of each."""
    return dict.fromkeys(job.get("strategy", {}).get("matrix", {}), "*")


def _steps(
    job: Mapping[str, Any], context: Context, env: Mapping[str, str], before: set[str]
) -> Iterator[tuple[str, Met]]:
    """What each stage of a job meets: what stands above it is there, what is uploaded below it is kept."""
    group = job.get("concurrency", {"group": "", "cancel-in-progress": False})
    alone = evaluated(group["group"], context) + " cancelled by the next" * group["cancel-in-progress"]
    place = evaluated(job.get("environment", ""), context)
    opened: set[str] = set()
    taken: set[str] = set()
    done: set[str] = set()
    for number, step in enumerate(job["steps"]):
        if "if" in step and not _expression(step["if"], {**context, "always": lambda: True}):
            continue
        given = {key: evaluated(value, context) for key, value in step.get("with", {}).items()}
        used = step.get("uses", "").partition("@")[0].rpartition("/")[2]
        if used == "credentials":
            opened.add(f"credentials {given['environment']}")
        elif used == "download-artifact":
            taken.add(given["name"])
        elif made := MAKE.match(step.get("run", "")):
            own = {key: evaluated(value, context) for key, value in step.get("env", {}).items()}
            stage = own.pop(made[1], made[1])
            kept = {
                evaluated(each["with"]["name"], context)
                for each in job["steps"][number:]
                if "upload-artifact@" in each.get("uses", "")
            }
            yield stage, Met(
                frozenset(before | done), {**env, **own}, place, alone, frozenset(opened), frozenset(taken),
                frozenset(kept),
            )  # fmt: skip
            done.add(stage)


def evaluated(value: Any, context: Context) -> Any:
    """A value of a workflow with its expressions evaluated. NameError or KeyError for what `context` has not."""
    if not isinstance(value, str):
        return value
    if whole := re.fullmatch(r"\$\{\{((?:(?!\}\}).)*)\}\}", value):
        return _expression(whole[1], context)
    return re.sub(r"\$\{\{(.*?)\}\}", lambda it: str(_expression(it[1], context)), value)


def _expression(text: str, context: Context) -> Any:
    words = re.sub(r"'[^']*'|\b(\w+)\.(\w+)", lambda it: f"{it[1]}[{it[2]!r}]" if it[1] else it[0], text)
    python = words.replace("&&", " and ").replace("||", " or ").strip()
    return eval(python, {"__builtins__": {}}, dict(context))  # noqa: S307  # our own files, in a test
