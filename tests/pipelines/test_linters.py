"""The workflows as their own linters see them; `make lint` has zizmor, these are not on PyPI."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.parts import absent
from tests.scripts.project import ROOT

pytestmark = pytest.mark.verify

WORKFLOWS = ROOT / ".github/workflows"


def linted(*files: Path) -> subprocess.CompletedProcess[str]:
    """What actionlint, and shellcheck through it, say of workflows."""
    for tool in ("actionlint", "shellcheck"):  # without the second it would be silently less
        if not shutil.which(tool):
            absent("runners", f"there is no {tool} on PATH")
    return subprocess.run(["actionlint", *files], cwd=ROOT, capture_output=True, text=True, check=False)


def test_actionlint_finds_nothing() -> None:
    done = linted(*sorted(WORKFLOWS.glob("*.yml")))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ('run: make "$STAGE"', "run: make $STAGE", "SC2086"),
        ("inputs.version", "inputs.verson", 'property "verson" is not defined'),
        ("permissions: {contents: read", "permissions: {content: read", 'unknown permission scope "content"'),
    ],
)
def test_actionlint_and_shellcheck_find_what_is_wrong(
    tmp_path: Path, before: str, after: str, words: str
) -> None:
    text = (WORKFLOWS / "rollout.yml").read_text()
    assert before in text
    changed = tmp_path / "rollout.yml"
    changed.write_text(text.replace(before, after))
    assert words in linted(changed).stdout


def test_what_executes_them_finds_no_word_that_it_does_not_know() -> None:
    if not shutil.which("act"):
        absent("runners", "there is no act on PATH")
    for file in sorted(WORKFLOWS.glob("*.yml")):
        done = subprocess.run(
            ["act", "--strict", "--validate", "--workflows", file],
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
