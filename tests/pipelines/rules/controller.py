"""What holds for Jenkins' controller: what its files ask of each other is there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.pipelines.rules import jenkins

PINNED = re.compile(r"#.*|[\w-]+:[\w.-]+")
OF_GROOVY = {"name"}
"""Variables of the job scripts' own."""
NEEDS = {
    r"^jobs:|\n *- script:": "job-dsl",
    r"gitHubPluginConfig": "github",
    r"github \{": "github-branch-source",
    r"globalMatrix": "matrix-auth",
    r"basicSSHUserPrivateKey": "ssh-credentials",  # pragma: allowlist secret
    r"- file: ": "plain-credentials",
    r"mailer:": "mailer",
    r"buildTags": "basic-branch-build-strategies",
}
"""What casc.yaml says, and the plugin that understands it."""


def broken(root: Path) -> Iterator[str]:
    """A line for each rule that it breaks."""
    folder = root / "jenkins"
    text = re.sub(r"^ *#.*$", "", (folder / "casc.yaml").read_text(), flags=re.MULTILINE)
    yield from _credentials(text, [file.read_text() for file in jenkins.files(root)])
    yield from _variables(text, folder)
    yield from _plugins(text, (folder / "plugins.txt").read_text().splitlines())
    for secret in re.findall(r"(?:password|secret|privateKey|secretBytes): \"?([^\"\n}]+)", text):
        if not secret.startswith("${"):
            yield f"secret: a literal one stands in casc.yaml: {secret[:3]}..."


def _credentials(text: str, jenkinsfiles: list[str]) -> Iterator[str]:
    defined = _ids(yaml.safe_load(text)["credentials"])
    used = set(re.findall(r"credentialsId(?:\('|: )([\w-]+)|credentials\('([\w-]+)'\)", text))
    names = {name for pair in used for name in pair if name}
    for file in jenkinsfiles:
        for name in re.findall(r"credentials\([\"']([^\"']+)[\"']\)", file):
            names |= {re.sub(r"\$\{[\w.]+\}", where, name) for where in ("staging", "production")}
    yield from (f"credential: {each} is used and not defined" for each in sorted(names - defined))
    yield from (f"credential: {each} is defined and not used" for each in sorted(defined - names))


def _variables(text: str, folder: Path) -> Iterator[str]:
    compose = yaml.safe_load((folder / "compose.yml").read_text())
    given = set(re.findall(r"^(\w+)=", (folder / "example.env").read_text(), re.MULTILINE))
    given |= set(compose["services"]["controller"]["secrets"])
    asked = set(re.findall(r"\$\{(?:readFile(?:Base64)?:/run/secrets/)?(\w+)\}", text)) - OF_GROOVY
    yield from (f"variable: {each} is asked for and not given" for each in sorted(asked - given))


def _plugins(text: str, lines: list[str]) -> Iterator[str]:
    yield from (f"unpinned: plugins.txt: {line}" for line in lines if not PINNED.fullmatch(line))
    installed = {line.partition(":")[0] for line in lines}
    for said, plugin in NEEDS.items():
        if re.search(said, text) and plugin not in installed:
            yield f"plugin: {plugin} is used and not installed"


def _ids(node: Any) -> set[str]:
    """Every `id` below a node."""
    if isinstance(node, dict):
        own = {node["id"]} if "id" in node else set()
        return own.union(*map(_ids, node.values()))
    return set().union(*map(_ids, node)) if isinstance(node, list) else set()
