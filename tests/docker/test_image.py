"""The image holds what the service needs and nothing else, runs with nothing that it does not need, and stops well."""

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.app.servers import has_engine
from tests.docker.containers import container, docker, run, stopped
from tests.rollout.checkout import REPOSITORY, wait_until

pytestmark = pytest.mark.verify

CONFINED = ("--read-only", "--cap-drop", "ALL", "--user", "10001", "--security-opt", "no-new-privileges")
SCRATCH = [
    f"--tmpfs={path}:uid=10001,gid=10001"
    for path in ("/srv/run", "/srv/data", "/srv/static-shared", "/tmp")  # noqa: S108 - a container's own
]
FORBIDDEN = ("pip", "pip3", "uv", "gcc", "cc", "make", "git", "curl", "wget")
CACHES = ("/root/.cache", "/build", "/var/cache/apt/archives/*.deb")
MOST_TIMES = 1.25


@pytest.fixture(scope="module")
def image() -> str:
    """This commit's image."""
    has_engine()
    return run("make", "--no-print-directory", "image", told={"REGISTRY": ""}).splitlines()[-1]


@pytest.fixture(scope="module")
def settings() -> list[str]:
    """What `docker run` is told of a dev environment."""
    return [
        f"--env-file={REPOSITORY}/infra/environments/dev.env",
        "--env=ENVIRONMENT=dev",
        f"--env=SECRET_KEY={'k' * 40}",
    ]


@pytest.fixture
def web(image: str, settings: list[str]) -> Iterator[tuple[str, int]]:
    """A web as confined as can be, on a migrated database. Gives the container and its port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    inside = yaml.safe_load((REPOSITORY / "infra/service.yml").read_text())
    words = ["--publish", f"127.0.0.1:{port}:{inside['port']}", *CONFINED, *SCRATCH, *settings, image]
    with container(*words, "sh", "-c", f"{inside['migrate']} && exec python /srv/start.py start web") as name:
        wait_until(lambda: health(name) == "healthy", "the web to be healthy", 90)
        yield name, port


def health(name: str) -> str:
    return str(json.loads(docker("inspect", name))[0]["State"]["Health"]["Status"])


def test_it_runs_read_only_without_capabilities_and_as_nobody(web: tuple[str, int]) -> None:
    name, _ = web
    assert docker("exec", name, "id", "-u").strip() == "10001"
    assert "healthy" in health(name)
    assert "Read-only" in docker("exec", name, "touch", "/srv/app/new", check=False)


def test_the_labels_say_what_it_is(image: str) -> None:
    labels = json.loads(docker("inspect", image))[0]["Config"]["Labels"]
    assert labels["org.opencontainers.image.version"] == image.partition(":")[2]
    assert re.fullmatch("[0-9a-f]{40}", labels["org.opencontainers.image.revision"])
    assert "@" not in labels["org.opencontainers.image.source"].partition("//")[2].partition("/")[0]


def test_there_is_no_build_tool_and_no_cache(image: str) -> None:
    look = [f"command -v {tool}" for tool in FORBIDDEN] + [f"ls -d {cache} 2>/dev/null" for cache in CACHES]
    script = "; ".join([*look, "exit 0"])
    assert docker("run", "--rm", "--user", "0", image, "sh", "-c", script).split() == []
    assert "No module named pip" in docker("run", "--rm", image, "python", "-m", "pip", check=False)


def test_there_is_no_secret_in_it(image: str) -> None:
    history = docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", image)
    assert not re.search("secret_key|password|token", history, re.IGNORECASE)
    look = "env; find / -xdev -name '*.env' -o -xdev -name '*.pem' -path '/srv/*'"
    found = docker("run", "--rm", "--user", "0", image, "sh", "-c", look)
    assert not re.search("SECRET|PASSWORD|build.env", found)


def test_it_is_little_larger_than_what_it_needs(image: str) -> None:
    base = int(docker("inspect", "--format", "{{.Size}}", "python:3.13-slim"))
    depends = int(docker("run", "--rm", image, "sh", "-c", "du -sb /srv/venv | cut -f1"))
    size = int(docker("inspect", "--format", "{{.Size}}", image))
    assert size <= MOST_TIMES * (base + depends), (
        f"{size / 1e6:.0f} MB; base {base / 1e6:.0f}, needs {depends / 1e6:.0f}"
    )


def test_it_stops_within_its_grace_period(web: tuple[str, int]) -> None:
    name, _ = web
    assert stopped(name) < 30
    assert json.loads(docker("inspect", name))[0]["State"]["ExitCode"] == 0


def test_a_command_that_there_is_not_is_one_line(image: str) -> None:
    said = docker("run", "--rm", image, "nonsense", check=False)
    assert said.strip().startswith("error: there is no command nonsense;")
    assert Path(REPOSITORY / "infra/docker/start.py").exists()
