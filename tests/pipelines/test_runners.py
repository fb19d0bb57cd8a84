"""Jenkins, GitHub and the git hook run the stages of infra/pipeline.yml, and leave the same out when one fails."""

import pytest

from tests.pipelines import graph
from tests.pipelines.graph import EVENTS, Event
from tests.pipelines.rules import stages
from tests.pipelines.runners import RUNNERS, jenkins
from tests.scripts.project import ROOT, Project

MAIN = next(event for event in EVENTS if event.name == "main")
STAGES = list(graph.told(ROOT, "main"))


def reached(runner: str, event: Event) -> str:
    """The environment that an event's rollout reaches; with the hook, whatever its repository was made for."""
    return event.parameters.get("ENVIRONMENT", "dev") if runner == "hook" else graph.reached(ROOT, event)


each_event = pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.name)
each_runner = pytest.mark.parametrize("runner", RUNNERS)


@pytest.mark.verify
@each_event
@each_runner
def test_an_event_runs_the_stages_of_the_graph_in_an_order_of_it(
    project: Project, runner: str, event: Event
) -> None:
    run = RUNNERS[runner](project, event)
    assert run.passed, run.output
    expected = graph.told(ROOT, event.name)
    assert set(run.ran) == set(expected)
    for stage, needs in expected.items():
        assert needs <= set(run.ran[: run.ran.index(stage)])
        to = reached(runner, event) if stage in stages.REACHING else "dev"  # else what its shell says
        assert f"ENV={to}" in (project.state / f"environment.{stage}").read_text().splitlines(), stage


@pytest.mark.verify
@pytest.mark.parametrize("fails", STAGES)
@each_runner
def test_a_stage_that_fails_is_named_and_what_needs_it_is_left_out(
    project: Project, runner: str, fails: str
) -> None:
    project.commit("bad", fails=fails)
    run = RUNNERS[runner](project, MAIN)
    expected = graph.told(ROOT, "main")
    assert not run.passed
    assert run.named == {fails}
    assert set(run.ran) == {stage for stage, needs in expected.items() if fails not in needs}
    assert "output of build" in run.output  # what ran beside it was let end


@pytest.mark.verify
@each_runner
def test_a_rollback_goes_where_and_to_what_a_person_named(project: Project, runner: str) -> None:
    rollback = next(event for event in EVENTS if event.name == "rollback")
    RUNNERS[runner](project, rollback)
    told = (project.state / "environment.rollback").read_text().splitlines()
    assert {"ENV=production", "VERSION=1"} <= set(told)


@pytest.mark.verify
@pytest.mark.parametrize("event", ["main", "tag"])
def test_without_an_approval_no_tag_is_rolled_out(project: Project, event: str) -> None:
    happened = next(each for each in EVENTS if each.name == event)
    run = jenkins(project, happened, answer="abort")
    assert run.passed is ("deploy" in run.ran) is (event == "main")  # which nobody is asked about


@pytest.mark.verify
@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.name)
def test_the_team_hears_of_a_failure(project: Project, event: Event) -> None:
    project.commit("bad", fails=next(iter(graph.told(ROOT, event.name))))
    run = jenkins(project, event, TEAM_MAIL="team@example.com")
    assert not run.passed
    assert "team@example.com" in run.output


@pytest.mark.verify
@each_runner
def test_a_deployer_that_has_a_key_signs_with_it(project: Project, runner: str) -> None:
    RUNNERS[runner](project, MAIN, SIGNING_KEY="/a/key")
    assert "SIGNING_KEY=/a/key" in (project.state / "environment.deploy").read_text().splitlines()
