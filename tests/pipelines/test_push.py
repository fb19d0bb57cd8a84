"""What a push promises, tried on stages that only leave a trace; test_push_real.py has the real ones."""

import os
import re
import signal
from pathlib import Path

import pytest

from tests.pipelines import graph
from tests.pipelines.pushes import Push, descendants, push, ran, release, send, waiting_at
from tests.scripts.project import ROOT, Project, wait_until

CHECKS = ["lint", "test", "build", "scan", "migrations"]
ALL = [*CHECKS, "deploy", "smoke"]


@pytest.fixture(autouse=True)
def remote(project: Project) -> None:
    project.run("scripts/remote")
    os.mkfifo(project.state / "pipe")


def test_a_pushed_main_goes_through_every_stage_and_the_last_line_says_that_it_is_live(
    project: Project,
) -> None:
    commit = project.commit("good")
    lines = push(project, "main")
    assert ran(project, "good") == ALL
    assert [line.split()[1] for line in lines if re.match(r"\[\d/7\] \w+ passed in \d+ s$", line)] == ALL
    assert "    output of lint" in lines
    assert lines[-1] == f"main {commit[:8]} is live"


def test_another_branch_is_checked_and_never_deployed(project: Project) -> None:
    lines = push(project, "main:topic/one")
    assert ran(project, "first") == CHECKS
    assert lines[-1].endswith("passed; only main is deployed")


@pytest.mark.parametrize("stage", ["lint", "migrations", "deploy"])
def test_what_needs_a_failed_stage_does_not_run_and_the_pusher_sees_why(project: Project, stage: str) -> None:
    project.run("scripts/remote", ADVISORIES="/some/all.zip")
    commit = project.commit("bad", fails=stage)
    lines = push(project, "main")
    needs = graph.told(ROOT, "main")
    assert ran(project, "bad") == [each for each in ALL if stage not in needs[each]]
    assert "    broken: bad" in lines
    assert lines[-1] == (
        f"main {commit[:8]} NOT deployed, what ran before still runs: "
        f"stage {stage} failed; run `make {stage} ADVISORIES=/some/all.zip`, mend it and push again"
    )


def test_a_failing_smoke_says_that_the_release_is_live_all_the_same(project: Project) -> None:
    project.commit("bad", fails="smoke")
    assert "is live, but stage smoke failed" in push(project, "main")[-1]


def test_the_pusher_sees_lines_as_they_happen(project: Project) -> None:
    with waiting_at(project, "test") as pushed:
        pushed.shows("[1/7] lint passed")
        pushed.shows("    output of test")
        assert not any("[2/7] test passed" in line for line in pushed.lines)


def test_the_newest_of_three_quick_pushes_wins(project: Project) -> None:
    with waiting_at(project, "test") as first:
        project.commit("second")
        second = Push(project, "main")
        second.shows("waiting: main ")
        newest = project.commit("third")
        third = Push(project, "main")
        third.shows("waiting: main ")
        release(project)
        verdicts = [pushed.verdict() for pushed in (first, second, third)]
    assert verdicts[0].endswith(f"superseded by {newest[:8]} before stage build")
    assert verdicts[1].endswith(f"superseded by {newest[:8]}")
    assert verdicts[2] == f"main {newest[:8]} is live"
    assert ran(project, "waits") == ["lint", "test"]
    assert ran(project, "second") == []
    assert ran(project, "third") == ALL


def test_a_waiting_push_is_told_who_holds_the_branch_since_when_and_how_to_stop_it(project: Project) -> None:
    with waiting_at(project, "lint") as first:
        holder = project.git("rev-parse", "--short=8", "HEAD")
        project.commit("next", gate="")
        after = Push(project, "main")
        after.shows("waiting: ")
        told = rf"waiting: main {holder} \(since \d\d:\d\d:\d\d; to stop it: kill -- -(\d+)\) holds "
        held = re.match(told, after.lines[0])
        assert held
        os.killpg(int(held[1]), signal.SIGTERM)
        assert first.verdict().endswith("its run was stopped; push again")
        assert after.verdict().endswith("is live")


