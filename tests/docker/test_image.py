"""The image holds what the service needs and nothing else, runs with nothing that it does not need, and stops well."""

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from packaging.markers import Marker
from packaging.utils import canonicalize_name

from tests.app.servers import has_engine
from tests.coverage.parts import ran, stages_of
from tests.docker.containers import container, docker, health, layers, run, size_of, size_of_packages, stopped
from tests.playbooks.untouched import refusal
from tests.rollout.changes import visible_text
from tests.rollout.checkout import REPOSITORY, Checkout, wait_until

pytestmark = pytest.mark.verify

CONFINED = ("--read-only", "--cap-drop", "ALL", "--user", "10001", "--security-opt", "no-new-privileges")
FORBIDDEN = ("pip", "pip3", "uv", "gcc", "cc", "make", "git", "curl", "wget")
CACHES = ("/root/.cache", "/build", "/var/cache/apt/archives/*.deb")
MOST_TIMES = 1.25
FACTS = yaml.safe_load((REPOSITORY / "infra/service.yml").read_text())


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where bundles would be."""
    return tmp_path_factory.mktemp("releases")


@pytest.fixture(scope="module")
def image(store: Path) -> str:
    """This commit's image."""
    has_engine()
    told = {"REGISTRY": "", "RELEASES": str(store)}
    made = run("make", "--no-print-directory", "image", told=told).splitlines()[-1]
    dockerfile = REPOSITORY / "infra/docker/Dockerfile"
    ran(REPOSITORY, dockerfile, stages_of(dockerfile))
    return made


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
    words = ["--publish", f"127.0.0.1:{port}:{FACTS['port']}", *CONFINED, *settings, image]
    with container(*words, "sh", "-c", f"{FACTS['migrate']} && exec python /srv/start.py start web") as name:
        wait_until(lambda: health(name) == "healthy", "the web to be healthy", 90)
        yield name, port


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
    base, depends, size = size_of("python:3.13-slim"), size_of_packages(image), size_of(image)
    assert size <= MOST_TIMES * (base + depends), (
        f"{size / 1e6:.0f} MB; base {base / 1e6:.0f}, needs {depends / 1e6:.0f}"
    )


def test_what_it_holds_is_listed_and_is_what_the_lock_says(image: str, store: Path) -> None:
    (file,) = store.glob("*.cdx.json")
    document = json.loads(file.read_text())
    assert document["bomFormat"] == "CycloneDX"
    assert document["metadata"]["component"]["version"] == image.partition(":")[2]
    assert file.name == f"{image.replace(':', '-')}.cdx.json"
    listed = {f"{canonicalize_name(each['name'])}=={each['version']}" for each in document["components"]}
    lock = (REPOSITORY / FACTS["requirements"]).read_text()
    locked = re.findall(r"^([\w.-]+==[\w.]+)(?: ; (.*?))? \\$", lock, re.MULTILINE)
    inside = {
        "sys_platform": "linux",
        "platform_system": "Linux",
        "python_full_version": "3.13.0",
        "python_version": "3.13",
    }
    assert listed == {pin for pin, marker in locked if not marker or Marker(marker).evaluate(inside)}


def test_a_change_of_the_source_alone_shares_what_it_leaves(image: str, tmp_path: Path) -> None:
    """So it is built in seconds; `make bench T=images` measures how many."""
    clone = Checkout(tmp_path)
    clone.commit(visible_text("another"))
    changed = clone.make("image", REGISTRY="").output.splitlines()[-1]
    try:
        before, after = layers(image), layers(changed)
        assert image != changed
        packages = len(layers("python:3.13-slim")) + 2
        assert before[:packages] == after[:packages]
        assert before[packages:] != after[packages:]
    finally:
        docker("rmi", changed)


def test_a_setting_that_the_service_refuses_is_named_when_the_image_is_not_built(tmp_path: Path) -> None:
    clone = Checkout(tmp_path)
    settings = clone.path / "infra/environments/dev.env"
    settings.write_text(settings.read_text().replace("LOG_LEVEL=INFO", "LOG_LEVEL=verbose"))
    said = refusal(clone.make("image", check=False, REGISTRY=""))
    assert "cannot be built: " in said
    assert "cannot be built: marefia: bad settings: LOG_LEVEL: Must be one of" in said


def test_it_stops_within_its_grace_period(web: tuple[str, int]) -> None:
    name, _ = web
    assert stopped(name) < 30
    assert json.loads(docker("inspect", name))[0]["State"]["ExitCode"] == 0


def test_a_command_that_there_is_not_is_one_line(image: str) -> None:
    said = docker("run", "--rm", image, "nonsense", check=False)
    assert said.strip().startswith("error: there is no command nonsense;")
    assert Path(REPOSITORY / "infra/docker/start.py").exists()
