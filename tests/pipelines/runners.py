"""The three runners of the pipeline, each executing its own unmodified files on the tests' machine.

Jenkins' and GitHub's own cannot be had there. JENKINSFILE names a command that executes a declarative Jenkinsfile, and
`act` on PATH one that executes workflows; docs/pipelines.md says what neither of them does.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import yaml

from tests.coverage import parts, steps
from tests.parts import absent
from tests.pipelines.graph import Event
from tests.scripts.project import ROOT, Project

ACTIONS = Path(__file__).with_name("actions")
"""Instead of the actions that GitHub would fetch: what they do with files, done in the folder ARTIFACTS."""
JENKINSFILE = os.environ.get("JENKINSFILE", "")
IMAGE = "ubuntu-24.04"
SECRETS = {f"{what}-{where}" for what in ("vault", "ssh") for where in ("staging", "production")}
MINUTES = 60


@dataclass
class Run:
    """What a runner made of an event."""

    ran: list[str]
    """The stages that began, as they themselves left it behind."""
    passed: bool
    named: set[str]
    """The stages that the runner's own report says failed."""
    skipped: set[str] = field(default_factory=set)
    """Those that it says it left out."""
    output: str = ""


class Place(Protocol):
    """A checkout, what its person's shell says, and a folder for what is left behind."""

    path: Path
    environment: dict[str, str]

    @property
    def state(self) -> Path: ...


def jenkins(project: Place, event: Event, answer: str = "approve", **told: str) -> Run:
    """Execute the event's Jenkinsfile.

    :param answer: what a person says who is asked: approve, or abort.
    """
    if not JENKINSFILE:
        absent("runners", "JENKINSFILE names no command")
    out = project.state / "jenkins"
    kept = {name: {"kind": "file", "path": str(project.state / name)} for name in sorted(SECRETS)}
    for name in kept:
        if not (project.state / name).exists():
            (project.state / name).write_text("of nobody\n")
    credentials = project.state / "credentials.json"
    credentials.write_text(json.dumps(kept))
    words = [
        "--file",
        f"jenkins/{event.jenkinsfile}",
        "--src",
        ".",
        "--out",
        str(out),
        "--creds",
        str(credentials),
        "--input",
        answer,
    ]
    for option, variable in (("--branch", "BRANCH_NAME"), ("--tag", "TAG_NAME"), ("--change", "CHANGE_ID")):
        if variable in event.variables:
            words += [option, event.variables[variable]]
    for name, value in event.parameters.items():
        words += ["--param", f"{name}={value}"]
    for name, value in told.items():
        words += ["--env", f"{name}={value}"]
    done = _run(project, [*shlex.split(JENKINSFILE), *words], told)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    trace = json.loads((out / "trace.json").read_text())
    file = ROOT / "jenkins" / event.jenkinsfile
    parts.ran(ROOT, file, steps.ran_in_jenkins(trace))
    named = {stage["name"] for stage in _leaves(trace) if stage["status"] not in ("SUCCESS", "SKIPPED")}
    skipped = {stage["name"] for stage in _leaves(trace) if stage["status"] == "SKIPPED"}
    return Run(_stages(project), done.returncode == 0, named, skipped, done.stdout)


def github(project: Place, event: Event, matrix: str = "", **told: str) -> Run:
    """Execute the event's workflow.

    :param matrix: KEY:VALUE, the only one of a matrix to execute.
    """
    if not shutil.which("act"):
        absent("runners", "there is no act on PATH")
    artifacts = project.state / "artifacts"
    artifacts.mkdir()
    payload = project.state / "event.json"
    payload.write_text(
        json.dumps({**event.github, "inputs": {n.lower(): v for n, v in event.parameters.items()}})
    )
    name = event.github["event_name"]
    words = [
        "act",
        name,
        "--workflows",
        f".github/workflows/{event.workflow}.yml",
        "--eventpath",
        str(payload),
    ]
    words += ["--platform", f"{IMAGE}=-self-hosted", "--no-cache-server", "--rm", "--json", "--verbose"]
    words += [f"--local-repository={uses}={ACTIONS / folder}" for uses, folder in actions(project.path)]
    words += ["--matrix", matrix] if matrix else []
    for key, value in {
        "ARTIFACTS": str(artifacts),
        "GIT_PAGER": "cat",
        "VAULT": "https://vault.example",
        **told,
    }.items():
        words += ["--env", f"{key}={value}", "--var", f"{key}={value}"]
    done = _run(project, words, told)
    called = ROOT / ".github/workflows/rollout.yml"
    own = ROOT / f".github/workflows/{event.workflow}.yml"
    jobs = yaml.safe_load(own.read_text())["jobs"]
    for where, step in steps.ran_on_github(done.stdout):
        file = own if where in jobs else ROOT / where / "action.yml" if where.startswith("./") else called
        parts.ran(ROOT, file, [step])
    records = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    failed = " ".join(
        record["step"]
        for record in records
        if record.get("stage") == "Main" and record.get("stepResult") == "failure"
    )
    skipped = {record["jobID"] for record in records if record.get("jobResult") == "skipped"}
    said = [f"{record['jobID']}: {record['msg'].rstrip()}" for record in records if record.get("raw_output")]
    named = set(re.findall(r"make (\w+)", failed))
    return Run(_stages(project), done.returncode == 0, named, skipped, "\n".join([*said, done.stderr]))


def hook(project: Project, event: Event, **told: str) -> Run:
    """Push the branch to the bare repository; what no push begins, `make pipeline` does, which the hook calls."""
    if event.name in ("main", "branch"):
        project.run("scripts/remote")
        branch = event.variables["BRANCH_NAME"]
        pushed = _run(project, ["git", "push", "local", f"HEAD:refs/heads/{branch}"], told)
        assert not pushed.returncode, pushed.stderr
        logs, output = next((project.bare / "pipeline/logs").iterdir()), pushed.stderr
    else:
        names = {"ENVIRONMENT": "ENV"}
        variables = {names.get(name, name): value for name, value in event.parameters.items()}
        done = _run(project, ["make", "pipeline", f"EVENT={event.name}"], {**variables, **told})
        logs, output = project.path / ".run/pipeline", done.stdout + done.stderr
    verdict, *named = (logs / "result").read_text().split()
    skipped = set(re.findall(r"\] (\w+) skipped:", output))
    return Run(_stages(project), verdict == "passed", set(named), skipped, output)


RUNNERS: Mapping[str, Callable[..., Run]] = {"jenkins": jenkins, "github": github, "hook": hook}


def actions(root: Path) -> list[tuple[str, str]]:
    """The actions of others that the workflows use, and the name of each."""
    text = "\n".join(file.read_text() for file in sorted((root / ".github").rglob("*.yml")))
    used = sorted(set(re.findall(r"uses: ([\w-]+/[\w-]+@\w+)", text)))
    return [(uses, uses.partition("/")[2].partition("@")[0]) for uses in used]


def _run(project: Place, words: list[str], told: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words, cwd=project.path, env={**project.environment, **told}, capture_output=True, text=True,
        timeout=30 * MINUTES, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def _stages(project: Place) -> list[str]:
    trace = project.state / "events"
    return [event.partition(" ")[0] for event in trace.read_text().splitlines()] if trace.exists() else []


def _leaves(node: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    within = node.get("stages") or []
    return [leaf for each in within for leaf in _leaves(each)] if within else [node]
