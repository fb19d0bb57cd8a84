"""The release before this commit: which one it is, its files, and programs to run it and its tests with."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml
from release import CHECKOUT, git

from rollout import bundle, service
from rollout.errors import RolloutError
from rollout.files import read_env, read_json, sha256
from rollout.place import Place

TOOLS = "requirements/dev.txt"
MAIN = {"origin/main": "refs/remotes/origin/main", "main": "refs/heads/main"}
"""What every change goes to, by what a clone may call it."""


@dataclass(frozen=True)
class Previous:
    """A commit, what people call it, and why it was taken."""

    commit: str
    name: str
    why: str


@dataclass(frozen=True)
class Tree:
    """The files of a commit, and where the programs of its own lock are."""

    path: Path
    facts: service.Service
    programs: Path

    @property
    def app(self) -> Path:
        return self.path / self.facts.app

    def told(self, scratch: Path) -> dict[str, str]:
        """What a command of the service's is told here."""
        settings = read_env(self.path / bundle.BUILD_SETTINGS)
        return bundle.unserved(self.facts, settings, self.programs, scratch)


def choose(place: Place, environment: str, store: Path, name: str) -> Previous | None:
    """The one that PREVIOUS names, else the running one, the newest kept one, the newest tag, or what main was before.

    None: no commit before this one has the service.

    :param name: the service's, by which the store names bundles.
    """
    if named := os.environ.get("PREVIOUS"):
        return Previous(_commit(named), named, "named by PREVIOUS")
    if running := (place.current or {}).get("version"):
        commit = read_json(place.release(running) / bundle.MANIFEST)["commit"]
        return Previous(_commit(commit), running, f"runs in {environment}")
    older = {commit[:12]: commit for commit in git("rev-list", "--skip=1", "HEAD").split()}
    for version in reversed(bundle.stored(store, name)):
        if commit := older.get(version.split("-", 2)[-1]):
            return Previous(commit, version, "the newest that is kept")
    tags = git("tag", "--merged", "HEAD", "--no-contains", "HEAD", "--sort=-creatordate").split()
    if tags:
        return Previous(_commit(tags[0]), tags[0], "the newest tag")
    return next((each for each in _before() if _has(each.commit, name)), None)


def _before() -> Iterator[Previous]:
    """Where this commit left main; where it is of main, the one before it."""
    head, *parents = git("rev-list", "--parents", "--max-count=1", "HEAD").split()
    for branch, ref in MAIN.items():
        base = git("for-each-ref", ref) and git("merge-base", ref, "HEAD").strip()
        if base and base != head:
            yield Previous(base, base[:12], f"where this left {branch}")
    if not parents and git("rev-parse", "--is-shallow-repository").strip() == "true":
        raise RolloutError("the clone is shallow and has no earlier commit", "run `git fetch --unshallow`")
    yield from (Previous(each, each[:12], "the commit before this one") for each in parents[:1])


def _has(commit: str, name: str) -> bool:
    """Whether a commit is one of the service: a repository may have held another one, or none yet."""
    if not git("ls-tree", "--name-only", commit, service.FILE):
        return False
    told = yaml.safe_load(git("show", f"{commit}:{service.FILE}"))
    return isinstance(told, dict) and told.get("name") == name


def _commit(name: str) -> str:
    try:
        return git("rev-parse", "--verify", f"{name}^{{commit}}").strip()
    except RolloutError as error:
        raise RolloutError(
            f"git does not know {name}, the previous release",
            "fetch all of the history, or name another: PREVIOUS=",
        ) from error


def tree(previous: Previous, work: Path, now: Tree) -> Tree:
    """Its files below `work`. What `now` has installed is taken where both have the same lock."""
    path = work / "previous"
    path.mkdir()
    archive = f"{path}.tar"
    git("archive", "--output", archive, previous.commit)
    bundle.run(["tar", "--extract", "--file", archive, "--directory", str(path)])
    (path / ".cache").symlink_to(CHECKOUT / ".cache")  # the wheels that are there already
    facts = service.load(path / service.FILE)
    same = sha256(path / facts.requirements) == sha256(now.path / now.facts.requirements)
    return Tree(path, facts, now.programs if same else programs(path, facts, work / "its"))


def programs(path: Path, facts: service.Service, work: Path) -> Path:
    """The programs of the service's own lock: the environment of the tools has other packages."""
    work.mkdir()
    shutil.copy(path / facts.requirements, work / "requirements.txt")
    bundle.download_wheels(path, facts, work / "wheels")
    bundle.install(work, {"version": "of this checkout", "pythons": list(facts.pythons)})
    return work / "venv/bin"


def tools(path: Path) -> Path:
    """The programs that test a commit: those of this checkout where both lock the same, else some of its own."""
    lock = sha256(path / TOOLS)
    if lock == sha256(CHECKOUT / TOOLS):
        return Path(sys.prefix) / "bin"
    venv = CHECKOUT / f".cache/tools-{lock[:16]}"
    bundle.run([str(path / "scripts/venv"), "dev"], cwd=path, env=os.environ | {"VENV": str(venv)})
    return venv / "bin"
