"""What scripts/pipeline promises, tried on stages that only leave a trace."""

import os
import re
import signal
import subprocess

import pytest

from tests.scripts.project import Project, wait_until

CHECKS = ["lint", "test", "build", "scan", "migrations"]
UNTIL = "! test -e $ROLLOUT_ROOT/environment.{}"  # a question answered with yes until this stage has run


@pytest.fixture(autouse=True)
def python(project: Project) -> None:
    project.lend_python()


def stages(project: Project) -> list[str]:
    return [event.split()[0] for event in project.events]


def test_the_stages_run_in_order_and_nothing_is_rolled_out_unasked(project: Project) -> None:
    shown = project.run("make", "pipeline").stdout
    assert stages(project) == CHECKS
    assert re.search(r"\[1/5\] lint\n    output of lint\n\[1/5\] lint passed in \d s\n\[2/5\] test\n", shown)
    assert shown.splitlines()[-1].startswith("pipeline passed in ")


def test_deploy_and_smoke_run_last_when_asked_for(project: Project) -> None:
    project.run("scripts/pipeline", "main")
    project.run("make", "pipeline", "EVENT=main")
    assert stages(project) == [*CHECKS, "deploy", "smoke"] * 2


def test_an_event_that_nobody_knows_is_refused_with_those_that_there_are(project: Project) -> None:
    refused = project.run("make", "pipeline", "EVENT=moon", status=2)
    assert "error: there is no event moon; choose one: branch, request, main, " in refused.stderr
    assert not project.events


@pytest.mark.parametrize(
    ("graph", "words"),
    [
        ("stages: {a: {needs: []}}\nevents: {main: [b]}", "there is no stage b"),
        ("stages: {a: {needs: [b]}}\nevents: {main: [a]}", "there is no stage b"),
        (
            "stages: {a: {needs: [b]}, b: {needs: []}}\nevents: {main: [a, b]}",
            "main: a needs b, which stands after it",
        ),
        ("stages: {a: {needs: [a]}}\nevents: {main: [a]}", "main: a needs a, which stands after it"),
    ],
)
def test_a_graph_that_cannot_run_is_refused(project: Project, graph: str, words: str) -> None:
    project.write({"infra/pipeline.yml": graph})
    refused = project.run("scripts/pipeline", "main", status=1)
    assert refused.stderr == f"error: {words}; mend pipeline.yml\n"


def test_nothing_that_needs_it_runs_after_a_failing_stage_and_the_last_line_says_what_to_run(
    project: Project,
) -> None:
    project.write({"fails": "test"})
    failed = project.run("scripts/pipeline", "main", status=1, REQUIRE="postgresql")
    assert stages(project) == ["lint", "test", "build"]
    assert "    broken: first\n" in failed.stdout
    assert "[2/7] test FAILED after " in failed.stdout
    assert failed.stdout.splitlines()[-1] == "[7/7] smoke skipped: deploy has not passed"
    assert failed.stderr == "error: stage test failed; run `make test REQUIRE=postgresql`\n"
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
    project.run("scripts/pipeline", "main", "--still-wanted", UNTIL.format("deploy"))
    assert stages(project)[-1] == "smoke"


def test_a_dry_run_runs_nothing_and_names_the_stages(project: Project) -> None:
    shown = project.run("scripts/pipeline", "--dry-run", "main").stdout
    assert "make lint make test make build make scan make migrations make deploy make smoke" in shown
    assert not project.events
    assert not (project.path / ".run").exists()


def test_a_stage_does_not_inherit_what_its_pipeline_was_told(project: Project) -> None:
    project.run(
        "make", "pipeline", "EVENT=main", "STILL_WANTED=true", f"PIPELINE_LOGS={project.state}/logs", "T=x"
    )
    environment = (project.state / "environment.lint").read_text()
    for name in ("EVENT", "STILL_WANTED", "PIPELINE_LOGS"):
        assert name not in environment
    assert "\nT=x\n" in environment


def test_a_daemon_that_a_stage_leaves_behind_does_not_keep_the_pipeline_waiting(project: Project) -> None:
    project.write({"daemon": "deploy"})
    project.run("scripts/pipeline", "main")
    os.kill(int((project.state / "daemon").read_text()), signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ending_a_pipeline_ends_its_stage_and_says_so(project: Project, number: signal.Signals) -> None:
    os.mkfifo(project.state / "pipe")
    project.write({"gate": "test"})
    command = ["/usr/bin/env", "--default-signal=INT", "scripts/pipeline", "main"]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=project.path, env=project.environment, stdout=pipe, stderr=pipe, text=True
    ) as pipeline:
        wait_until(lambda: "test first" in project.events)
        pipeline.send_signal(number)
        shown, said = pipeline.communicate(timeout=20)
    assert pipeline.returncode == 128 + signal.SIGTERM
    assert "build" not in shown
    assert said == "error: interrupted in stage test; run the command again when you like\n"
    assert (project.path / ".run/pipeline/result").read_text() == "interrupted test\n"
    assert stages(project) == ["lint", "test"]
    with pytest.raises(OSError, match="No such device"):  # nobody reads it any more
        os.open(project.state / "pipe", os.O_WRONLY | os.O_NONBLOCK)


def test_an_option_that_nobody_knows_is_refused_with_the_way_to_help(project: Project) -> None:
    refused = project.run("scripts/pipeline", "--wrong", status=1)
    assert refused.stderr == "error: unknown option --wrong; see scripts/pipeline --help\n"
    assert not project.events
