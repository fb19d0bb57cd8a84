"""The rules that pipeline files keep, and what each is worth: a file that is changed for the worse turns them red."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.pipelines import rules
from tests.scripts.project import ROOT, clean_environment

STAGES = yaml.safe_load((ROOT / "infra/pipeline.yml").read_text())["stages"]
MUTATIONS = yaml.safe_load(Path(__file__).with_name("mutations.yml").read_text())


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The files that the rules are about, to be changed."""
    for name in ("jenkins", ".github", "infra/pipeline.yml", "Makefile"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tmp_path / name)
        else:
            (tmp_path / name).parent.mkdir(exist_ok=True)
            shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def test_no_rule_is_broken() -> None:
    assert rules.broken(ROOT) == []


def test_the_drawing_in_the_docs_is_that_of_the_graph() -> None:
    drawn = subprocess.run(
        [sys.executable, ROOT / "scripts/stages.py"], capture_output=True, text=True, check=True
    ).stdout
    assert f"\n{drawn}\n" in (ROOT / "docs/pipelines.md").read_text()


@pytest.mark.parametrize("stage", STAGES)
def test_a_failed_stage_ends_in_one_line_that_says_how_to_see_the_same(tmp_path: Path, stage: str) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("check", "deploy", "lint", "play", "scan", "venv", "python"):
        file = tmp_path / ("bin" if name == "python" else "scripts") / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"#!/bin/sh\nexit {0 if name == 'venv' else 3}\n")
        file.chmod(0o755)
    for name in ("failed", "lib.sh"):
        shutil.copy(ROOT / "scripts" / name, tmp_path / "scripts")
    told = clean_environment(VENV=".", CI="true", ENV="staging", REQUIRE="postgresql", T="a b")
    done = subprocess.run(
        ["make", stage], cwd=tmp_path, env=told, capture_output=True, text=True, check=False
    )
    said, makes_own = done.stderr.splitlines()
    same = f"make {stage} ENV=staging T=a\\ b REQUIRE=postgresql"
    assert said == f"error: stage {stage} failed; to see the same: {same}"
    assert "Error 3" in makes_own


@pytest.mark.parametrize(
    ("name", "change"),
    [
        pytest.param(name, change, id=f"{Path(name).name}: {what}")
        for name, changes in MUTATIONS.items()
        for what, change in changes.items()
    ],
)
def test_a_change_for_the_worse_breaks_a_rule(copy: Path, name: str, change: list[str]) -> None:
    breaks, before, after = change
    file = copy / name
    text = file.read_text() if file.exists() else None
    assert before in text if text is not None else before is None
    file.write_text(after if text is None else text.replace(before, after, 1))
    said = rules.broken(copy)
    assert any(line.startswith(breaks) for line in said), said


def test_a_file_that_is_gone_is_missed(copy: Path) -> None:
    for file in (copy / ".github/workflows").glob("*.yml"):
        file.unlink()
        assert f"missing: {file.relative_to(copy)}" in rules.broken(copy)


@pytest.mark.parametrize("name", ["Jenkinsfile", "casc.yaml"])
def test_a_file_that_nobody_can_read_is_a_finding(copy: Path, name: str) -> None:
    file = copy / "jenkins" / name
    file.write_text(file.read_text() + "}\n")
    assert any(line.startswith("unreadable: ") for line in rules.broken(copy))
