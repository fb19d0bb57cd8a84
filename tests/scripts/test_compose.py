"""scripts/compose: what it asks of the engine, played by a program, and what it refuses. Real ones: tests/docker."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rollout.checkout import free_port
from tests.scripts.project import Project

REPOSITORY = Path(__file__).parents[2]
SECRETS = ("SECRET_KEY", "PGPASSWORD", "BROKER_PASSWORD")
# Stands for the engine's client: notes its words; files say which volumes there are and what does not go well.
# Where there are none, the real client lists nothing and ends with 0, hence `|| true`.
DOCKER = """\
#!/bin/sh
echo "docker $*" >>"STATE/calls"
case "$*" in
    version) test ! -e "STATE/no-engine" || { cat "STATE/no-engine" >&2; exit 1; } ;;
    "ps "*) cat "STATE/containers" 2>/dev/null || true ;;
    "volume ls "*working_dir*) cat "STATE/owner" 2>/dev/null || true ;;
    "volume rm "*) rm -f "STATE/owner" ;;
    "volume create "*) told=${*##*working_dir=} && echo "${told% *}" >"STATE/owner" ;;
    "volume ls "*volume=*) grep -sx "${*##*volume=}" "STATE/volumes" || true ;;
    "volume ls "*) cat "STATE/volumes" 2>/dev/null || true ;;
    *" port "*) cat "STATE/published" 2>/dev/null ;;
    *" up "*) test ! -e "STATE/ended" ;;
    *" ps "*) cat "STATE/ended" ;;
    *" logs --tail 3 "*) echo "${*##*--tail 3 }: the reason" ;;
    *" exec "*) test ! -e "STATE/fails" ;;
esac
"""
RELEASE = """\
import sys
print("20260101-000000-abc")
if sys.argv[1] != "version":
    open("STATE/calls", "a").write(f"release {sys.argv[1]}\\n")
"""


@pytest.fixture
def clone(project: Project) -> Project:
    """A checkout with this repository's Compose files, on a machine whose engine is only played."""
    venv, machine = project.path / ".venv", project.path.parent / "machine"
    (venv / "bin").mkdir(parents=True)
    machine.mkdir()
    shutil.copy(Path(sys.prefix) / "pyvenv.cfg", venv)
    (venv / "lib").symlink_to(Path(sys.prefix) / "lib")
    (venv / "bin/python").symlink_to(Path(sys.executable).resolve())
    lock = hashlib.sha256((project.path / "requirements/dev.txt").read_bytes()).hexdigest()
    (venv / ".installed").write_text(f"dev {lock}  requirements/dev.txt\n")
    shutil.copytree(REPOSITORY / "infra/docker", project.path / "infra/docker")
    shutil.copy(REPOSITORY / "infra/service.yml", project.path / "infra")
    project.write(
        {
            "requirements/ops.txt": "",
            "scripts/release.py": RELEASE.replace("STATE", str(project.state)),
            "app/page.html": "",
        }
    )
    (machine / "docker").write_text(DOCKER.replace("STATE", str(project.state)))
    (machine / "docker").chmod(0o755)
    project.environment |= {"PATH": f"{machine}:{project.environment['PATH']}", "PORT": str(free_port())}
    return project


@pytest.fixture
def taken() -> Iterator[str]:
    """A port on which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield str(server.getsockname()[1])


def shown(clone: Project, *words: str, **told: str) -> str:
    done = clone.run("scripts/compose", *words, status=0, **told)
    assert done.stderr == ""
    return done.stdout


def refusal(clone: Project, *words: str, **told: str) -> str:
    """The one line with which it refuses, before it asks the engine for anything or invents a secret."""
    before = sorted(clone.path.rglob(".run/compose/*"))
    done = clone.run("scripts/compose", *words, status=1, **told)
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert acts(clone) == []
    assert sorted(clone.path.rglob(".run/compose/*")) == before
    return done.stderr.removeprefix("error: ").rstrip("\n")


def acts(clone: Project) -> list[str]:
    """What was asked of the engine and of release.py since the last time, questions left out."""
    file = clone.state / "calls"
    lines = file.read_text().splitlines() if file.exists() else []
    file.unlink(missing_ok=True)
    questions = ("docker version", "docker ps", "docker volume")
    return [line for line in lines if not (line.startswith(questions) or " port " in line)]


def volumes(clone: Project, *names: str) -> None:
    """Have the engine keep these volumes of the project, one a line."""
    (clone.state / "volumes").write_text("".join(f"{name}\n" for name in names))


def belongs(clone: Project, folder: Path, kind: str) -> None:
    """Have the engine keep the project's containers, or its owner, of the clone in this folder."""
    (clone.state / kind).write_text(f"{folder}/infra/docker\n")
    volumes(clone, "database", "cache")


