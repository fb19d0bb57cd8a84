"""Jenkins and GitHub take a real commit through the real stages, up to a service that runs it."""

import hashlib
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.pipelines.graph import EVENTS, Event
from tests.pipelines.runners import Run, github, jenkins
from tests.rollout.changes import visible_text
from tests.rollout.checkout import Checkout
from tests.rollout.fleet import Fleet
from tests.scripts.advisories import advisory, database

pytestmark = pytest.mark.verify

MAIN = next(event for event in EVENTS if event.name == "main")
NARROWED = "tests/app/test_environment.py"


def staging_is_this_machine(checkout: Path) -> None:
    """Staging has the settings and the engine of dev: what the pipeline rolls out to is a person's to say."""
    for name in ("infra/environments/{}.env", "infra/inventories/{}/hosts.yml"):
        dev = (checkout / name.format("dev")).read_text()
        its = dev.replace("_environment: dev", "_environment: staging").replace("_demo: true", "_demo: false")
        (checkout / name.format("staging")).write_text(its)


class Staging(Checkout):
    """A checkout whose releases stay in the workspace that makes them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        del self.environment["RELEASES"]
        self.environment["ENV"] = "staging"
        self.state.mkdir()

    @property
    def state(self) -> Path:
        return self.folder / "state"


class Servers(Fleet):
    """The same, and what it rolls out to are hosts."""

    def __post_init__(self) -> None:
        super().__post_init__()
        del self.environment["RELEASES"]
        self.state.mkdir()
        shutil.copy(self.environment["ANSIBLE_VAULT_PASSWORD_FILE"], self.state / "vault-staging")

    @property
    def state(self) -> Path:
        return self.folder / "state"


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    made = Servers(Path(tempfile.mkdtemp(prefix="runners-")))
    with made.machines.alone():
        made.make("site", seconds=600)
        yield made
        made.remove()


@pytest.fixture
def checkout() -> Iterator[Staging]:
    made = Staging(Path(tempfile.mkdtemp(prefix="runners-")))
    yield made
    made.remove()


def digests(folder: Path) -> set[str]:
    return {hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.rglob("*.tar")}


def github_with_this_python(checkout: Staging, event: Event, **told: str) -> Run:
    """The other Pythons of the matrix may not be here."""
    return github(checkout, event, "python:{}.{}".format(*sys.version_info), **told)


def jenkins_with_git(checkout: Staging, event: Event, **told: str) -> Run:
    """A workspace of that runner has the commit's files and, other than Jenkins' own, no repository."""
    return jenkins(checkout, event, GIT_DIR=str(checkout.path / ".git"), **told)


@pytest.mark.parametrize("runner", [jenkins_with_git, github_with_this_python])
def test_a_commit_is_live_and_what_was_rolled_out_is_what_was_built(
    checkout: Staging, runner: Callable[..., Run]
) -> None:
    commit = checkout.commit(staging_is_this_machine, visible_text(f"by {runner.__name__}"))
    run = runner(
        checkout, MAIN, T=NARROWED, ADVISORIES=str(database(checkout.folder / "advisories", advisory()))
    )
    print(run.output)  # pytest shows it when something is wrong
    assert run.passed, f"failed: {run.named}"
    assert checkout.version()["commit"] == commit
    assert len(digests(checkout.state)) == 1


@pytest.mark.chaos
@pytest.mark.parametrize("runner", [jenkins_with_git, github_with_this_python])
def test_a_commit_is_live_on_hosts(servers: Servers, runner: Callable[..., Run]) -> None:
    commit = servers.commit(visible_text(f"by {runner.__name__}"))
    told = {name: servers.environment[name] for name in ("INVENTORY", "ANSIBLE_VAULT_PASSWORD_FILE")}
    advisories = database(servers.folder / f"advisories-{commit[:6]}", advisory())
    run = runner(servers, MAIN, T=NARROWED, ADVISORIES=str(advisories), VAULT="", **told)
    print(run.output)  # pytest shows it when something is wrong
    assert run.passed, f"failed: {run.named}"
    assert servers.version()["commit"] == commit
    assert set(servers.versions().values()) == {servers.version()["version"]}
