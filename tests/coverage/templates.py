"""Which templates the roles hold, which branches they have, and what of that a test rendered.

A condition has two outcomes, whether or not an else is written; a loop has to be entered.
Not measured: templates in the YAML of tasks, and `a if b else c` within an expression. What holds no template
syntax at all is never rendered by Ansible: it is a file.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from jinja2 import Environment

from playbooks.plugins.callback.template_coverage import RENDERED, branches
from tests.coverage.lines import Line


def lines(root: Path, recordings: Path) -> list[Line]:
    """A line per template below root/playbooks/roles and one per branch, executed if the same text was rendered."""
    recorded = [
        json.loads(record)
        for file in sorted(recordings.glob("templates-*.jsonl"))
        for record in file.read_text(encoding="utf-8").splitlines()
    ]
    found = []
    for file in sorted(path for path in root.glob("playbooks/roles/*/templates/**/*") if path.is_file()):
        path = file.relative_to(root).as_posix()
        content = file.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        rendered = {
            record["branch"]
            for record in recorded
            if record["sha256"] == digest and record["file"].endswith("/" + path)
        }
        found.append(Line("template", path, 1, "the template", RENDERED in rendered))
        text = content.decode().splitlines()
        for number, (line, outcome, _) in enumerate(branches(Environment().parse(content.decode()))):  # noqa: S701  # parses only
            found.append(
                Line("branch", path, line, f"{text[line - 1].strip()} ({outcome})", number in rendered)
            )
    return found