@pytest.mark.parametrize("purge", ["", "0"])
def test_down_keeps_the_volumes_unless_it_is_told_to_purge(clone: Project, purge: str) -> None:
    shown(clone, "down", PURGE=purge)
    (call,) = acts(clone)
    assert call.endswith(" down --remove-orphans")
    shown(clone, "down", PURGE="1")
    assert acts(clone) == [f"{call} --volumes"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["down", "--dry-run"], {}),
        (["--dry-run", "down"], {}),
        (["down"], {"DRY_RUN": "1"}),
        (["up", "--dry-run"], {"LIVE": "1"}),
        (["--dry-run"], {}),
        (["restart", "web"], {"DRY_RUN": "1"}),
    ],
)
def test_a_dry_run_names_what_it_would_do_and_does_nothing(
    clone: Project, words: list[str], told: dict[str, str]
) -> None:
    said = shown(clone, *words, PURGE="1", **told)
    assert "would run: docker compose --env-file /dev/null --file infra/docker/compose.yml" in said
    assert acts(clone) == []
    assert not (clone.path / ".run").exists()


def test_composes_own_words_are_handed_on_as_they_are(clone: Project) -> None:
    shown(clone, "logs", "--follow", "two words", LIVE="1")
    files = "--env-file /dev/null --file infra/docker/compose.yml --file infra/docker/compose.dev.yml"
    assert acts(clone) == [f"docker compose {files} logs --follow two words"]


@pytest.mark.parametrize(
    ("words", "told", "said"),
    [
        (["down", "web"], {}, "unknown argument web; see scripts/compose --help"),
        (["up", "--nonsense"], {}, "unknown option --nonsense; see scripts/compose --help"),
        (["--nonsense"], {}, "unknown option --nonsense; see scripts/compose --help"),
        (["down"], {"PURGE": "yes"}, "PURGE=yes cannot be followed; give a whole number from 0 to 1"),
        ([], {"PORT": "x"}, "PORT=x cannot be followed; give a whole number from 1 to 65535"),
        ([], {"LIVE": "yes"}, "LIVE=yes cannot be followed; give a whole number from 0 to 1"),
        *(
            (
                [],
                {"COMPOSE_PROFILES": told},
                f"there is no profile {bad}; COMPOSE_PROFILES names some of mariadb,admin",
            )
            for told, bad in {
                "bogus": "bogus",
                "admin,maria": "maria",
                "mariadb, admin": " admin",
                "*": "*",
            }.items()
        ),
    ],
)
def test_what_cannot_be_followed_is_one_line(
    clone: Project, words: list[str], told: dict[str, str], said: str
) -> None:
    assert refusal(clone, *words, **told) == said


def test_without_an_engine_it_says_why_and_still_has_its_help(clone: Project) -> None:
    (clone.state / "no-engine").write_text("WARNING: no config\npermission denied: /var/run/docker.sock\n")
    assert refusal(clone) == (
        "there is no Docker engine for you here: permission denied: /var/run/docker.sock; "
        "mend that, or use `make up`"
    )
    assert "\nusage: scripts/compose" in shown(clone, "--help")


def test_a_port_that_is_taken_is_one_line_with_the_remedy(clone: Project, taken: str) -> None:
    other = f"choose another one: PORT={int(taken) + 1} scripts/compose"
    assert refusal(clone, PORT=taken) == f"port {taken} is taken by another program; {other}"
    adminer = {"COMPOSE_PROFILES": "mariadb,admin", "ADMINER_PORT": taken}
    assert f"ADMINER_PORT={int(taken) + 1}" in refusal(clone, **adminer)
    shown(clone, "down", PORT=taken)


def test_a_port_that_its_own_proxy_has_is_not_taken(clone: Project, taken: str) -> None:
    (clone.state / "published").write_text(f"127.0.0.1:{taken}\n")
    assert f"http://localhost:{taken}/" in shown(clone, PORT=taken)


def test_secrets_are_invented_once(clone: Project) -> None:
    shown(clone)
    made = {name: (clone.path / ".run/compose" / name).read_text() for name in SECRETS}
    assert len(set(made.values())) == 3
    assert all(len(text) > 40 for text in made.values())
    volumes(clone, "database", "cache")
    shown(clone)
    assert made == {name: (clone.path / ".run/compose" / name).read_text() for name in SECRETS}


def test_secrets_that_are_gone_are_not_invented_anew_while_there_is_data(clone: Project) -> None:
    shown(clone)
    acts(clone)
    volumes(clone, "database", "cache")
    lost = clone.path / ".run/compose/PGPASSWORD"
    lost.unlink()
    assert refusal(clone) == (
        f"PGPASSWORD is gone from {lost.parent}, and the volumes of marefia were made with it; "
        "put it back, or delete the data, too: PURGE=1 scripts/compose down"
    )
    assert "would" not in refusal(clone, "--dry-run")
    shown(clone, "down", PURGE="1")
    volumes(clone)
    shown(clone)
    assert lost.stat().st_size > 40


