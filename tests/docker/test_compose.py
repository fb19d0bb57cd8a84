"""`make compose`: everything is healthy, a guest can browse and book, data stays, networks separate."""

import json
import os
import subprocess
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from tests.app.servers import has_engine
from tests.docker.containers import run
from tests.rollout.checkout import REPOSITORY, free_port, wait_until
from tests.rollout.load import Load
from tests.rollout.marefia_traffic import MarefiaTraffic

pytestmark = pytest.mark.verify

STORES = {"database": 5432, "cache": 6379}
PROCESSES = ("web", "worker", "scheduler")
START = ("python", "/srv/start.py")
COUNT = "from marefia.stays.models import Booking; print(Booking.objects.count())"
REACH = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 3)"


class Project:
    """The Compose project of this repository, beside one that a person may have up."""

    def __init__(self) -> None:
        self.port = free_port()

    def __call__(self, *words: str, **told: str) -> str:
        own = {"PORT": str(self.port), "COMPOSE_PROJECT_NAME": f"tried-{os.getpid()}"}
        return run("scripts/compose", *words, told=own | told)

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
            return answer.read()

    def states(self) -> dict[str, str]:
        """The health of each service, or its state where it has none."""
        lines = [
            json.loads(line) for line in self("ps", "--format", "json").splitlines() if line.startswith("{")
        ]
        return {line["Service"]: line["Health"] or line["State"] for line in lines}


@pytest.fixture(scope="module")
def project() -> Iterator[Project]:
    has_engine()
    made = Project()
    made("up")
    yield made
    made("down", PURGE="1")


def test_all_are_healthy_and_answer(project: Project) -> None:
    states = project.states()
    assert states.keys() >= {"proxy", "database", "cache", *PROCESSES}
    assert set(states.values()) == {"healthy"}, states
    assert project.get("/readyz")


@pytest.mark.parametrize("name", ["proxy", "database", "cache", *PROCESSES])
def test_each_may_be_restarted(project: Project, name: str) -> None:
    project("restart", name)

    def well() -> bool:
        try:
            return project.states()[name] == "healthy" and bool(project.get("/readyz"))
        except OSError:
            return False

    wait_until(well, f"{name} to be healthy again", 60, every=0.5)


def test_people_browse_and_book(project: Project) -> None:
    project("exec", "-T", "web", *START, "python", "manage.py", "demo")
    with Load(f"http://localhost:{project.port}", MarefiaTraffic()) as load:
        with load.window("compose"):
            load.settle()
        load.end()
    report = load.report
    assert not report.lost, "\n".join(record.line() for record in report.lost)
    assert [record for record in load.records if record.window == "compose"]
    said = project("exec", "-T", "web", *START, "python", "manage.py", "shell", "-c", COUNT)
    assert int(said.split()[-1]) > 0


def test_down_keeps_the_data(project: Project) -> None:
    before = project.get("/api/v1/listings")
    project("down")
    project("up")
    assert project.get("/api/v1/listings") == before
    assert b'"count":0' not in before.replace(b" ", b"")


@pytest.mark.parametrize("store", STORES)
def test_the_stores_are_reached_by_the_service_and_not_by_the_proxy(project: Project, store: str) -> None:
    for process in PROCESSES:
        project("exec", "-T", process, "python", "-c", REACH, store, str(STORES[store]))
    said = project("exec", "-T", "proxy", "sh", "-c", f"getent hosts {store} || echo could not resolve")
    assert "could not resolve" in said


def test_the_stores_reach_nothing_outside(project: Project) -> None:
    said = project("exec", "-T", "database", "sh", "-c", "getent hosts proxy || echo could not resolve")
    assert "could not resolve" in said


def test_no_secret_is_in_a_process_list_or_in_the_configuration(project: Project) -> None:
    secret = project("exec", "-T", "web", "cat", "/run/secrets/SECRET_KEY").strip()
    assert len(secret) > 40
    assert secret not in project("config")
    assert secret not in project("top")


def test_without_an_engine_it_says_so(project: Project) -> None:
    done = subprocess.run(
        ["scripts/compose"],
        cwd=REPOSITORY,
        env=os.environ | {"DOCKER_HOST": "unix:///nowhere"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode != 0
    assert "there is no Docker engine" in done.stderr


def test_live_the_web_is_loaded_anew_when_a_file_of_this_clone_changes(project: Project) -> None:
    project("up", LIVE="1")
    assert project.get("/readyz")
    (REPOSITORY / "app/marefia/urls.py").touch()
    wait_until(lambda: "reloading" in project("logs", "web"), "the web to be loaded anew", 60, every=0.5)
    wait_until(lambda: project.states()["web"] == "healthy", "the web to be healthy", 60, every=0.5)
