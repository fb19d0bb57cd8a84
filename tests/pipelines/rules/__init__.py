"""What holds for the files of every runner: each broken rule is one line that names it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.pipelines import graph
from tests.pipelines.rules import controller, github, jenkins


def broken(root: Path) -> list[str]:
    """A line for each rule that a pipeline's files break."""
    return [*_graphs(root), *jenkins.broken(root), *github.broken(root), *controller.broken(root)]


def _graphs(root: Path) -> Iterator[str]:
    for event in graph.EVENTS:
        told = graph.told(root, event.name)
        for runner, reader in (("jenkins", graph.jenkins), ("github", graph.github)):
            if (found := reader(root, event)) != told:
                stages = sorted(stage for stage in {*found, *told} if found.get(stage) != told.get(stage))
                yield f"graph: {runner} differs for {event.name}: {', '.join(stages)}"
