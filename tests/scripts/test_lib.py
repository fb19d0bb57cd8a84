"""What every script has from scripts/lib.sh."""

import fcntl
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.scripts.project import ROOT, Project, clean_environment, wait_until


def bash(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a script that has sourced lib.sh."""
    return subprocess.run(
        ["bash", "-c", f". '{ROOT}/scripts/lib.sh'\n{script}"],
        env=clean_environment(**environment), text=True, capture_output=True, timeout=30,
    )  # fmt: skip


def test_the_end_of_a_script_is_one_line_on_standard_error_that_names_the_remedy() -> None:
    done = bash("die 'no disk' 'make room'; log more")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "error: no disk; make room\n")


def test_a_warning_goes_to_standard_error_and_the_script_goes_on() -> None:
    done = bash("warn careful; log more")
    assert (done.returncode, done.stdout, done.stderr) == (0, "more\n", "warning: careful\n")


@pytest.mark.parametrize("failing", ["false", "false | cat", "echo $unset"])
def test_a_script_ends_at_its_first_failure(failing: str) -> None:
    done = bash(f"{failing}; log more")
    assert done.returncode != 0
    assert done.stdout == ""


@pytest.mark.parametrize("script", ["pipeline", "failed", "remote", "scan", "policy", "post-receive"])
def test_the_header_of_a_script_is_its_help(project: Project, script: str) -> None:
    shown = project.run(f"scripts/{script}", "--help").stdout
    assert "\nusage: " in shown
    assert "lib.sh" not in shown
    assert not any(line.startswith("#") for line in shown.splitlines())


@pytest.mark.parametrize(
    ("told", "command"),
    [
        ({"ENV": "dev", "PYTHON": "python3", "T": "", "SIGNING_KEY": "/a/key"}, "make scan"),
        ({"ADVISORIES": "/a folder/all.zip"}, r"make scan ADVISORIES=/a\ folder/all.zip"),
        ({"ENV": "staging", "PYTHON": "python3.11"}, "make scan ENV=staging PYTHON=python3.11"),
        (
            {"PREVIOUS": "HEAD~1", "ROWS": "10", "VERSION": "1="},
            "make scan VERSION=1= PREVIOUS=HEAD~1 ROWS=10",
        ),
    ],
)
def test_the_command_that_does_the_same_carries_what_was_told_but_no_key(
    told: dict[str, str], command: str
) -> None:
    assert bash("again scan", **told).stdout == command


def test_a_dry_run_names_commands_instead_of_running_them(tmp_path: Path) -> None:
    command = f"run touch {tmp_path}/made"
    assert bash(command, DRY_RUN="1").stdout == f"would run: touch {tmp_path}/made\n"
    assert not (tmp_path / "made").exists()
    bash(command)
    assert (tmp_path / "made").exists()


def test_a_lock_lets_one_in_and_tells_the_others_who_that_is(tmp_path: Path) -> None:
    place, pipe = tmp_path / "place", subprocess.PIPE
    take = f". '{ROOT}/scripts/lib.sh'; lock '{place}' {{}}; echo in; read -r _"
    with subprocess.Popen(
        ["bash", "-c", take.format("first")], env=clean_environment(), stdin=pipe, stdout=pipe, text=True
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "in\n"
        with subprocess.Popen(
            ["bash", "-c", take.format("second")], env=clean_environment(), stdin=pipe, stdout=pipe, text=True
        ) as second:
            assert second.stdout is not None
            assert second.stdout.readline() == f"waiting: first holds {place}\n"
            first.send_signal(signal.SIGKILL)  # a dead holder is none
            assert second.stdout.readline() == "in\n"
            second.communicate("\n")
    assert (place / "holder").read_text() == "second\n"


def test_who_has_a_lock_and_has_not_said_so_yet_is_somebody(tmp_path: Path) -> None:
    holder = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_EX)
    take = ["bash", "-c", f". '{ROOT}/scripts/lib.sh'; lock '{tmp_path}' second"]
    with subprocess.Popen(
        take, env=clean_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as second:
        assert second.stdout is not None
        assert second.stdout.readline() == f"waiting: somebody holds {tmp_path}\n"
        os.close(holder)
        assert second.communicate()[0] == ""
    assert second.returncode == 0


def test_followed_output_is_shown_as_it_grows_and_the_status_is_the_commands(tmp_path: Path) -> None:
    log, shown = tmp_path / "log", tmp_path / "shown"
    script = f". '{ROOT}/scripts/lib.sh'; follow '  ' {log} bash -c 'echo one; read _ <{tmp_path}/go; exit 7'"
    subprocess.run(["mkfifo", tmp_path / "go"], check=True)
    with (
        shown.open("w") as output,
        subprocess.Popen(["bash", "-c", script], env=clean_environment(), stdout=output) as following,
    ):
        wait_until(lambda: shown.read_text() == "  one\n")
        assert following.poll() is None
        (tmp_path / "go").write_text("\n")
    assert following.returncode == 7
    assert log.read_text() == "one\n"
