"""What scripts/scan finds in a tiny project, and what it leaves alone.

What some of its checks find, one by one: test_leaks, test_advisories, test_exceptions.
"""

import json
import shutil
import sys
from pathlib import Path

import pytest

from tests.scripts.advisories import advisory, database
from tests.scripts.project import ROOT, Project
from tests.scripts.test_leaks import BASELINE, SECRET

GOOD = "a==1 \\\n    --hash=sha256:0 \\\n    --hash=sha256:1\n    # via b\nb==2 --hash=sha256:2\n"
CHECKS = ("secrets", "history", "locks", "advisories", "bundle", "sbom", "exceptions")
READ = ("scan", "lib.sh", "release.py", "leaks.py", "exceptions.py", "advisories.py")


@pytest.fixture
def scanned(project: Project) -> Project:
    """A project in which nothing is to be found; its release.py says what the file `verify` or `sbom` says."""
    shutil.rmtree(project.path / ".github")  # has a pragma
    project.environment["VENV"] = str(Path(sys.executable).parent.parent)
    project.environment["ADVISORIES"] = str(database(project.state / "advisories", advisory()))
    pins = "playbooks/plugins/module_utils/rollout/pins.py"
    project.write(
        {
            ".secrets.baseline": json.dumps(BASELINE | {"results": {}}),
            "requirements/dev.txt": GOOD,
            "infra/service.yml": "requirements: locks/own.txt\n",
            "locks/own.txt": GOOD,
            "verify": "",
            "sbom": "",
            "scripts/release.py": "import sys; sys.exit(open(sys.argv[1]).read() or 0)\n",
            pins: (ROOT / pins).read_text(),
            ".gitignore": ".run/\n__pycache__/\n",
        }
    )
    for script in project.path.glob("scripts/*"):
        if script.name not in READ:
            shutil.rmtree(script) if script.is_dir() else script.unlink()
    project.commit("all good")
    return project


def refused(scanned: Project, *checks: str) -> list[str]:
    """The lines of the only checks that fail; the others have said that they are well."""
    found = scanned.run("scripts/scan", status=1)
    assert found.stdout.split() == [
        word for each in CHECKS if each not in checks for word in (f"{each}:", "ok")
    ]
    assert found.stderr.splitlines()[-1] == f"error: scan found something: {', '.join(checks)}; see above"
    lines = [line for line in found.stderr.splitlines()[:-1] if not line.startswith("warning: ")]
    assert all(line.startswith(tuple(f"{each}: " for each in checks)) for line in lines)
    return lines


def test_a_clean_checkout_passes_and_each_check_is_a_line(scanned: Project) -> None:
    assert scanned.run("scripts/scan").stdout == "".join(f"{each}: ok\n" for each in CHECKS)


def test_a_secret_in_a_tracked_file_is_found_and_the_remedy_named(scanned: Project) -> None:
    scanned.commit("leak", **{"settings.py": SECRET})
    remedy = "take it out and change it, or review it into .secrets.baseline"
    assert refused(scanned, "secrets") == [f"secrets: settings.py:1 AWS Access Key; {remedy}"]
    assert f"warning: secrets: failed; {remedy}" in scanned.run("scripts/scan", status=1).stderr


def test_what_is_wrong_with_several_checks_is_told_of_each(scanned: Project) -> None:
    leaked = scanned.commit("leak", **{"settings.py": SECRET})
    scanned.commit("sorry", **{"settings.py": ""})
    scanned.write({"infra/exceptions.yml": "policy: [{what: CKV_1, until: 2026-01-01}]\n"})
    scanned.environment["ADVISORIES"] = ""
    lines = refused(scanned, "history", "advisories", "exceptions")
    assert lines[0].startswith(f"history: {leaked[:12]} settings.py: AWS Access Key; ")
    assert lines[1].startswith("advisories: no advisory database is given (ADVISORIES); ")
    assert [line.partition(";")[0] for line in lines[2:]] == [
        "exceptions: infra/exceptions.yml: policy: CKV_1 has no reason",
        "exceptions: infra/exceptions.yml: policy: CKV_1 ended on 2026-01-01",
    ]


def test_a_vulnerable_version_in_any_lock_is_refused(scanned: Project) -> None:
    database(scanned.state / "advisories", advisory(package="a"))
    assert refused(scanned, "advisories") == [
        "advisories: a 1 in locks/own.txt, requirements/dev.txt: GHSA-1; take 2 or later: make lock UPGRADE=1"
    ]


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
    assert "scan found something: locks" in found.stderr


def test_a_comment_may_say_that_no_address_was_written(scanned: Project) -> None:
    scanned.write({"locks/own.txt": f"#    uv pip compile --no-emit-index-url own.in\n{GOOD}"})
    assert "locks: ok" in scanned.run("scripts/scan").stdout


@pytest.mark.parametrize("gone", ["locks/own.txt", "infra/service.yml"])
def test_a_lock_that_is_not_there_does_not_pass(scanned: Project, gone: str) -> None:
    (scanned.path / gone).unlink()
    found = scanned.run("scripts/scan", status=1)
    assert gone in found.stderr
    assert "locks: failed" in found.stderr


@pytest.mark.parametrize(
    ("act", "check", "remedy"),
    [("verify", "bundle", "build it again: make build"), ("sbom", "sbom", "make it again: make image")],
)
def test_a_bundle_or_a_list_of_packages_that_changed_is_found(
    scanned: Project, act: str, check: str, remedy: str
) -> None:
    scanned.write({act: "one byte is wrong"})
    assert refused(scanned, check) == [f"{check}: one byte is wrong"]
    assert f"warning: {check}: failed; {remedy}" in scanned.run("scripts/scan", status=1).stderr


def test_an_argument_that_nobody_knows_is_refused(scanned: Project) -> None:
    refused = scanned.run("scripts/scan", "everything", status=1).stderr
    assert refused == "error: unknown argument everything; see scripts/scan --help\n"
