"""The steps of the runners' files, `post` blocks included, and those that a runner's trace says were executed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from tests.pipelines import jenkinsfiles

OF_DIRECTIVES = ("checkout", "input")
"""What `agent` and `input` do before the first step that a file names."""


@dataclass(frozen=True)
class Step:
    """A step by its line, under a name that is its file's alone."""

    line: int
    name: str


def of_jenkinsfile(text: str) -> Iterator[Step]:
    """Each step of each stage and `post` block."""
    yield from _within(jenkinsfiles.blocks(text), "pipeline")


def _within(block: jenkinsfiles.Block, name: str) -> Iterator[Step]:
    for each in block.within:
        if each.word == "stage":
            yield from _within(each, each.said.strip("()'"))
        elif each.word in ("stages", "parallel"):
            yield from _within(each, name)
        elif each.word == "steps":
            yield from _numbered(name, each)
        elif each.word == "post":
            for condition in each.within:
                yield from _numbered(f"{name}, post {condition.word}", condition)


def _numbered(where: str, block: jenkinsfiles.Block) -> Iterator[Step]:
    for number, step in enumerate(block.within, 1):
        yield Step(step.line, f"{where}: {number}. {step.word}")


def ran_in_jenkins(trace: Mapping[str, Any], name: str = "pipeline") -> Iterator[str]:
    """The names of the steps that a trace says were begun, but for those of directives."""
    done = {name: trace.get("steps") or []}
    done |= {f"{name}, post {condition}": steps for condition, steps in (trace.get("post") or {}).items()}
    for where, steps in done.items():
        written = [step["step"] for step in steps if step["step"] not in OF_DIRECTIVES]
        yield from (f"{where}: {number}. {word}" for number, word in enumerate(written, 1))
    for stage in trace.get("stages") or []:
        yield from ran_in_jenkins(stage, stage["name"])


def of_workflow(text: str) -> Iterator[Step]:
    """Each step of each job, and each job that calls another workflow."""
    at = (number for number, line in enumerate(text.splitlines(), 1) if re.match(r"      - ", line))
    for name, job in yaml.safe_load(text)["jobs"].items():
        for number in range(len(job.get("steps", []))):
            yield Step(next(at), f"{name}: {number}")


def of_action(text: str) -> Iterator[Step]:
    """Each step of an action of our own."""
    at = (number for number, line in enumerate(text.splitlines(), 1) if re.match(r"    - ", line))
    told = yaml.safe_load(text)
    for number, step in enumerate(told["runs"]["steps"]):
        yield Step(next(at), f"{told['name']}: {step.get('id', number)}")


OF = {"jenkins/*enkinsfile": of_jenkinsfile, "workflows/*.yml": of_workflow, "action.yml": of_action}
"""What reads the steps of a file, by the file's name."""


def ran_on_github(output: str) -> Iterator[tuple[str, str]]:
    """A job, or the path of an action of our own, and the name of its step, for each that act says was begun."""
    for line in output.splitlines():
        record = json.loads(line) if line.startswith("{") else {}
        if record.get("stage") == "Main" and record.get("stepResult") in ("success", "failure"):
            where, (number, *within) = record["jobID"], record["stepID"]
            if not within:
                yield where, f"{where}: {number}"
            elif len(within) == 1 and record["step"].startswith("./"):
                yield record["step"], f"{record['step'].rpartition('/')[2]}: {within[0]}"
