"""What the overlays render to passes a policy linter, and what it lets pass is still needed.

That each exception has a reason and a last day: tests/scripts/test_exceptions.py.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.parts import cluster
from tests.rollout.checkout import REPOSITORY

pytestmark = pytest.mark.verify

FINDING = re.compile(r"^(CKV\w+ \w+/[\w-]+) \(([\w, ]+)\): .+$", re.MULTILINE)
WEB = "k8s/base/service/web.yaml"
EXCEPTIONS = "infra/exceptions.yml"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """What the script reads, to be changed."""
    for name in ("k8s", "scripts", "requirements", "infra/environments"):
        shutil.copytree(REPOSITORY / name, tmp_path / name)
    shutil.copy(REPOSITORY / EXCEPTIONS, tmp_path / EXCEPTIONS)
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


def findings(said: str) -> set[str]:
    """The rules and the objects that the lines of findings name."""
    return {found[1] for found in FINDING.finditer(said)}


def test_every_overlay_is_clean() -> None:
    cluster.require()
    installed = {"VENV": f"{os.environ.get('VENV', REPOSITORY / '.venv')}-policy"}
    subprocess.run(
        [REPOSITORY / "scripts/venv", "policy"], env=os.environ | installed, check=True
    )  # it says so
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
    assert findings(done.stderr) == {
        "CKV_K8S_20 Deployment/web",
        "CKV_K8S_14 Deployment/worker",
        "CKV_K8S_43 Deployment/worker",
    }
    assert "CKV_K8S_20 Deployment/web (dev, production, staging): " in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: the policy linter found something; ")


def test_every_exception_is_needed_and_what_it_lets_pass_is_found_without_it(copy: Path) -> None:
    cluster.require()
    told = yaml.safe_load((copy / EXCEPTIONS).read_text())["policy"]
    excepted = {
        what for each in told for what in ([each["what"]] if isinstance(each["what"], str) else each["what"])
    }
    (copy / EXCEPTIONS).unlink()
    found = findings(policy(copy).stderr)
    general = {each for each in excepted if " " not in each}
    assert {each for each in found if each.split()[0] not in general} == excepted - general
    assert general <= {each.split()[0] for each in found}


def test_an_exception_that_lets_nothing_pass_or_has_ended_and_a_rule_skipped_elsewhere_are_refused(
    copy: Path,
) -> None:
    cluster.require()
    mutate(copy / EXCEPTIONS, "CKV_K8S_40 StatefulSet/cache", "CKV_K8S_40 StatefulSet/moon")
    mutate(copy / EXCEPTIONS, "- what: CKV_K8S_11\n", "- what: CKV_K8S_11\n    until: 2026-01-01\n")
    text = (copy / EXCEPTIONS).read_text()
    (copy / EXCEPTIONS).write_text(re.sub(r"(users wait.*\n)    until: .*\n", r"\1", text))
    said = policy(copy).stderr
    assert findings(said) == {"CKV_K8S_40 StatefulSet/cache"}
    assert f"{EXCEPTIONS}: policy: CKV_K8S_40 StatefulSet/moon matches nothing any more; " in said
    assert f"{EXCEPTIONS}: policy: CKV_K8S_11 ended on 2026-01-01; " in said
    skip = "metadata:\n  name: web\n  annotations: {checkov.io/skip1: CKV_K8S_35=why}\n"
    mutate(copy / WEB, "metadata:\n  name: web\n", skip)
    assert "web: an annotation skips a rule; say it in infra/exceptions.yml" in policy(copy).stderr


def test_an_overlay_that_cannot_be_rendered_is_one_line_at_the_end(copy: Path) -> None:
    cluster.require()
    mutate(copy / "k8s/overlays/dev/kustomization.yaml", "../../base/ground", "../../base/nothing")
    done = policy(copy)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "error: k8s/overlays/dev cannot be rendered; mend the manifests"


def test_a_linter_that_fails_is_no_linter_that_found_nothing(copy: Path) -> None:
    cluster.require()
    mutate(copy / "k8s/checkov.yml", "[kubernetes]", "[moon]")
    done = policy(copy)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "error: the policy linter failed; see above"


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
