"""What holds for Jenkins' controller: what its files ask of each other is there, and nothing that none asks for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.pipelines.graph import loaded

PINNED = re.compile(r"#.*|[\w-]+:\d[\w.-]*")
OF_GROOVY = {"name"}
"""Variables of the job scripts' own."""
OF_JENKINS = {"TAG_NAME"}
"""Variables that Jenkins itself sets."""
PLUGINS = {
    "basic-branch-build-strategies": r"buildTags",
    "branch-api": r"buildStrategies",
    "configuration-as-code": r"^jenkins:",
    "credentials": r"^credentials:",
    "credentials-binding": r" = credentials\(",
    "git": r"\bgit \{",
    "github": r"gitHubPluginConfig",
    "github-branch-source": r"\bgithub \{",
    "job-dsl": r"^jobs:",
    "junit": r"\bjunit '",
    "lockable-resources": r"\block\(",
    "mailer": r"^  mailer:",
    "matrix-auth": r"globalMatrix:",
    "pipeline-input-step": r"\binput \{",
    "pipeline-milestone-step": r"\bmilestone\(",
    "pipeline-model-definition": r"^pipeline \{",
    "plain-credentials": r"- file: ",
    "ssh-credentials": r"basicSSHUserPrivateKey:",  # pragma: allowlist secret
    "workflow-aggregator": r"\bsh '",
    "workflow-multibranch": r"multibranchPipelineJob\(",
}
"""Each plugin, and what only it understands."""


def broken(root: Path) -> Iterator[str]:
    """A line for each rule that it breaks."""
    folder = root / "jenkins"
    casc = re.sub(r"^ *#.*$", "", (folder / "casc.yaml").read_text(), flags=re.MULTILINE)
    jenkinsfiles = [file.read_text() for file in sorted(folder.glob("*enkinsfile"))]
    yield from _credentials(casc, jenkinsfiles)
    yield from _variables(casc, "".join(jenkinsfiles), folder)
    yield from _plugins("\n".join([casc, *jenkinsfiles]), (folder / "plugins.txt").read_text().splitlines())
    for secret in re.findall(r"(?:password|secret|privateKey|secretBytes): \"?([^\"\n}]+)", casc):
        if not secret.startswith("${"):
            yield f"secret: a literal one stands in casc.yaml: {secret[:3]}..."


def _credentials(casc: str, jenkinsfiles: list[str]) -> Iterator[str]:
    defined = _ids(yaml.safe_load(casc)["credentials"])
    used = re.findall(r"credentialsId(?:\('|: )([\w-]+)|credentials\('([\w-]+)'\)", casc)
    names = {name for pair in used for name in pair if name}
    for file in jenkinsfiles:
        for name in re.findall(r"credentials\([\"']([^\"']+)[\"']\)", file):
            names |= {re.sub(r"\$\{[\w.]+\}", where, name) for where in ("staging", "production")}
    yield from _pair("credential", names, defined)


def _variables(casc: str, jenkinsfiles: str, folder: Path) -> Iterator[str]:
    """The environment and the secrets of the container, and what the controller sets for its jobs."""
    compose = loaded(folder / "compose.yml")
    given = set(re.findall(r"^(\w+)=", (folder / "example.env").read_text(), re.MULTILINE))
    given |= set(compose["services"]["controller"]["secrets"])
    asked = set(re.findall(r"\$\{(?:readFile(?:Base64)?:/run/secrets/)?(\w+)\}", casc)) - OF_GROOVY
    yield from _pair("variable", asked, given)
    of_jobs = set(re.findall(r"\{key: (\w+), value: ", casc))
    asked = set(re.findall(r"\benv\.(\w+)\b(?! \?:)", jenkinsfiles)) - OF_JENKINS
    yield from _pair("variable of the jobs", asked, of_jobs)
    for name, secret in compose["secrets"].items():
        if secret != {"file": f"secrets/{name}"}:
            yield f"secret: {name} is not the file of its name"


def _pair(what: str, asked: set[str], given: set[str]) -> Iterator[str]:
    yield from (f"{what}: {each} is asked for and not given" for each in sorted(asked - given))
    yield from (f"{what}: {each} is given and not asked for" for each in sorted(given - asked))


def _plugins(text: str, lines: list[str]) -> Iterator[str]:
    yield from (f"unpinned: plugins.txt: {line}" for line in lines if not PINNED.fullmatch(line))
    installed = {line.partition(":")[0] for line in lines if not line.startswith("#")}
    used = {plugin for plugin, said in PLUGINS.items() if re.search(said, text, re.MULTILINE)}
    yield from _pair("plugin", used, installed)


def _ids(node: Any) -> set[str]:
    """Every `id` below a node."""
    if isinstance(node, dict):
        own = {node["id"]} if "id" in node else set()
        return own.union(*map(_ids, node.values()))
    return set().union(*map(_ids, node)) if isinstance(node, list) else set()
