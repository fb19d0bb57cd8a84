"""What holds for the files of every runner: each broken rule is one line that names it."""

from pathlib import Path

import yaml

from tests.pipelines.rules import controller, language, stages

UNREADABLE = (
    AttributeError,
    IndexError,
    KeyError,
    NameError,
    OSError,
    RecursionError,
    SyntaxError,
    TypeError,
    yaml.YAMLError,
)
"""What a reader raises for what it does not know; nothing that it does not know may stand there."""


def broken(root: Path) -> list[str]:
    """A line for each rule that a pipeline's files break."""
    lines = []
    for rules in (stages.broken, language.broken, controller.broken):
        try:
            for line in rules(root):  # those that come before what cannot be read count
                lines.append(line)  # noqa: PERF402
        except UNREADABLE as error:
            lines.append(f"unreadable: {type(error).__name__}: {error}")
    return lines
