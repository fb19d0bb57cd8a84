"""What scripts/pipeline promises, tried on stages that only leave a trace."""

import os
import re
import signal
import subprocess

import pytest

from tests.scripts.project import Project, wait_until

CHECKS = ["lint", "test", "build", "scan", "migrations"]
UNTIL = "! test -e $ROLLOUT_ROOT/environment.{}"  # a question answered with yes until this stage has run


def stages(project: Project) -> list[str]:
    return [event.split()[0] for event in project.events]


def test_the_stages_run_in_order_and_nothing_is_rolled_out_unasked(project: Project) -> None:
    shown = project.run("make", "pipeline").stdout
    assert stages(project) == CHECKS
    assert re.search(r"\[1/5\] lint\n    output of lint\n\[1/5\] lint passed in \d s\n\[2/5\] test\n", shown)
    assert shown.splitlines()[-1].startswith("pipeline passed in ")


def test_deploy_and_smoke_run_last_when_asked_for(project: Project) -> None:
    project.run("scripts/pipeline", "--deploy")
    project.run("make", "pipeline", "DEPLOY=1")
    assert stages(project) == [*CHECKS, "deploy", "smoke"] * 2


def test_zero_is_no_and_what_is_neither_yes_nor_no_is_refused(project: Project) -> None:
    refused = project.run("scripts/pipeline", status=1, DEPLOY="yes")
    assert refused.stderr == "error: DEPLOY=yes cannot be followed; give a whole number from 0 to 1\n"
    assert stages(project) == []
    project.run("scripts/pipeline", DEPLOY="0")
    assert stages(project) == CHECKS


def test_nothing_runs_after_a_failing_stage_and_the_last_line_says_what_to_run(project: Project) -> None:
    project.write({"fails": "test"})
    failed = project.run("scripts/pipeline", "--deploy", status=1)
    assert stages(project) == ["lint", "test"]
    assert "    broken: first\n" in failed.stdout
    assert failed.stdout.splitlines()[-1].startswith("[2/7] test FAILED after ")
    assert failed.stderr == "error: stage test failed; run `make test`\n"
    assert (project.path / ".run/pipeline/result").read_text() == "failed test\n"


def test_each_stage_leaves_its_whole_output_in_a_file(project: Project) -> None:
    logs = project.path.parent / "logs"
    project.run("scripts/pipeline", "--logs", str(logs))
    assert {file.stem: file.read_text() for file in logs.glob("*.log")} == {
        stage: f"output of {stage}\n" for stage in CHECKS
    }
    assert (logs / "result").read_text() == "passed\n"


def test_a_superseded_run_stops_before_its_next_stage(project: Project) -> None:
    stopped = project.run("scripts/pipeline", "--still-wanted", UNTIL.format("test"), status=1)
    assert stages(project) == ["lint", "test"]
    assert stopped.stderr == "error: superseded before stage build; a newer commit carries on\n"
    assert (project.path / ".run/pipeline/result").read_text() == "superseded build\n"


def test_what_is_live_is_smoked_though_superseded(project: Project) -> None:
    project.run("scripts/pipeline", "--deploy", "--still-wanted", UNTIL.format("deploy"))
    assert stages(project)[-1] == "smoke"


def test_a_dry_run_runs_nothing_and_names_the_stages(project: Project) -> None:
    shown = project.run("scripts/pipeline", "--dry-run", "--deploy").stdout
    assert "make lint make test make build make scan make migrations make deploy make smoke" in shown
    assert not project.events
    assert not (project.path / ".run").exists()


def test_a_stage_does_not_inherit_what_its_pipeline_was_told(project: Project) -> None:
    project.run(
        "make", "pipeline", "DEPLOY=1", "STILL_WANTED=true", f"PIPELINE_LOGS={project.state}/logs", "T=x"
    )
    environment = (project.state / "environment.lint").read_text()
    for name in ("DEPLOY", "STILL_WANTED", "PIPELINE_LOGS"):
        assert name not in environment
    assert "\nT=x\n" in environment


def test_a_daemon_that_a_stage_leaves_behind_does_not_keep_the_pipeline_waiting(project: Project) -> None:
    project.write({"daemon": "deploy"})
    project.run("scripts/pipeline", "--deploy")
    os.kill(int((project.state / "daemon").read_text()), signal.SIGKILL)


def test_ending_a_pipeline_ends_its_stage(project: Project) -> None:
    os.mkfifo(project.state / "pipe")
    project.write({"gate": "test"})
    command = ["scripts/pipeline", "--deploy"]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=project.path, env=project.environment, stdout=pipe, text=True
    ) as pipeline:
        wait_until(lambda: "test first" in project.events)
        pipeline.terminate()
        shown, _ = pipeline.communicate(timeout=20)
    assert pipeline.returncode == 128 + signal.SIGTERM
    assert "build" not in shown
    assert stages(project) == ["lint", "test"]
    with pytest.raises(OSError, match="No such device"):  # nobody reads it any more
        os.open(project.state / "pipe", os.O_WRONLY | os.O_NONBLOCK)


def test_arguments_that_nobody_knows_are_refused_with_the_way_to_help(project: Project) -> None:
    for argument in ("--wrong", "wrong"):
        refused = project.run("scripts/pipeline", argument, status=1)
        assert argument in refused.stderr
        assert "see " in refused.stderr
        assert "--help" in refused.stderr
    assert not project.events
