"""Which objects, patches, services and stages k8s/ and infra/docker/ hold, and the pipeline's files which steps, and
which of them really ran.

A test that has seen them run says so with `ran`. What Kustomize makes of an overlay counts for the files that it is of.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.coverage import steps
from tests.coverage.lines import Line

MEASURED = ("k8s/**/*.yaml", "infra/docker/*", "jenkins/*enkinsfile", ".github/*s/**/*.yml")
KUSTOMIZATION = "kustomization.yaml"
STAGE = re.compile(r"^FROM (\S+)(?: AS (\S+))?$", re.MULTILINE)
LAST = "the image"
"""The stage without a name."""


def lines(root: Path, recordings: Path) -> list[Line]:
    """A line per part, executed if a test said so of the same text of its file."""
    recorded = {
        tuple(json.loads(record))
        for file in sorted(recordings.glob("parts-*.jsonl"))
        for record in file.read_text(encoding="utf-8").splitlines()
    }
    found = []
    for file in sorted(file for pattern in MEASURED for file in root.glob(pattern)):
        path = file.relative_to(root).as_posix()
        for kind, number, name in parts(file):
            executed = (path, _digest(file), name) in recorded
            found.append(Line(kind, path, number, name, executed))
    return found


def ran(root: Path, file: Path, names: Iterable[str]) -> None:
    """Record that parts of a file really ran."""
    path = file.relative_to(root).as_posix()
    with (Path(os.environ["INFRA_COVERAGE_DIR"]) / f"parts-{os.getpid()}.jsonl").open("a") as out:
        out.writelines(json.dumps([path, _digest(file), name]) + "\n" for name in names)


def parts(file: Path) -> Iterator[tuple[str, int, str]]:
    """Kind, line and name of each part of a file."""
    text = file.read_text()
    if file.name == "Dockerfile":
        for stage in STAGE.finditer(text):
            yield "stage", text.count("\n", 0, stage.start()) + 1, stage[2] or LAST
    elif file.name.startswith("compose"):
        for name in yaml.safe_load(text).get("services", {}):
            yield "service", _line(text, rf"^  {re.escape(name)}:"), name
    elif read := next((steps.OF[pattern] for pattern in steps.OF if file.match(pattern)), None):
        yield from (("step", step.line, step.name) for step in read(text))
    elif file.name == KUSTOMIZATION:
        yield from _kustomized(text)
    elif file.suffix == ".yaml":
        at = 1
        for document in re.split(r"^---\n", text, flags=re.MULTILINE):
            thing = yaml.safe_load(document)
            yield "object", at, f"{thing['kind']} {thing['metadata']['name']}"
            at += document.count("\n") + 1


def _kustomized(text: str) -> Iterator[tuple[str, int, str]]:
    """What a kustomization makes and patches."""
    told = yaml.safe_load(text)
    for made in told.get("configMapGenerator", []):
        yield "object", _line(text, rf"^  - name: {made['name']}$"), f"ConfigMap {made['name']}"
    for patch in told.get("patches", []):
        target = f"{patch['target']['kind']} {patch['target']['name']}"
        kind, name = target.split()
        yield "patch", _line(text, rf"target: {{kind: {kind}, name: {name}}}"), f"patch of {target}"


def files_of(overlay: Path) -> list[Path]:
    """Every file that an overlay is made of, its own first."""
    file = overlay / KUSTOMIZATION
    told: dict[str, Any] = yaml.safe_load(file.read_text())
    found = [file]
    for each in [*told.get("resources", []), *told.get("components", [])]:
        path = (overlay / each).resolve()
        found += files_of(path) if path.is_dir() else [path]
    return found


def stages_of(dockerfile: Path) -> list[str]:
    """The stages without which the image cannot be built."""
    pieces = STAGE.split(dockerfile.read_text())[1:]
    stages = {
        name or LAST: {base, *re.findall(r"--from=(\S+)", body)}
        for base, name, body in zip(pieces[::3], pieces[1::3], pieces[2::3], strict=True)
    }
    needed, todo = [], [LAST]
    while todo:
        if (name := todo.pop()) in stages and name not in needed:
            needed.append(name)
            todo += stages[name]
    return needed


def _line(text: str, pattern: str) -> int:
    found = re.search(pattern, text, re.MULTILINE)
    assert found, f"nothing looks like {pattern}"
    return text.count("\n", 0, found.start()) + 1


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
