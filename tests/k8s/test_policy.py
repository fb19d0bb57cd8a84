"""What the overlays render to passes a policy linter, and what it lets pass has a reason and is still needed."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.parts import cluster
from tests.rollout.checkout import REPOSITORY

pytestmark = pytest.mark.verify

FINDING = re.compile(r"^Check: (CKV\w+): .*\n\tFAILED for resource: (\w+)\.[\w-]+\.([\w-]+)$", re.MULTILINE)
GENERAL = re.compile(r"(?:^  # (?P<reason>.+)\n)?^  - (?P<check>CKV\w+)$", re.MULTILINE)
SKIP = "checkov.io/skip"
WEB = "k8s/base/service/web.yaml"
Finding = tuple[str, str, str]
"""A check, and the kind and the name of the object."""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """What the script reads, to be changed."""
    for name in ("k8s", "scripts", "requirements", "infra/environments"):
        shutil.copytree(REPOSITORY / name, tmp_path / name)
    return tmp_path


def policy(checkout: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    told = {"VENV": str(REPOSITORY / ".venv")} | os.environ | environment
    return subprocess.run(
        [checkout / "scripts/policy", *arguments],
        env=told,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def mutate(file: Path, before: str, after: str) -> None:
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after, 1))


def findings(said: str) -> set[Finding]:
    return {(check, kind, name) for check, kind, name in FINDING.findall(said)}


def annotated() -> Iterator[tuple[Finding, str]]:
    """What is let pass of one object, and the reason."""
    for file in sorted(REPOSITORY.glob("k8s/**/*.yaml")):
        things: list[dict[str, Any]] = [each for each in yaml.safe_load_all(file.read_text()) if each]
        for thing in things:
            for key, value in (thing.get("metadata", {}).get("annotations") or {}).items():
                if key.startswith(SKIP):
                    check, _, reason = value.partition("=")
                    yield (check, thing["kind"], thing["metadata"]["name"]), reason


def general() -> dict[str, str]:
    """The checks that are let pass anywhere, each with the comment above it."""
    text = (REPOSITORY / "k8s/checkov.yml").read_text()
    return {found["check"]: found["reason"] or "" for found in GENERAL.finditer(text)}


def test_every_overlay_is_clean() -> None:
    cluster.require()
    installed = {"VENV": f"{os.environ.get('VENV', REPOSITORY / '.venv')}-policy"}
    subprocess.run([REPOSITORY / "scripts/venv", "policy"], env=os.environ | installed, check=True)  # it says so
    done = policy(REPOSITORY)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    overlays = sorted(folder.name for folder in (REPOSITORY / "k8s/overlays").iterdir())
    told = [re.fullmatch(r"(\w+): (\d+) objects, ok", line) for line in done.stdout.splitlines()]
    assert [match and match[1] for match in told] == overlays
    assert all(match and int(match[2]) > 20 for match in told)


def test_a_container_that_may_become_root_and_an_image_by_a_mutable_name_are_found(copy: Path) -> None:
    cluster.require()
    mutate(copy / WEB, "allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true")
    mutate(copy / "k8s/base/service/worker.yaml", "image: release", "image: released")
    done = policy(copy)
    assert done.returncode == 1
    assert findings(done.stdout) == {
        ("CKV_K8S_20", "Deployment", "web"),
        ("CKV_K8S_14", "Deployment", "worker"),
        ("CKV_K8S_43", "Deployment", "worker"),
    }
    assert done.stderr.startswith("error: the policy linter found something; ")
    assert done.stderr.count("\n") == 1


def test_every_exception_is_still_needed(copy: Path) -> None:
    """Without them the linter finds just what they name."""
    cluster.require()
    for file in copy.glob("k8s/base/**/*.yaml"):
        file.write_text(file.read_text().replace(SKIP, "checkov.io/no-skip"))
    config = copy / "k8s/checkov.yml"
    told = yaml.safe_load(config.read_text())
    assert set(told.pop("skip-check")) == general().keys()
    config.write_text(yaml.safe_dump(told))
    done = policy(copy)
    assert done.returncode == 1
    found = findings(done.stdout)
    assert general().keys() - {check for check, _, _ in found} == set()
    assert {each for each in found if each[0] not in general()} == {each for each, _ in annotated()}


def test_every_exception_has_its_reason() -> None:
    reasons = [*general().items(), *annotated()]
    assert len(reasons) > 1
    assert [what for what, reason in reasons if len(reason.split()) < 5] == []


def test_an_overlay_that_cannot_be_rendered_is_one_line_at_the_end(copy: Path) -> None:
    cluster.require()
    mutate(copy / "k8s/overlays/dev/kustomization.yaml", "../../base/ground", "../../base/nothing")
    done = policy(copy)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "error: k8s/overlays/dev cannot be rendered; mend the manifests"


def test_a_machine_without_kubectl_is_told_the_remedy(tmp_path: Path) -> None:
    for name in ("bash", "dirname", "realpath", "sha256sum"):  # the last two record what is executed
        (tmp_path / name).symlink_to(shutil.which(name) or "")
    done = policy(REPOSITORY, PATH=str(tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith(
        "error: kubectl is not installed; install it: https://kubernetes.io/docs/tasks/tools\n"
    )


def test_what_it_does_not_know_is_refused() -> None:
    done = policy(REPOSITORY, "dev")
    assert (done.returncode, done.stderr) == (1, "error: unknown argument dev; see scripts/policy --help\n")
