"""What holds for a Jenkinsfile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.pipelines.graph import Block, blocks
from tests.pipelines.rules import commands

REACH_SERVERS = ("deploy", "rollback", "drill", "smoke")
NOTHING = Block("", "")


def files(root: Path) -> list[Path]:
    """The Jenkinsfiles of a checkout."""
    return sorted((root / "jenkins").glob("*enkinsfile"))


def broken(root: Path) -> Iterator[str]:
    """A line for each rule that they break."""
    for file in files(root):
        text = file.read_text()
        pipeline = blocks(text)
        if hides := commands.HIDES.search(text):
            yield f"hidden failure: {file.name}: {hides[0]}"
        if not _has(pipeline, "timeout"):
            yield f"timeout: {file.name} has none"
        for stage, around in _stages(pipeline, [pipeline]):
            yield from _stage(file.name, stage, [*around, stage])


def _stages(block: Block, around: list[Block]) -> Iterator[tuple[Block, list[Block]]]:
    """Each stage below a block, and the pipeline and the stages that it stands in."""
    for each in block.within:
        if each.word == "stage":
            yield each, around
            yield from _stages(each, [*around, each])
        elif each.word in ("stages", "parallel"):
            yield from _stages(each, around)


def _stage(file: str, stage: Block, around: list[Block]) -> Iterator[str]:
    """:param around: the pipeline and the stages that it stands in, and itself."""
    name = stage.said.strip("()'")
    where = f"{file} {name}"
    if (asks := stage.one("input")) and not (asks.one("submitter") and _has(stage, "timeout")):
        yield f"approval: {where} is anybody's, or waits for ever"
    said = [step.said.strip("'\"") for step in (stage.one("steps") or NOTHING).all("sh")]
    for command in said:
        yield from commands.broken(where, command)
        if command != f"make {name}":
            yield f"name: {where} runs {command}"
    if said and len(around) > 2 and not any(_has(each, "timeout") for each in around[1:]):
        yield f"timeout: {where} has none of its own"
    if said and name in REACH_SERVERS:
        yield from _reaches(where, around)
    if name == "deploy" and not (stage.one("steps") or NOTHING).one("milestone"):
        yield f"milestone: {where}: an older commit may be deployed after a newer one"


def _reaches(where: str, around: list[Block]) -> Iterator[str]:
    """What holds for a stage that reaches the servers."""
    if not any(_has(each, "lock") for each in around):
        yield f"lock: {where} has none"
    agents = [agent for each in around if (agent := each.one("agent"))]
    if [label.said for label in agents[-1].within] != ["'deployer'"]:
        yield f"agent: {where} is not on the one that reaches the servers"


def _has(block: Block, option: str) -> bool:
    return (block.one("options") or NOTHING).one(option) is not None
