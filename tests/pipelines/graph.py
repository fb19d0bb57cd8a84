"""The pipeline as a graph: as infra/pipeline.yml tells it, and as each runner's own file does."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

Graph = Mapping[str, frozenset[str]]
"""Each stage, and all that has to have passed before it begins."""
MAKE = re.compile(r"make \"?\$?(\w+)\"?$")


def told(root: Path, event: str) -> Graph:
    """What infra/pipeline.yml tells of an event."""
    facts = yaml.safe_load((root / "infra/pipeline.yml").read_text())
    runs = facts["events"][event]
    return closed(
        {stage: {need for need in facts["stages"][stage]["needs"] if need in runs} for stage in runs}
    )


def closed(needs: Mapping[str, set[str]]) -> Graph:
    """With what its needs need in turn."""

    def all_of(stage: str) -> frozenset[str]:
        return frozenset(needs[stage]).union(*map(all_of, needs[stage]))

    return {stage: all_of(stage) for stage in needs}


@dataclass
class Block:
    """A word of a Jenkinsfile, what stands beside it, and the blocks between its braces."""

    word: str
    said: str
    line: int = 0
    within: list[Block] = field(default_factory=list)

    def all(self, word: str) -> list[Block]:
        return [block for block in self.within if block.word == word]

    def one(self, word: str) -> Block | None:
        return next(iter(self.all(word)), None)


def blocks(text: str) -> Block:
    """A declarative Jenkinsfile as the tree of its blocks; a line without one is a block without any within."""
    top = Block("", "")
    path = [top]
    uncommented = re.sub(r"^[ \t]*//.*$", "", text, flags=re.MULTILINE)
    for number, line in enumerate(uncommented.splitlines(), 1):
        # Braces of a line's own maps and strings are no blocks: ${...} stands in quotes.
        for piece in re.findall(r"(?:'[^']*'|\"[^\"]*\"|[^{}'\"])+|[{}]", line):
            piece = piece.strip()
            if piece == "}":
                path.pop()
            elif piece == "{":
                path.append(path[-1].within[-1])
            elif piece:
                word, _, said = re.sub(r"^(\w+)\(", r"\1 (", piece).partition(" ")
                path[-1].within.append(Block(word, said, number))
    return top.within[0]


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


Teller = Callable[[Path, Event], Graph]
"""What reads the graph of an event from a runner's own files."""
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


def jenkins(root: Path, event: Event) -> Graph:
    """What a Jenkinsfile tells of an event."""
    pipeline = blocks((root / "jenkins" / event.jenkinsfile).read_text())
    needs: dict[str, set[str]] = {}

    def walk(stage: Block, before: set[str]) -> set[str]:
        """Take in a stage, which begins when `before` have passed; those that it holds."""
        if (when := stage.one("when")) and not all(holds(each, event.variables) for each in when.within):
            return set()
        if branches := stage.one("parallel"):
            return set().union(*(walk(each, before) for each in branches.all("stage")))
        mine: set[str] = set()
        if inner := stage.one("stages"):
            for each in inner.all("stage"):
                mine |= walk(each, before | mine)
        for step in (stage.one("steps") or Block("", "")).all("sh"):
            if made := MAKE.match(step.said.strip("'")):
                needs[made[1]] = before | mine
                mine.add(made[1])
        return mine

    walk(pipeline, set())
    return closed(needs)


def holds(condition: Block, variables: Mapping[str, str]) -> bool:
    """Whether a condition of a `when` holds. KeyError for one that no Jenkinsfile here has used yet."""
    said = condition.said.strip("'")
    conditions: dict[str, Callable[[], bool]] = {
        "beforeAgent": lambda: True,
        "beforeInput": lambda: True,
        "beforeOptions": lambda: True,
        "branch": lambda: variables["BRANCH_NAME"] == said,
        "buildingTag": lambda: "TAG_NAME" in variables,
        "changeRequest": lambda: "CHANGE_ID" in variables,
        "anyOf": lambda: any(holds(each, variables) for each in condition.within),
        "allOf": lambda: all(holds(each, variables) for each in condition.within),
        "not": lambda: not holds(condition.within[0], variables),
    }
    return conditions[condition.word]()


def github(root: Path, event: Event) -> Graph:
    """What a workflow, and those that it calls, tell of an event."""
    needs: dict[str, set[str]] = {}
    inputs = {name.lower(): value for name, value in event.parameters.items()}
    for stage, before in _jobs(root, event.workflow, {"github": event.github, "inputs": inputs}, set()):
        needs.setdefault(stage, set()).update(before)
    return closed(needs)


def _jobs(
    root: Path, workflow: str, context: Mapping[str, Any], before: set[str]
) -> Iterator[tuple[str, set[str]]]:
    """Each stage of a workflow, and those before it."""
    jobs = yaml.safe_load((root / f".github/workflows/{workflow}.yml").read_text())["jobs"]
    stages: dict[str, set[str]] = {}
    for name, job in jobs.items():  # a job stands below those that it needs
        needed = job.get("needs", [])
        mine = before.union(*(stages[each] for each in ([needed] if isinstance(needed, str) else needed)))
        stages[name] = set()
        if "if" in job and not evaluated(job["if"], context):
            continue
        if "uses" in job:
            given = {key: evaluated(value, context) for key, value in job["with"].items()}
            called = Path(job["uses"]).stem
            for stage, more in _jobs(root, called, {**context, "inputs": given}, mine):
                stages[name].add(stage)
                yield stage, more
            continue
        for step in job["steps"]:
            if made := MAKE.match(step.get("run", "")):
                stage = (
                    made[1]
                    if made[1] not in (step.get("env") or {})
                    else evaluated(step["env"][made[1]], context)
                )
                yield stage, mine | stages[name]
                stages[name].add(stage)


def evaluated(text: Any, context: Mapping[str, Any]) -> Any:
    """A value of a workflow: its one expression evaluated, or itself. NameError for a context that is not given."""
    if not isinstance(text, str):
        return text
    if whole := re.fullmatch(r"\$\{\{(.*)\}\}", text):
        text = whole[1]
    elif not re.search(r"[=&|]", text):
        return text
    words = re.sub(r"'[^']*'|\b(\w+)\.(\w+)", lambda it: f"{it[1]}[{it[2]!r}]" if it[1] else it[0], text)
    python = words.replace("&&", " and ").replace("||", " or ").strip()
    return eval(python, {"__builtins__": {}}, dict(context))  # noqa: S307  # our own files, in a test
