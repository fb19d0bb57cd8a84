"""What a push promises, end to end: the real stages, a real service, and what /version says at the end."""

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pipelines.pushes import remote_lines
from tests.rollout.changes import append, failing_migration, visible_text
from tests.rollout.checkout import Checkout
from tests.scripts.advisories import advisory, database
from tests.scripts.project import wait_until

pytestmark = pytest.mark.verify

NARROWED = "tests/app/test_environment.py"
MINUTES = 60


@pytest.fixture(scope="module")
def checkout() -> Iterator[Checkout]:
    """A clone whose remote `local` runs the pipeline, in a folder of any name; what it installs is there already."""
    made = Checkout(Path(tempfile.mkdtemp(prefix="a push, #1 % ü ")))
    try:
        made.environment["ADVISORIES"] = str(
            database(made.folder / "advisories", advisory(package="none-of-ours"))
        )
        made.make("remote")
        venvs = made.folder / "checkout.git/pipeline/venvs"
        venvs.mkdir(parents=True)
        locks = git(made, "rev-parse", "HEAD:requirements").stdout.strip()
        (venvs / locks[:16]).symlink_to(made.environment["VENV"])
        yield made
    finally:
        made.remove()


def git(checkout: Checkout, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run git in the checkout as its person would, who narrows the tests that a push runs."""
    environment = {name: value for name, value in checkout.environment.items() if name not in HOOKS_OWN}
    return subprocess.run(
        ["git", *arguments],
        cwd=checkout.path,
        env={**environment, "T": NARROWED},
        capture_output=True,
        text=True,
        timeout=10 * MINUTES,
    )


HOOKS_OWN = ("VENV", "ROLLOUT_ROOT", "RELEASES", "PORT", "ADVISORIES")
"""What the hook has to know by itself."""


def push(checkout: Checkout) -> list[str]:
    """Push main; what the pusher was shown."""
    pushed = git(checkout, "push", "local", "main")
    assert pushed.returncode == 0, pushed.stderr
    return remote_lines(pushed.stderr)


def revert(checkout: Checkout) -> None:
    """Take the last commit back by another."""
    name = ("-c", "user.name=Test", "-c", "user.email=test@example.org")
    reverted = git(checkout, *name, "revert", "--no-edit", "HEAD")
    assert reverted.returncode == 0, reverted.stderr


def test_a_good_commit_is_live_and_version_says_its_hash(checkout: Checkout) -> None:
    commit = checkout.commit(visible_text("pushed"))
    shown = push(checkout)
    assert shown[-1] == f"main {commit[:8]} is live", "\n".join(shown)
    assert checkout.version()["commit"] == commit


@pytest.mark.chaos
def test_a_commit_with_a_failing_test_leaves_the_old_one_and_the_pusher_sees_why(checkout: Checkout) -> None:
    live = checkout.version()
    checkout.commit(
        lambda path: append(path / NARROWED, "\n\ndef test_the_moon() -> None:\n    assert not 1\n")
    )
    shown = push(checkout)
    assert "stage test failed; run `make test`" in shown[-1], "\n".join(shown)
    assert any("test_the_moon" in line for line in shown)
    assert not any("] build" in line for line in shown)
    assert checkout.version() == live
    revert(checkout)


@pytest.mark.chaos
def test_a_commit_with_a_failing_migration_leaves_the_old_one_and_the_pusher_sees_why(
    checkout: Checkout,
) -> None:
    live = checkout.version()
    checkout.commit(failing_migration("moon"))
    shown = push(checkout)
    assert "NOT deployed" in shown[-1], "\n".join(shown)
    assert any("moon cannot be filled" in line for line in shown)
    assert checkout.version() == live
    revert(checkout)


@pytest.mark.chaos
def test_three_pushes_in_quick_succession_end_with_the_third(checkout: Checkout) -> None:
    outputs, pushes = [], []
    for text in ("one", "two", "three"):
        newest = checkout.commit(visible_text(text))
        outputs.append(checkout.folder / f"push-{text}")
        with outputs[-1].open("w") as output:
            pushes.append(
                subprocess.Popen(
                    ["git", "push", "local", "main"],
                    cwd=checkout.path,
                    env={**checkout.environment, "T": NARROWED},
                    stderr=output,
                )
            )
        wait_until(lambda: bool(remote_lines(outputs[-1].read_text())), 60)
    assert [one.wait(timeout=10 * MINUTES) for one in pushes] == [0, 0, 0]
    last = [remote_lines(output.read_text())[-1] for output in outputs]
    assert "superseded by" in last[0]
    assert "superseded by" in last[1]
    assert last[2] == f"main {newest[:8]} is live"
    assert checkout.version()["commit"] == newest
