"""Reports which of the infrastructure no test executed; fails below 100 % (`make coverage`)."""

from __future__ import annotations

import argparse
import json
import operator
import sys
from pathlib import Path

from tests.coverage import lines, parts, record, shell, tasks, templates

EXCEPTIONS = Path(__file__).with_name("exceptions.yml")
KEPT = Path(__file__).with_name("chaos.json")
KINDS = {
    "tasks": ("task",),
    "handlers": ("handler",),
    "templates": ("template",),
    "branches": ("branch",),
    "shell lines": ("shell",),
    "objects": ("object",),
    "patches": ("patch",),
    "services": ("service",),
    "stages": ("stage",),
    "steps": ("step",),
}


def main(arguments: list[str]) -> int:
    """Print the report, write it as JSON beside the recordings; 0 when every line is executed or excepted."""
    parser = argparse.ArgumentParser(prog="python -m tests.coverage", description=__doc__)
    parser.add_argument("--root", type=Path, default=record.ROOT, help="the checkout to measure")
    parser.add_argument("--recordings", type=Path, default=record.RECORDINGS, help="what the tests recorded")
    parser.add_argument("--exceptions", type=Path, default=EXCEPTIONS, help="lines without a test, and why")
    parser.add_argument("--kept", type=Path, default=KEPT, help="lines that only `make chaos` executes")
    parser.add_argument(
        "--keep", action="store_true", help="keep there what the last report missed and a test executed since"
    )
    options = parser.parse_args(arguments)
    if not any(options.recordings.glob("*-*")):
        print("coverage: nothing was recorded; run `make test verify`", file=sys.stderr)
        return 2
    measured = [
        line
        for kind in (tasks, templates, shell, parts)
        for line in kind.lines(options.root, options.recordings)
    ]
    try:
        excepted = lines.exceptions(options.exceptions)
    except ValueError as error:
        print(f"coverage: {error}", file=sys.stderr)
        return 2
    kept, out = lines.Kept(options.kept, options.root), options.recordings.with_suffix(".json")
    if options.keep:
        kept.keep(measured, json.loads(out.read_text(encoding="utf-8"))["not_executed"])
    filled = kept.fill(measured)
    print(f"chaos alone  {sum(map(operator.ne, measured, filled)):4d} lines, kept in {options.kept.name}")
    return report(filled, excepted, out)


def report(measured: list[lines.Line], excepted: list[lines.Excepted], out: Path) -> int:
    """Say what was executed; 0 when that is everything but what is rightly excepted."""
    allowed = {line for entry in excepted for line in lines.matching(entry, measured)}
    missing = [line for line in measured if not line.executed and line not in allowed]
    problems = list(lines.stale(excepted, measured))
    shares = {}
    for title, kinds in KINDS.items():
        of_kind = [line for line in measured if line.kind in kinds]
        executed = sum(line.executed for line in of_kind)
        shares[title] = {"executed": executed, "of": len(of_kind)}
        percent = f"{100 * executed / len(of_kind):.1f} %" if of_kind else "none here"
        print(f"{title:12} {executed:4d} of {len(of_kind):4d} executed  {percent}")
    if not measured:
        problems.append("there is nothing to measure: no playbooks/ and no scripts/ here")
    for entry in excepted:
        print(f"excepted     {entry.path}: {entry.anchor} ({entry.reason})")
    for line in missing:
        print(f"not executed {line}")
    for problem in problems:
        print(f"error        {problem}")
    document = {"shares": shares, "not_executed": [str(line) for line in missing], "errors": problems}
    out.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return 1 if missing or problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
