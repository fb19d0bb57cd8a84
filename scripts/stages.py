#!/usr/bin/env python3
"""The stages that an event runs, in order: a line each, with those that have to have passed before it begins.

Without an event, the drawing of all of them that stands in docs/pipelines.md.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import yaml

FILE = Path(__file__).resolve().parent.parent / "infra/pipeline.yml"


def of(facts: dict[str, Any], event: str) -> dict[str, list[str]]:
    """Each stage of an event, in order, with what it needs of those before it.

    :raises ValueError: there is no such event, or a stage is named that is not there or stands in the wrong place.
    """
    stages, events = facts["stages"], facts["events"]
    if event not in events:
        raise ValueError(f"there is no event {event}; choose one: {', '.join(events)}")
    named = {*events[event], *(need for stage in stages.values() for need in stage["needs"])}
    if unknown := sorted(named - stages.keys()):
        raise ValueError(f"there is no stage {', '.join(unknown)}; mend {FILE.name}")
    found: dict[str, list[str]] = {}
    for stage in events[event]:
        before = set(found)
        found[stage] = [need for need in stages[stage]["needs"] if need in events[event]]
        if late := [need for need in found[stage] if need not in before]:
            raise ValueError(
                f"{event}: {stage} needs {', '.join(late)}, which stands after it; mend {FILE.name}"
            )
    return found


def drawing(facts: dict[str, Any]) -> str:
    """A Mermaid flowchart of what needs what, and a table of what runs when."""
    stages, events = facts["stages"], facts["events"]
    arrows = [f"    {need} --> {stage}" for stage, told in stages.items() for need in told["needs"]]
    alone = [f"    {stage}" for stage, told in stages.items() if not told["needs"]]
    rows = [
        f"| {event} | {' | '.join('x' if stage in events[event] else '' for stage in stages)} |"
        for event in events
    ]
    head = [f"| | {' | '.join(f'`{stage}`' for stage in stages)} |", f"|---{'|---' * len(stages)}|"]
    return "\n".join(["```mermaid", "flowchart LR", *alone, *arrows, "```", "", *head, *rows])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("event", nargs="?", help=f"one of {FILE.name}")
    event = parser.parse_args().event
    facts = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    try:
        lines = (
            [" ".join([stage, *needs]) for stage, needs in of(facts, event).items()]
            if event
            else [drawing(facts)]
        )
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
