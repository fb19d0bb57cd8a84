"""Declarative Jenkinsfiles: their blocks, and what each stage of an event meets."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.pipelines.graph import Event, Met, closed

COMMENT = re.compile(r"""('[^'\n]*'|"[^"\n]*")|(?<!:)//[^\n]*""")
KEEPING = ("stash", "archiveArtifacts", "junit")


@dataclass
class Block:
    """A word of a Jenkinsfile, what stands beside it, and the blocks between its braces."""

    word: str
    said: str
    line: int = 0
    within: list[Block] = field(default_factory=list)

    def all(self, *words: str) -> list[Block]:
        return [block for block in self.within if block.word in words]

    def one(self, word: str) -> Block:
        """The first of that word, or an empty one."""
        return next(iter(self.all(word)), Block("", ""))


def parsed(text: str) -> Block:
    """Groovy that is nothing but blocks, as their tree; a line without one is a block without any within."""
    top = Block("", "")
    path = [top]
    for number, line in enumerate(COMMENT.sub(lambda it: it[1] or "", text).splitlines(), 1):
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
    if path != [top]:
        raise IndexError("braces do not match")
    return top


def blocks(text: str) -> Block:
    """The pipeline of a declarative Jenkinsfile."""
    return parsed(text).within[0]


@dataclass(frozen=True)
class _Around:
    """What the blocks around a stage say, and what passed before it."""

    before: frozenset[str] = frozenset()
    told: Mapping[str, str] = field(default_factory=dict)
    place: str = ""
    alone: str = ""
    asked: frozenset[str] = frozenset()


def stages(root: Path, event: Event) -> dict[str, Met]:
    """What each stage of an event meets."""
    pipeline = blocks((root / "jenkins" / event.jenkinsfile).read_text())
    found: dict[str, Met] = {}
    _walk(pipeline, _Around(), event, found)
    needs = closed({stage: set(met.needs) for stage, met in found.items()})
    return {stage: replace(met, needs=needs[stage]) for stage, met in found.items()}


def _walk(
    stage: Block, around: _Around, event: Event, found: dict[str, Met]
) -> tuple[frozenset[str], frozenset[str]]:
    """Take in a stage; those that it holds, and what was asked in it."""
    if not all(holds(each, event.variables) for each in stage.one("when").within):
        return frozenset(), frozenset()
    here = _told(stage, around, event)
    mine: frozenset[str] = frozenset()
    asked = frozenset(worth(each.said, {}, event) for each in stage.one("input").all("submitter"))
    for each in stage.one("parallel").all("stage"):
        mine |= _walk(each, here, event, found)[0]
    for each in stage.one("stages").all("stage"):
        step = replace(here, before=here.before | mine, asked=here.asked | asked)
        stages, more = _walk(each, step, event, found)
        mine, asked = mine | stages, asked | more
    return mine | _steps(stage, here, found), asked


def _told(stage: Block, around: _Around, event: Event) -> _Around:
    told = dict(around.told)
    for each in stage.one("environment").within:
        told[each.word] = worth(each.said.removeprefix("= "), told, event)
    label = [each.said.strip("'") for each in stage.one("agent").within]
    lock = [worth(each.said, told, event) for each in stage.one("options").all("lock")]
    return replace(
        around, told=told, place=" ".join(label) or around.place, alone=" ".join(lock) or around.alone
    )


def _steps(stage: Block, here: _Around, found: dict[str, Met]) -> frozenset[str]:
    taken: set[str] = set()
    asked = set(here.asked)
    made = ""
    steps = stage.one("steps").within
    for number, step in enumerate(steps):
        if step.word == "unstash":
            taken.add(step.said.strip("'"))
        elif step.word == "milestone":
            asked.add("milestone")
        elif step.word == "sh":
            made = step.said.strip("'").removeprefix("make ")
            if stage.said != f"('{made}')":
                raise KeyError(f"stage {stage.said} runs {step.said}")
            after = [*steps[number:], *stage.one("post").one("always").within]
            kept = frozenset(each.word for each in after if each.word in KEEPING)
            opened = {value for value in here.told.values() if value.startswith("credentials ")}
            told = {name: value for name, value in here.told.items() if value not in opened}
            found[made] = Met(
                here.before, told, here.place, here.alone, frozenset(opened), frozenset(taken), kept,
                frozenset(asked),
            )  # fmt: skip
    return frozenset({made} - {""})


def worth(said: str, told: Mapping[str, str], event: Event) -> str:
    """What Groovy makes of a string. KeyError for an expression that no Jenkinsfile here has used yet."""
    credentials = re.fullmatch(r"credentials\((.*)\)", said)
    lock = re.fullmatch(r"\(resource: (.*?)(?:, inversePrecedence: true)?\)", said)
    if credentials:
        return f"credentials {worth(credentials[1], told, event)}"
    text = lock[1] if lock else said
    if text.startswith("'"):
        return text.strip("'")

    def value(found: re.Match[str]) -> str:
        name, yes, no, default = re.fullmatch(
            r"([\w.]+)(?: \? '([^']*)' : '([^']*)'| \?: '([^']*)')?", found[1]
        ).groups()  # type: ignore[union-attr]  # AttributeError is a KeyError's equal here
        place, _, word = name.rpartition(".")
        known = {"": told, "env": event.variables, "params": event.parameters}[place]
        if yes is not None:
            return str(yes if known.get(word) else no)
        if default is not None:
            return str(known.get(word) or default)
        return f"its {word}" if place == "env" else str(known[word])

    return re.sub(r"\$\{([^}]*)\}", value, text.strip('"'))


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
