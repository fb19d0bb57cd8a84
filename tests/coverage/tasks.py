"""Which tasks and handlers of the playbooks exist, and which of them a test executed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import yaml

from tests.coverage.lines import Line

# Static imports are replaced by what they import, and meta tasks reach no callback: neither can be recorded.
UNRECORDED = {"import_tasks", "import_role", "import_playbook", "meta"}
NO_TASKS_IN = {"defaults", "vars", "meta", "templates", "files", "plugins", "group_vars", "host_vars"}


def lines(root: Path, recordings: Path) -> list[Line]:
    """A line per task and handler below root/playbooks, executed if the same text of its file was."""
    recorded = [
        json.loads(record)
        for file in sorted(recordings.glob("tasks-*.jsonl"))
        for record in file.read_text(encoding="utf-8").splitlines()
    ]
    found = []
    for file in sorted(root.glob("playbooks/**/*.y*ml")):
        path = file.relative_to(root).as_posix()
        if NO_TASKS_IN.intersection(path.split("/")):
            continue
        content = file.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        executed = {
            record["line"]
            for record in recorded
            if record["sha256"] == digest and record["file"].endswith("/" + path)
        }
        text = content.decode().splitlines()
        for kind, number in positions(content.decode(), "handler" if "/handlers/" in path else "task"):
            found.append(Line(kind, path, number, text[number - 1], number in executed))
    return found


def positions(text: str, kind: str) -> Iterator[tuple[str, int]]:
    """Kind and first line of each task in a playbook or a file of tasks."""
    document = yaml.compose(text, Loader=yaml.SafeLoader)
    for item in _items(document):
        keys = _mapping(item)
        if "hosts" not in keys:
            yield from _tasks(item, kind)
        for section in ("pre_tasks", "tasks", "post_tasks", "handlers"):
            for task in _items(keys.get(section)):
                yield from _tasks(task, "handler" if section == "handlers" else "task")


def _tasks(node: yaml.Node, kind: str) -> Iterator[tuple[str, int]]:
    keys = _mapping(node)
    sections = [keys[section] for section in ("block", "rescue", "always") if section in keys]
    for section in sections:
        for task in _items(section):
            yield from _tasks(task, kind)
    if not sections and not UNRECORDED.intersection(key.rpartition(".")[2] for key in keys):
        yield kind, node.start_mark.line + 1


def _items(node: yaml.Node | None) -> list[yaml.Node]:
    return node.value if isinstance(node, yaml.SequenceNode) else []


def _mapping(node: yaml.Node) -> dict[str, yaml.Node]:
    return {key.value: value for key, value in node.value} if isinstance(node, yaml.MappingNode) else {}
