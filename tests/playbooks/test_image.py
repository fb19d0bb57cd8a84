"""What is handed to the engine for an image, and the one line when it cannot; real images: tests/docker."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from rollout import image
from rollout.errors import RolloutError
from tests.app.service import ROOT

# Stands for the engine's client: notes the mode of all that is in the context, its last word.
DOCKER = """\
#!/bin/sh
for folder in "$@"; do :; done
cd "$folder" && find . -mindepth 1 -printf '%m %y %P\\n' >STATE/context
"""


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program that is called docker, on a PATH of its own."""
    program = tmp_path / "bin/docker"
    program.parent.mkdir()
    program.write_text(DOCKER.replace("STATE", str(tmp_path)))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return program


@pytest.fixture
def closed() -> Iterator[None]:
    """A person's umask that closes what they make to everybody else."""
    before = os.umask(0o077)
    yield
    os.umask(before)


def test_who_builds_under_a_closed_umask_hands_over_what_the_images_user_can_read(
    engine: Path, closed: None, tmp_path: Path
) -> None:
    clone = tmp_path / "clone"
    files = ["app/manage.py", "app/marefia/urls.py", "requirements/service.txt"]
    for name in (*files, "infra/service.yml", "infra/docker/start.py", "infra/environments/dev.env"):
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        (clone / name).write_text((ROOT / name).read_text())
    (clone / "app/manage.py").chmod(0o700)
    assert (clone / "app/marefia/urls.py").stat().st_mode & 0o777 == 0o600
    assert image.build(clone, "1", "abc", files, "", "") == "marefia:1"
    listed = {name: (mode, kind) for mode, kind, name in map(str.split, read(tmp_path / "context"))}
    assert listed.keys() >= {*files, "start.py", "start.json", "build.env"}
    for name, (mode, kind) in listed.items():
        assert mode == ("755" if kind == "d" or name == "app/manage.py" else "644"), name


PLAIN = """\
#4 [2/5] RUN pip install
#4 0.195 fine
#5 [3/5] RUN python start.py
#5 0.195 noise
#5 0.211 error: LOG_LEVEL=verbose is no level; set DEBUG
#5 ERROR: process "/bin/sh -c python start.py" did not complete successfully: exit code: 1
------
 > [3/5] RUN python start.py:
------
ERROR: failed to solve: process "/bin/sh -c python start.py" did not complete successfully: exit code: 1
"""


@pytest.mark.parametrize(
    ("output", "told"),
    [
        (PLAIN, "error: LOG_LEVEL=verbose is no level; set DEBUG"),
        ("#1 DONE 0.0s\nERROR: failed to solve: no such base\n", "ERROR: failed to solve: no such base"),
        ("Cannot connect to the Docker daemon\n", "Cannot connect to the Docker daemon"),
        ("", "nothing was said"),
    ],
)
def test_what_the_failed_step_said_last_is_told(engine: Path, tmp_path: Path, output: str, told: str) -> None:
    (tmp_path / "output").write_text(output)
    engine.write_text(f"#!/bin/sh\ncat {tmp_path}/output >&2\nexit 1\n")
    with pytest.raises(RolloutError, match=re.escape(f"cannot be pushed: {told}; mend that")):
        image.push("shop:1")


def read(file: Path) -> list[str]:
    return file.read_text().splitlines()


def test_an_engine_that_does_not_answer_is_one_line(engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine.write_text("#!/bin/sh\nexec sleep 60\n")  # far longer than the time limit that has to end it
    monkeypatch.setattr(image, "BUILD_SECONDS", 0.2)
    with pytest.raises(RolloutError) as caught:
        image._docker(["push", "x"], "x cannot be pushed")
    assert str(caught.value) == (
        "`docker push` did not end in 0 s; look at the engine and the registry, and run the command again"
    )


def test_without_an_engines_client_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(RolloutError, match="docker is not installed; install it"):
        image.known("registry", "shop", "1")


def test_a_name_that_no_registry_can_have_is_told_how_it_is_written(engine: Path) -> None:
    engine.write_text("#!/bin/sh\necho 'ERROR: invalid reference format' >&2\nexit 1\n")
    with pytest.raises(RolloutError, match=r"invalid reference format; write it as host:port") as caught:
        image.known("http://registry", "shop", "1")
    assert "log in" not in str(caught.value)