def test_two_branches_run_side_by_side(project: Project) -> None:
    with waiting_at(project, "lint", "main:topic") as topic:
        project.commit("good")
        assert push(project, "main")[-1].endswith("is live")
        assert topic.process.poll() is None


def test_one_push_of_two_branches_runs_both_though_the_first_fails(project: Project) -> None:
    project.commit("bad", fails="lint")
    project.git("branch", "a-topic")
    (project.path / "fails").unlink()
    project.commit("good")
    lines = push(project, "a-topic", "main")
    assert any("NOT passed: stage lint failed" in line for line in lines)
    assert lines[-1].endswith("is live")


def test_deletions_and_tags_are_said_and_not_run(project: Project) -> None:
    push(project, "main:topic")
    before = project.events
    project.git("tag", "v1")
    assert push(project, "v1") == ["refs/tags/v1: only branches are run"]
    assert push(project, ":topic") == ["refs/heads/topic: deleted, nothing to run"]
    assert project.events == before


def test_a_branch_deleted_while_its_push_waits_is_not_run(project: Project) -> None:
    with waiting_at(project, "lint", "main:topic") as first:
        project.commit("next")
        second = Push(project, "main:topic")
        second.shows("waiting: ")
        push(project, ":topic")
        release(project)
        assert second.verdict().endswith("superseded by its deletion")
        first.verdict()
    assert ran(project, "next") == []


def test_a_killed_push_leaves_nothing_in_the_way_of_the_next(project: Project) -> None:
    with waiting_at(project, "test") as killed:
        killed.kill(signal.SIGKILL, "")
        killed.process.wait()
    project.commit("next")
    lines = push(project, "main")
    assert not any("waiting" in line for line in lines)
    assert lines[-1].endswith("is live")
    assert not list(project.bare.glob("pipeline/branches/*/clone"))


def test_a_pipeline_whose_hook_was_killed_still_holds_its_branch_and_gives_way(project: Project) -> None:
    with waiting_at(project, "test") as killed:
        killed.kill(signal.SIGKILL, "hooks/post-receive")
        project.commit("next")
        after = Push(project, "main")
        after.shows("waiting: ")
        release(project)
        assert after.verdict().endswith("is live")
    assert ran(project, "waits") == ["lint", "test"]


def test_a_stopped_hook_stops_its_pipeline_and_says_so(project: Project) -> None:
    with waiting_at(project, "test") as stopped:
        stopped.kill(signal.SIGTERM, "hooks/post-receive")
        assert stopped.verdict().endswith("its run was stopped; push again")
    assert ran(project, "waits") == ["lint", "test"]
    with pytest.raises(OSError, match="No such device"):  # the stage that read it is gone
        os.open(project.state / "pipe", os.O_WRONLY | os.O_NONBLOCK)


@pytest.mark.parametrize("stage", ["test", "smoke"])
def test_a_stopped_pipeline_is_said_by_its_stage(project: Project, stage: str) -> None:
    with waiting_at(project, stage) as stopped:
        stopped.kill(signal.SIGTERM, "scripts/pipeline")
        said = stopped.verdict()
    assert f" its run was stopped in stage {stage}; " in said
    assert (" is live, but " in said) == (stage == "smoke")


@pytest.mark.parametrize("gone", ["^git push", "^git"])
def test_a_pusher_who_goes_away_does_not_take_the_release_along(project: Project, gone: str) -> None:
    project.write({"loud": "scan"})
    with waiting_at(project, "test") as pushed:
        orphans = descendants(pushed.process.pid)
        pushed.kill(signal.SIGKILL, gone)
        pushed.process.wait()
        release(project)
    wait_until(lambda: not list(project.bare.glob("pipeline/branches/*/clone")))
    for orphan in orphans:
        send(signal.SIGKILL, orphan)  # git's side of a gone pusher waits for ever to tell it something
    (record,) = project.bare.glob("pipeline/logs/*/push.log")
    assert record.read_text().endswith(" is live\n")
    project.commit("next", gate="")
    assert push(project, "main")[-1].endswith(" is live")