def test_what_containers_read_is_readable_under_a_closed_umask(clone: Project) -> None:
    mounted = [clone.path / name for name in ("infra/docker/haproxy.cfg", "app/page.html", "app")]
    for path in mounted:
        path.chmod(0o700 if path.is_dir() else 0o600)
    before = os.umask(0o077)
    try:
        shown(clone)
        assert [path.stat().st_mode & 0o777 for path in mounted] == [0o644, 0o600, 0o700]
        shown(clone, LIVE="1")
    finally:
        os.umask(before)
    assert [path.stat().st_mode & 0o777 for path in mounted] == [0o644, 0o644, 0o755]
    folder = clone.path / ".run/compose"
    assert folder.stat().st_mode & 0o777 == 0o700, "nobody else of this machine gets at the secrets"
    assert {(folder / name).stat().st_mode & 0o777 for name in SECRETS} == {0o644}


def test_a_new_database_gets_the_demo_data_and_one_with_data_does_not(clone: Project) -> None:
    said = shown(clone)
    image, up, demo = acts(clone)
    assert (image, up.endswith(" up --detach --wait --wait-timeout 180")) == ("release image", True)
    assert demo.endswith(" exec -T web python /srv/start.py sh -c python manage.py demo")
    assert said.endswith("/  login admin@example.org, password marefia-demo\n")
    volumes(clone, "database")
    shown(clone)
    assert len(acts(clone)) == 2
    shown(clone, COMPOSE_PROFILES="mariadb")
    assert len(acts(clone)) == 3, "MariaDB has data of its own"


def test_demo_data_that_could_not_be_loaded_is_loaded_the_next_time(clone: Project) -> None:
    (clone.state / "fails").touch()
    clone.run("scripts/compose", status=1)
    volumes(clone, "database")
    (clone.state / "fails").unlink()
    acts(clone)
    shown(clone)
    assert " exec " in acts(clone)[-1]
    shown(clone)
    assert " exec " not in acts(clone)[-1]


@pytest.mark.parametrize(
    ("states", "said"),
    [
        ("migrate exited 1 \ndatabase running 0 healthy\nweb created 0 \n", "migrate"),
        ("proxy running 0 unhealthy\ncache restarting 0 \nmigrate exited 0 \n", "cache proxy"),
    ],
)
def test_services_that_do_not_come_up_are_named_with_what_they_said_last(
    clone: Project, states: str, said: str
) -> None:
    (clone.state / "ended").write_text(states)
    done = clone.run("scripts/compose", status=1)
    assert done.stderr == f"{said}: the reason\nerror: not up: {said}; see scripts/compose logs {said}\n"
    assert "http" not in done.stdout


def test_what_compose_itself_refuses_is_left_to_its_own_words(clone: Project) -> None:
    (clone.state / "ended").touch()
    assert clone.run("scripts/compose", status=1).stderr == "error: Compose failed; see above\n"


@pytest.mark.parametrize("kind", ["containers", "owner"])
@pytest.mark.parametrize("words", [[], ["down"], ["restart", "web"], ["--dry-run"]])
def test_what_another_clone_has_is_left_alone(
    clone: Project, tmp_path: Path, kind: str, words: list[str]
) -> None:
    first = tmp_path / "first clone"
    (first / "infra/docker").mkdir(parents=True)
    belongs(clone, first, kind)
    assert refusal(clone, *words, PURGE="1") == (
        f"the project marefia belongs to {first}; give this clone one of its own: "
        "COMPOSE_PROJECT_NAME=marefia-2 scripts/compose (this one gets it once that folder is gone)"
    )


@pytest.mark.parametrize("kind", ["containers", "owner"])
def test_what_a_clone_that_is_gone_had_is_taken_over(clone: Project, tmp_path: Path, kind: str) -> None:
    shown(clone)
    acts(clone)
    belongs(clone, tmp_path / "moved", kind)
    shown(clone)
    assert acts(clone)[1].endswith(" up --detach --wait --wait-timeout 180 --force-recreate")
    assert (clone.state / "owner").read_text() == f"{clone.path}/infra/docker\n"
    shown(clone, "down", PURGE="1")
    assert not (clone.state / "owner").exists()


def test_a_clone_that_cannot_be_looked_for_is_not_taken_for_gone(clone: Project, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    (closed / "first/infra/docker").mkdir(parents=True)
    belongs(clone, closed / "first", "owner")
    closed.chmod(0)
    try:
        assert refusal(clone).startswith(f"the project marefia belongs to {closed}/first; ")
    finally:
        closed.chmod(0o700)


def test_its_own_project_is_its_own_by_whatever_path(clone: Project, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(clone.path)
    shown(clone)
    acts(clone)
    belongs(clone, tmp_path / "link", "containers")
    shown(clone)
    assert acts(clone)[1].endswith(" 180")


def test_volumes_of_nobody_known_are_not_purged_by_a_clone_that_never_made_any(clone: Project) -> None:
    volumes(clone, "marefia_database", "marefia_cache")
    assert refusal(clone, "down", PURGE="1") == (
        "the project marefia has volumes of a clone that is not known; give this clone one of its own: "
        "COMPOSE_PROJECT_NAME=marefia-2 scripts/compose, or delete them: "
        "docker volume rm marefia_database marefia_cache"
    )
