"""`make compose`: everything is healthy, a guest can browse and book, data stays, networks separate."""

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.app.servers import has_engine
from tests.coverage.parts import parts
from tests.coverage.parts import ran as record
from tests.docker.containers import ORPHANED, docker, health, networks, run, stopped
from tests.rollout.checkout import REPOSITORY, free_port, wait_until
from tests.rollout.load import Load
from tests.rollout.marefia_traffic import MarefiaTraffic

pytestmark = pytest.mark.verify

PROCESSES = ("web", "worker", "scheduler")
PORTS = {"proxy": 8080, "web": 8000, "database": 5432, "cache": 6379}
REACHED = {
    "proxy": {"web"},
    "web": {"proxy", "database", "cache"},
    "worker": {"web", "database", "cache"},
    "scheduler": {"web", "database", "cache"},
    "database": {"web"},
    "cache": {"web"},
}
"""Who reaches whom: all that share a network."""
GRACE = 40.0
"""Seconds that compose.yml gives a process to stop."""
START = ("python", "/srv/start.py")
VENDOR = "from django.db import connection; print(connection.vendor)"
COUNT = "from marefia.stays.models import Booking; print(Booking.objects.count())"


class Project:
    """The Compose project of a clone, beside one that a person may have up."""

    def __init__(self, clone: Path = REPOSITORY, name: str = "tried") -> None:
        self.clone = clone
        self.name = f"{name}-{os.getpid()}"
        self.port = free_port()

    def __call__(self, *words: str, check: bool = True, **told: str) -> str:
        own = {"PORT": str(self.port), "COMPOSE_PROJECT_NAME": self.name, "VENV": sys.prefix}
        return run("scripts/compose", *words, folder=self.clone, check=check, told=own | told)

    def has_listings(self) -> bool:
        """Whether people find something to click through."""
        return b'"count":0' not in self.get("/api/v1/listings").replace(b" ", b"")

    def serves_listings(self) -> bool:
        """The same of a site that may not be back yet."""
        try:
            return self.has_listings()
        except OSError:
            return False

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
            return answer.read()

    def containers(self, service: str) -> list[str]:
        """The ids of a service's containers."""
        return self("ps", "--quiet", service).split()

    def await_answers_of_both(self, since: float) -> None:
        """Return when both webs have answered requests that the proxy passed on since a time."""
        (proxy,) = self.containers("proxy")
        served = re.compile(r"webs/(web\d) \S+ 200 ")
        wait_until(
            lambda: len(set(served.findall(docker("logs", "--since", f"{since:.3f}", proxy)))) == 2,
            "both webs to answer",
            every=0.5,
        )

    def states(self) -> dict[str, str]:
        """The health of each service, or its state where it has none."""
        return {line["Service"]: line["Health"] or line["State"] for line in self._listed()}

    def ran(self, name: str) -> None:
        """Record which services of a Compose file the engine has run to the end or runs."""
        there = {line["Service"] for line in self._listed("--all") if not line["ExitCode"]}
        file = REPOSITORY / "infra/docker" / name
        record(REPOSITORY, file, [service for _, _, service in parts(file) if service in there])

    def _listed(self, *more: str) -> list[dict[str, Any]]:
        said = self("ps", *more, "--format", "json").splitlines()
        return [json.loads(line) for line in said if line.startswith("{")]


RESTARTED_BY_CHAOS = ("proxy", "cache", *(process for process in PROCESSES if process != "web"))


@pytest.fixture(scope="module")
def project() -> Iterator[Project]:
    has_engine()
    made = Project()
    # As in a clone of somebody whose umask is closed: the containers' users have to read it nevertheless.
    (REPOSITORY / "infra/docker/haproxy.cfg").chmod(0o600)
    before = os.umask(0o077)
    try:
        made("up")
    finally:
        os.umask(before)
    yield made
    made("down", PURGE="1")


@pytest.fixture
def second(tmp_path: Path) -> Project:
    """The project of a second clone of this repository."""
    has_engine()
    run("git", "clone", "--quiet", str(REPOSITORY), str(tmp_path / "second"))
    return Project(tmp_path / "second", "second")


def test_all_are_healthy_and_answer(project: Project) -> None:
    states = project.states()
    assert states.keys() >= {"proxy", "database", "cache", *PROCESSES}
    assert set(states.values()) == {"healthy"}, states
    assert project.get("/readyz")
    project.ran("compose.yml")


