"""What scripts/scan finds in a tiny project, and what it leaves alone."""

import shutil
import sys
from pathlib import Path

import pytest

from tests.scripts.project import Project

GOOD = "a==1 \\\n    --hash=sha256:0 \\\n    --hash=sha256:1\n    # via b\nb==2 --hash=sha256:2\n"


@pytest.fixture
def scanned(project: Project) -> Project:
    """A project in which nothing is to be found; its release.py says what the file `bundles` says."""
    project.environment["VENV"] = str(Path(sys.executable).parent.parent)
    tool = Path(sys.executable).with_name("detect-secrets")
    project.write(
        {
            "requirements/dev.txt": GOOD,
            "infra/service.yml": "requirements: locks/own.txt\n",
            "locks/own.txt": GOOD,
            "bundles": "",
            "scripts/release.py": "import sys; sys.exit(open('bundles').read() or 0)\n",
        }
    )
    for script in project.path.glob("scripts/*"):
        if script.name not in ("scan", "lib.sh", "release.py"):
            shutil.rmtree(script) if script.is_dir() else script.unlink()
    project.commit("all good")
    project.write({".secrets.baseline": project.run(str(tool), "scan").stdout})
    return project


def test_a_clean_checkout_passes_and_each_check_is_a_line(scanned: Project) -> None:
    assert scanned.run("scripts/scan").stdout == "secrets: ok\nlocks: ok\nbundle: ok\n"


def test_a_secret_in_a_tracked_file_is_found_and_the_remedy_named(scanned: Project) -> None:
    scanned.commit("leak", **{"settings.py": 'aws = "AKIA' + "Z7QK2M4XW9BD1FGH" + '"\n'})
    found = scanned.run("scripts/scan", status=1)
    assert "settings.py:1" in found.stderr
    assert (
        "warning: secrets: failed; take it out and change it, or review it into .secrets.baseline"
        in found.stderr
    )
    assert found.stderr.splitlines()[-1] == "error: scan found something: secrets; see above"
    assert found.stdout == "locks: ok\nbundle: ok\n"


def test_a_reviewed_secret_that_moved_to_another_line_passes_and_the_baseline_stays(scanned: Project) -> None:
    secret = 'aws = "AKIA' + "Z7QK2M4XW9BD1FGH" + '"\n'
    scanned.commit("reviewed", **{"settings.py": secret})
    tool = Path(sys.executable).with_name("detect-secrets")
    baseline = scanned.run(str(tool), "scan").stdout
    scanned.commit("moved", **{"settings.py": "\n" + secret, ".secrets.baseline": baseline})
    assert "secrets: ok" in scanned.run("scripts/scan").stdout
    assert (scanned.path / ".secrets.baseline").read_text() == baseline


@pytest.mark.parametrize(
    ("lock", "why"),
    [
        ("c==3\n", "no hash: c==3"),
        ("c==3 \\\n    --no-binary c\n", "no hash: c==3"),
        ("#    pip compile --index-url https://mirror.test\n", "address: #"),
        ("--find-links mirror --hash=sha256:0\n", "address: --find-links"),
        ("--extra-index-url mirror --hash=sha256:0\n", "address: --extra-index-url"),
        ("c @ https://mirror.test/c.whl --hash=sha256:0\n", "address: c @"),
    ],
)
@pytest.mark.parametrize("file", ["requirements/dev.txt", "locks/own.txt"])
def test_a_lock_without_a_hash_or_with_an_address_is_found(
    scanned: Project, file: str, lock: str, why: str
) -> None:
    scanned.write({file: GOOD + lock})
    found = scanned.run("scripts/scan", status=1)
    assert why in found.stderr
    assert "scan found something: locks;" in found.stderr


def test_a_comment_may_say_that_no_address_was_written(scanned: Project) -> None:
    scanned.write({"locks/own.txt": f"#    uv pip compile --no-emit-index-url own.in\n{GOOD}"})
    assert "locks: ok" in scanned.run("scripts/scan").stdout


@pytest.mark.parametrize("gone", ["locks/own.txt", "infra/service.yml"])
def test_a_lock_that_is_not_there_does_not_pass(scanned: Project, gone: str) -> None:
    (scanned.path / gone).unlink()
    found = scanned.run("scripts/scan", status=1)
    assert gone in found.stderr
    assert "locks: failed" in found.stderr


def test_a_bundle_that_changed_is_found(scanned: Project) -> None:
    scanned.write({"bundles": "one byte is wrong"})
    found = scanned.run("scripts/scan", status=1)
    assert "one byte is wrong" in found.stderr
    assert "bundle: failed; build it again: make build" in found.stderr


def test_without_a_baseline_nothing_passes(scanned: Project) -> None:
    (scanned.path / ".secrets.baseline").unlink()
    assert "secrets: failed" in scanned.run("scripts/scan", status=1).stderr


def test_an_argument_that_nobody_knows_is_refused(scanned: Project) -> None:
    refused = scanned.run("scripts/scan", "everything", status=1).stderr
    assert refused == "error: unknown argument everything; see scripts/scan --help\n"