def test_a_daemon_started_by_deploy_keeps_neither_the_pusher_nor_the_branch(project: Project) -> None:
    project.commit("good", daemon="deploy")
    push(project, "main")
    daemon = int((project.state / "daemon").read_text())
    try:
        project.commit("next", daemon="")
        lines = push(project, "main")
    finally:
        os.kill(daemon, signal.SIGKILL)
    assert lines[-1].endswith("is live")
    assert not any("waiting" in line for line in lines)


def test_a_commit_without_a_pipeline_is_a_clear_line(project: Project) -> None:
    project.git("rm", "--quiet", "Makefile")
    commit = project.commit("none")
    assert push(project, "main") == [
        (
            f"main {commit[:8]} NOT deployed, what ran before still runs: "
            "this commit has no pipeline (Makefile, scripts/pipeline, requirements/)"
        )
    ]


def test_a_commit_with_a_makefile_that_cannot_run_is_a_clear_line(project: Project) -> None:
    project.commit("broken", Makefile="nonsense\n")
    assert "stage pipeline failed; run `make pipeline`" in push(project, "main")[-1]


def test_a_commit_with_a_broken_hook_breaks_no_push(project: Project) -> None:
    project.commit("broken", **{"scripts/post-receive": "exit 1\n"})
    assert push(project, "main")[-1].endswith("is live")
    project.commit("next")
    assert push(project, "main")[-1].endswith("is live")


def test_a_branch_may_have_any_name_that_git_allows(project: Project) -> None:
    assert push(project, "main:a'b;$(touch${IFS}x)&c")[-1].endswith("passed; only main is deployed")


def test_the_folder_may_have_any_name(tmp_path: Path) -> None:
    folder = tmp_path / "a folder, somebody's #1 % ü"
    folder.mkdir()
    project = Project(folder)
    project.lend_python()
    project.run("scripts/remote")
    oldest = project.bare / "pipeline/logs/20200101T000000-main-0"
    for number in range(25):
        (oldest.parent / f"20200101T0000{number:02}-main-0").mkdir(parents=True)
    assert push(project, "main")[-1].endswith("is live")
    assert ran(project, "first") == ALL
    assert not oldest.exists()
    assert not list(project.bare.glob("pipeline/branches/*/clone"))


def test_the_pipeline_runs_in_a_clone_at_the_commit_with_the_recorded_variables(project: Project) -> None:
    push(project, "main", T="tests/one", ENV="production", GIT_DIR=str(project.path / ".git"))
    seen = dict(
        line.split("=", 1)
        for line in (project.state / "environment.lint").read_text().splitlines()
        if "=" in line
    )
    assert seen["PWD"] == f"{project.bare}/pipeline/branches/main.lock/clone"
    assert {seen[name] for name in ("ENV", "PORT", "T")} == {"dev", "1", "tests/one"}
    assert not [
        name for name in seen if name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_QUARANTINE_PATH", "DEPLOY")
    ]


def test_commits_with_the_same_locks_share_a_virtual_environment_and_others_do_not(project: Project) -> None:
    def venv() -> str:
        push(project, "main")
        lines = (project.state / "environment.lint").read_text().splitlines()
        return next(line.removeprefix("VENV=") for line in lines if line.startswith("VENV="))

    first = venv()
    assert Path(first).parent == project.bare / "pipeline/venvs"
    project.commit("same")
    assert venv() == first
    project.commit("other", **{"requirements/dev.txt": "b==1 --hash=sha256:0\n"})
    assert venv() != first


def test_output_is_kept_for_the_newest_runs_only_and_clones_are_not(project: Project) -> None:
    for number in range(25):
        (project.bare / f"pipeline/logs/20200101T0000{number:02}-main-0").mkdir(parents=True)
    push(project, "main")
    kept = sorted((project.bare / "pipeline/logs").iterdir())
    assert len(kept) == 20
    assert {file.name for file in kept[-1].iterdir()} == {
        "push.log",
        "result",
        *(f"{s}.log" for s in ALL),
    }
    assert not [file for place in project.bare.glob("pipeline/branches/*") for file in place.iterdir()]


def test_the_hook_has_a_help(project: Project) -> None:
    assert "usage: git push" in project.run("scripts/post-receive", "--help").stdout
