"""Writes into docs/kubernetes.md in what the overlays of k8s/ differ, from what they render; needs kubectl.

usage: scripts/overlays.py [--check]
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(HERE / "playbooks/plugins/module_utils"))

from rollout.errors import RolloutError  # noqa: E402 - the playbooks' own way to render
from rollout.kube_release import rendered  # noqa: E402

PAGE = HERE / "docs/kubernetes.md"
BEGIN, END = "<!-- overlays -->\n", "<!-- end of overlays -->\n"
OVERLAYS = ("dev", "staging", "production")
HASH = re.compile(r"-[a-z0-9]{10}$")
"""What Kustomize adds to the name of a generated object."""


def fields(thing: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every value of an object under its path."""
    pairs = (
        thing.items() if isinstance(thing, dict) else enumerate(thing) if isinstance(thing, list) else None
    )
    if pairs is None:
        yield path.lstrip("."), HASH.sub("", str(thing))
        return
    for key, value in pairs:
        yield from fields(value, f"{path}.{key}")


def objects(overlay: str) -> dict[str, dict[str, str]]:
    """The fields of each object, by its kind and its name without a hash. The namespace is the overlay's own word."""
    found = {}
    for each in rendered(HERE / "k8s/overlays" / overlay):
        each["metadata"].pop("namespace", None)
        name = "" if each["kind"] == "Namespace" else HASH.sub("", each["metadata"]["name"])
        found[f"{each['kind']} {name}".strip()] = dict(fields(each))
    return found


def rows() -> Iterator[tuple[str, list[str]]]:
    """What differs, and how it is in each overlay."""
    of = [objects(overlay) for overlay in OVERLAYS]
    for name in dict.fromkeys(name for each in of for name in each):
        there = [name in each for each in of]
        if not all(there):
            yield name, ["yes" if each else "" for each in there]
        known = [each[name] for each in of if name in each]
        for path in dict.fromkeys(path for each in known for path in each):
            if len({each.get(path) for each in known}) > 1:
                yield f"{name}: {path}", [each.get(name, {}).get(path, "") for each in of]


def table() -> str:
    lines = [f"| | {' | '.join(OVERLAYS)} |", "|---" * (len(OVERLAYS) + 1) + "|"]
    for what, values in rows():
        cells = [f"`{value}`" if value and value != "yes" else value for value in values]
        lines.append(f"| {what} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--check", action="store_true", help="fail when the page is not current; write nothing"
    )
    options = parser.parse_args()
    text = PAGE.read_text()
    before, rest = text.split(BEGIN)
    try:
        current = before + BEGIN + table() + END + rest.split(END)[1]
    except RolloutError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if current == text:
        print("docs/kubernetes.md is current")
        return 0
    if options.check:
        print("error: docs/kubernetes.md is not current; run scripts/overlays.py", file=sys.stderr)
        return 1
    PAGE.write_text(current)
    print("docs/kubernetes.md is written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