@pytest.mark.parametrize(
    "name",
    ["database", "web", *(pytest.param(each, marks=pytest.mark.chaos) for each in RESTARTED_BY_CHAOS)],
)
def test_each_may_be_restarted(project: Project, name: str) -> None:
    project("restart", name)

    def well() -> bool:
        try:
            return project.states()[name] == "healthy" and bool(project.get("/readyz"))
        except OSError:
            return False

    wait_until(well, f"{name} to be healthy again", 60, every=0.5)


def test_a_shell_that_fails_beside_the_database_is_no_crash_of_it(project: Project) -> None:
    (database,) = project.containers("database")
    docker("exec", database, "bash", "-c", ORPHANED, "bash", "/run/secrets/PGPASSWORD")


def test_people_browse_and_book(project: Project) -> None:
    assert project.has_listings(), "no demo data"
    with Load(f"http://localhost:{project.port}", MarefiaTraffic()) as load:
        with load.window("compose"):
            load.settle()
        load.end()
    report = load.report
    assert not report.lost, "\n".join(record.line() for record in report.lost)
    assert [record for record in load.records if record.window == "compose"]
    said = project("exec", "-T", "web", *START, "python", "manage.py", "shell", "-c", COUNT)
    assert int(said.split()[-1]) > 0


def test_a_web_that_is_stopped_under_load_ends_in_time_and_loses_no_request(project: Project) -> None:
    project("scale", "web=2")
    webs = project.containers("web")
    assert len(webs) == 2
    wait_until(lambda: all(health(web) == "healthy" for web in webs), "both webs to be healthy", 60)
    began = time.time()
    with Load(f"http://localhost:{project.port}", MarefiaTraffic()) as load:
        project.await_answers_of_both(began)
        for web in webs:
            with load.window("stop"):
                assert stopped(web) < GRACE
            assert json.loads(docker("inspect", web))[0]["State"]["ExitCode"] == 0
            docker("start", web)
            with load.window("start"):
                wait_until(
                    lambda: all(health(each) == "healthy" for each in webs), "both webs to be well", 60
                )
                project.await_answers_of_both(time.time())
        load.end()
    project("scale", "web=1")
    report = load.report
    assert not report.lost, "\n".join(record.line() for record in report.lost)
    assert report.within("stop")
    assert report.within("start")


def test_down_keeps_the_data(project: Project) -> None:
    before = project.get("/api/v1/listings")
    project("down")
    project("up")
    assert project.get("/api/v1/listings") == before
    assert project.has_listings()


@pytest.mark.parametrize("name", REACHED)
def test_each_reaches_what_shares_a_network_with_it_and_nothing_else(project: Project, name: str) -> None:
    tries = [
        f"(timeout 2 bash -c '</dev/tcp/{address}/{port}' && echo {other}) &"
        for other, port in PORTS.items()
        for address in networks(project.containers(other)[0]).values()
    ]
    reached = docker("exec", project.containers(name)[0], "bash", "-c", f"{' '.join(tries)} wait")
    assert set(reached.split()) - {name} == REACHED[name]
    if name in PORTS:
        assert name in reached.split()


@pytest.mark.parametrize("name", REACHED)
def test_only_the_proxy_is_in_a_network_with_a_way_out(project: Project, name: str) -> None:
    inside = [
        json.loads(docker("network", "inspect", network))[0]["Internal"]
        for network in networks(project.containers(name)[0])
    ]
    assert all(inside) == (name != "proxy")


def test_no_secret_is_in_a_process_list_or_in_the_configuration(project: Project) -> None:
    secret = project("exec", "-T", "web", "cat", "/run/secrets/SECRET_KEY").strip()
    assert len(secret) > 40
    assert secret not in project("config")
    assert secret not in project("top")


def test_a_dry_run_names_what_it_would_do_and_does_nothing(project: Project) -> None:
    before = project("ps", "--all", "--quiet")
    said = project("--dry-run")
    assert "would run: docker compose" in said
    assert project("ps", "--all", "--quiet") == before


def test_a_file_of_variables_that_lies_beside_is_not_read(second: Project) -> None:
    (second.clone / "infra/docker/.env").write_text("ADMINER_PORT=8912\nCOMPOSE_PROFILES=admin,mariadb\n")
    said = second("config")
    assert "adminer:" not in said
    said = second("config", COMPOSE_PROFILES="admin")
    assert 'published: "8081"' in said
    assert "8912" not in said


def test_a_second_clone_leaves_the_first_ones_project_alone(project: Project, second: Project) -> None:
    before, second.name = project("ps", "--quiet"), project.name
    for words, told in ((["up"], {}), (["down"], {}), (["down"], {"PURGE": "1"}), (["stop"], {})):
        said = second(*words, check=False, **told)
        assert said.startswith(f"error: the project {project.name} belongs to {REPOSITORY}; "), said
        assert said.count("\n") == 1
    assert project("ps", "--quiet") == before


def test_a_clone_that_moved_keeps_its_data_and_one_that_is_gone_can_be_cleaned_up(
    second: Project, tmp_path: Path
) -> None:
    second("up")
    try:
        second("down")
        third = tmp_path / "third"
        run("git", "clone", "--quiet", str(REPOSITORY), str(third))
        assert f"belongs to {second.clone}" in run(
            "scripts/compose",
            folder=third,
            check=False,
            told={"COMPOSE_PROJECT_NAME": second.name, "VENV": sys.prefix},
        )
        second.clone = second.clone.rename(tmp_path / "elsewhere")
        second("up")
        second("restart", "database")  # mounts its secret, from the place where the clone is now
        wait_until(second.serves_listings, "the site to be back")
    finally:
        second("down", PURGE="1")
    assert docker("volume", "ls", "--quiet", "--filter", f"name={second.name}") == ""


def test_a_service_that_fails_says_why(second: Project) -> None:
    kept = second.clone / ".run/compose"
    kept.mkdir(parents=True)
    (kept / "SECRET_KEY").write_text("short")
    try:
        said = second("up", check=False).splitlines()
        assert any("bad settings: SECRET_KEY: Shorter than" in line for line in said[-4:-1]), said
        assert said[-1] == "error: not up: migrate; see scripts/compose logs migrate"
    finally:
        second("down", PURGE="1")


def test_a_port_that_another_project_has_is_one_line(project: Project) -> None:
    said = project("up", check=False, COMPOSE_PROJECT_NAME=f"other-{os.getpid()}")
    assert said.startswith(
        f"error: port {project.port} is taken by another program; choose another one: PORT="
    )
    assert said.count("\n") == 1


def test_a_secret_that_is_gone_is_not_invented_anew_while_the_database_is_there(project: Project) -> None:
    kept = REPOSITORY / ".run/compose/PGPASSWORD"
    aside = kept.rename(kept.with_name("PGPASSWORD.aside"))
    try:
        said = project("up", check=False)
        assert said.startswith(f"error: PGPASSWORD is gone from {kept.parent}, ")
        assert not kept.exists()
    finally:
        aside.rename(kept)
    assert project.get("/readyz")


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
    assert (
        "there is no Docker engine for you here: Cannot connect to the Docker daemon at unix:" in done.stderr
    )


@pytest.mark.chaos
def test_its_profile_puts_mariadb_in_the_place_of_postgresql(project: Project) -> None:
    profile = {"COMPOSE_PROFILES": "mariadb"}
    project("up", check=True, **profile)
    assert set(project.states().values()) == {"healthy"}, project.states()
    assert "mariadb" in project.states()
    said = project("exec", "-T", "web", *START, "python", "manage.py", "shell", "-c", VENDOR)
    assert said.split()[-1] == "mysql"
    assert project.has_listings(), "no demo data"
    project.ran("compose.yml")


@pytest.mark.chaos
def test_live_the_web_is_loaded_anew_when_a_file_of_this_clone_changes(project: Project) -> None:
    def noticed(name: str) -> bool:
        """Whether a change is; what changes while the workers are started anew is no change to them."""
        (REPOSITORY / "app/marefia" / name).touch()
        return f"{name} modified" in project("logs", "web")

    project("up", LIVE="1")
    assert project.get("/readyz")
    for name in ("urls.py", "templates/pages.html"):
        wait_until(partial(noticed, name), "a reload", 60, every=2)
        wait_until(lambda: project.states()["web"] == "healthy", "the web to be healthy", 60, every=0.5)
    project.ran("compose.dev.yml")
