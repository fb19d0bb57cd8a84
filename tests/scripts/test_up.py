"""up, down, deploy, play and venv: what they start, and the one line when they cannot."""

from __future__ import annotations

import fcntl
import re
import subprocess
from pathlib import Path

import pytest

from tests.rollout.processes import tree
from tests.scripts.project import Project, clean_environment, wait_until

REPOSITORY = Path(__file__).parents[2]
VERSION = "20261123-052500-0123456789ab"

# Stands for every program of a virtual environment: notes how it was called, says and does what files tell.
PROGRAM = """\
#!/bin/sh
echo "$(basename "$0") $*${VERSION:+ VERSION=$VERSION}" >>"STATE/calls"
case "$*" in
    *ensurepip*) test ! -e "STATE/no-ensurepip" ;;
    *version_info*) test ! -e "STATE/old" ;;
    --version) echo "Python 3.10.12" ;;
    "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
    "-m pip install "*) cp "$0" "$(dirname "$0")/uv" ;;
    "scripts/release.py version") echo VERSION_OF_THE_CHECKOUT ;;
    "scripts/release.py bundle") test ! -e "STATE/unbuildable" || { echo "error: no; mend it" >&2; exit 1; } ;;
    "scripts/running.py --urls") echo "  site  http://127.0.0.1:1/" ;;
    "scripts/running.py "*) test -e "STATE/runs" ;;
esac
""".replace("VERSION_OF_THE_CHECKOUT", VERSION)
LOCK = "{}==1 --hash=sha256:0\nuv==2 \\\n    --hash=sha256:1\n"


@pytest.fixture
def fresh(project: Project) -> Project:
    """A checkout without a virtual environment, on a machine whose Python is only played."""
    machine = project.path.parent / "machine"
    machine.mkdir()
    program(machine / "python3", project)
    project.write(
        {f"requirements/{name}.txt": LOCK.format(name) for name in ("ops", "dev")},
        {
            "infra/inventories/dev/hosts.yml": "rollout_engine: process\n",
            "infra/inventories/staging/hosts.yml": "",
        },
        {f"playbooks/{name}.yml": "" for name in ("deploy", "down", "status")},
    )
    project.environment |= {"PATH": f"{machine}:{project.environment['PATH']}"}
    return project


@pytest.fixture
def installed(fresh: Project) -> Project:
    """A checkout with a virtual environment that is as its lock says."""
    fresh.run("scripts/venv", "ops")
    program(fresh.path / ".venv/bin/ansible-playbook", fresh)
    calls(fresh).unlink()
    return fresh


def program(path: Path, project: Project) -> None:
    path.write_text(PROGRAM.replace("STATE", str(project.state)))
    path.chmod(0o755)


def calls(project: Project) -> Path:
    return project.state / "calls"


def called(project: Project) -> list[str]:
    """What was started, in order; the machine's own looks at the Python left out."""
    lines = calls(project).read_text().splitlines() if calls(project).exists() else []
    return [line for line in lines if " -c " not in line and not line.endswith("--version")]


def refusal(project: Project, *command: str, **more: str) -> str:
    """The one line with which a command refuses."""
    done = project.run(*command, status=1, **more)
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert "; " in done.stderr, "no remedy"
    return done.stderr.removeprefix("error: ").rstrip("\n")


def shown(project: Project, *command: str, **more: str) -> str:
    done = project.run(*command, status=0, **more)
    assert done.stderr == ""
    return done.stdout


def test_python_3_10_is_one_line_that_names_the_remedy(fresh: Project) -> None:
    (fresh.state / "old").touch()
    for script in ("up", "deploy", "venv"):
        assert refusal(fresh, f"scripts/{script}") == (
            "Python 3.10.12 is too old; install Python 3.11 or later, or name one: make PYTHON=python3.11 ..."
        )
    assert not (fresh.path / ".venv").exists()


def test_python_3_10_is_refused_also_where_everything_is_installed(installed: Project) -> None:
    (installed.state / "old").touch()
    assert "Python 3.10.12 is too old" in refusal(installed, "scripts/up")


def test_a_python_that_is_not_there_is_one_line(fresh: Project) -> None:
    assert refusal(fresh, "scripts/venv", PYTHON="python9") == (
        "there is no python9 here; install Python 3.11 or later, or name one: make PYTHON=python3.11 ..."
    )


@pytest.mark.parametrize("script", ["up", "deploy", "down", "play"])
def test_what_cannot_be_followed_is_refused_before_anything_is_done(fresh: Project, script: str) -> None:
    command = (f"scripts/{script}", *(["deploy"] if script == "play" else []))
    assert refusal(fresh, *command, ENV="nonsense") == (
        "there is no environment nonsense here; choose one: ENV=dev,staging"
    )
    assert refusal(fresh, *command, ROLLOUT_WAIT_SECONDS="x") == (
        "ROLLOUT_WAIT_SECONDS=x cannot be followed; give a whole number from 0 to 86400"
    )
    assert refusal(fresh, *command, SINCE="yesterday") == (
        "SINCE=yesterday cannot be followed; say how long ago, as 90s, 10m, 2h or 1d"
    )
    assert refusal(fresh, *command, INVENTORY="infra/inventories/dev/hosts.yml,nowhere.yml") == (
        "there is no inventory nowhere.yml; INVENTORY names files, with commas between"
    )
    assert called(fresh) == []


@pytest.mark.parametrize("port", ["abc", "0", "65536", "-1", "8 000", "8000x", "0x10", "1e3", "9" * 30])
def test_what_is_no_port_is_refused(installed: Project, port: str) -> None:
    assert refusal(installed, "scripts/play", "status", PORT=port) == (
        f"PORT={port} cannot be followed; give a whole number from 1 to 65535"
    )


def test_the_ends_of_a_range_belong_to_it(installed: Project) -> None:
    for port in ("1", "65535", "08001"):
        shown(installed, "scripts/play", "status", PORT=port)


def test_every_number_that_a_playbook_reads_is_looked_at_first(installed: Project) -> None:
    texts = [path.read_text() for path in (REPOSITORY / "playbooks").rglob("*.yml")]
    read = re.findall(r"lookup\('env', '(\w+)'\)[^}]*\| (?:int|float|bool) }}", "\n".join(texts))
    assert {"PORT", "KEEP", "DRY_RUN", "ROLLOUT_LEASE_SECONDS"} <= set(read)
    for name in (*read, "PURGE"):
        assert refusal(installed, "scripts/play", "status", **{name: "many"}).startswith(
            f"{name}=many cannot be followed; give a whole number from "
        )


@pytest.mark.parametrize("character", ["'", '"', "$", "`", "\\", "\n"])
def test_a_folder_whose_name_no_settings_file_may_hold_is_refused(installed: Project, character: str) -> None:
    done = installed.run("scripts/play", "deploy", status=1, ROLLOUT_ROOT=f"/srv/o{character}b")
    assert done.stderr.endswith(" has a quote, $ or \\ in its name; give another one: ROLLOUT_ROOT=...\n")
    assert called(installed) == []


def test_zero_is_no(installed: Project) -> None:
    (installed.state / "lease.number").touch()
    shown(installed, "scripts/down", PURGE="0", DRY_RUN="0")
    assert len(called(installed)) == 1, "it was stopped"
    assert installed.state.exists(), "and not deleted"


@pytest.mark.parametrize("version", ["../../etc", ".hidden", "a b", "$(id)"])
def test_what_is_no_version_is_refused(installed: Project, version: str) -> None:
    assert refusal(installed, "scripts/play", "deploy", VERSION=version) == (
        f"VERSION={version} is not a version; `make releases` lists those that are kept"
    )


def test_another_python_may_be_named(fresh: Project, tmp_path: Path) -> None:
    program(tmp_path / "python3.99", fresh)
    fresh.run("scripts/venv", PYTHON=str(tmp_path / "python3.99"))
    assert called(fresh)[0] == "python3.99 -m venv .venv"


def test_a_python_without_its_venv_module_is_one_line(fresh: Project) -> None:
    (fresh.state / "no-ensurepip").touch()
    assert refusal(fresh, "scripts/venv") == (
        "this Python cannot make virtual environments; install its venv module (Debian: apt install python3-venv)"
    )


def test_what_the_lock_says_is_installed_once(fresh: Project) -> None:
    assert shown(fresh, "scripts/venv", "ops") == "installing what requirements/ops.txt locks into .venv\n"
    assert (fresh.path / ".venv/uv.txt").read_text() == "uv==2 \\\n    --hash=sha256:1\n", "hashed itself"
    assert [line.split(" -")[0] for line in called(fresh)] == ["python3", "python", "uv pip sync"]
    assert called(fresh)[-1].endswith("--require-hashes requirements/ops.txt")
    assert shown(fresh, "scripts/venv", "ops") == ""
    assert len(called(fresh)) == 3


def test_a_changed_lock_is_installed_anew(installed: Project) -> None:
    installed.write({"requirements/ops.txt": "ops==2 --hash=sha256:2\nuv==2 --hash=sha256:1\n"})
    assert shown(installed, "scripts/venv", "ops").startswith("installing")
    assert called(installed)[0].startswith("uv pip sync"), "the folder and uv are there already"


def test_what_is_enough_for_tests_is_enough_to_roll_out(installed: Project) -> None:
    assert shown(installed, "scripts/venv", "dev").startswith("installing what requirements/dev.txt")
    assert shown(installed, "scripts/venv", "ops") == ""


def test_a_rollout_with_a_changed_lock_does_not_take_the_tools_of_the_tests_away(installed: Project) -> None:
    shown(installed, "scripts/venv", "dev")
    installed.write({f"requirements/{name}.txt": LOCK.format("other") for name in ("ops", "dev")})
    assert shown(installed, "scripts/venv", "ops").startswith("installing what requirements/dev.txt")


def test_of_two_who_want_it_at_once_the_second_finds_it_made(fresh: Project) -> None:
    with (fresh.path / ".venv.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        second = subprocess.Popen(["scripts/venv"], cwd=fresh.path, env=fresh.environment)
        wait_until(lambda: any(one.runs("flock 8") for one in tree(second.pid)))
        (fresh.path / ".venv").mkdir()
        stamp = subprocess.run(
            ["sha256sum", "requirements/ops.txt"], cwd=fresh.path, text=True, capture_output=True
        )
        (fresh.path / ".venv/.installed").write_text(f"ops {stamp.stdout}")
    assert second.wait(20) == 0
    assert called(fresh) == []


def test_an_installation_that_failed_is_tried_again(fresh: Project) -> None:
    fresh.write({"requirements/ops.txt": "ops==1 --hash=sha256:0\n"})
    assert fresh.run("scripts/venv", status=None).returncode != 0
    assert not (fresh.path / ".venv/.installed").exists()


def test_a_dry_run_installs_what_it_needs_to_look(fresh: Project) -> None:
    shown(fresh, "scripts/venv", DRY_RUN="1")
    assert (fresh.path / ".venv/.installed").exists()


def test_an_unknown_set_is_refused(fresh: Project) -> None:
    assert refusal(fresh, "scripts/venv", "nonsense") == "there is no set nonsense; see scripts/venv --help"


def test_up_with_nothing_to_do_says_so_and_shows_the_urls(installed: Project) -> None:
    (installed.state / "runs").touch()
    assert shown(installed, "scripts/up") == f"nothing to do: {VERSION} runs\n  site  http://127.0.0.1:1/\n"
    assert not any("ansible-playbook" in line for line in called(installed))


def test_up_builds_and_rolls_out_what_does_not_run_yet(installed: Project) -> None:
    said = shown(installed, "scripts/up", VERSION="an old one")
    assert said.endswith(f"rolling {VERSION} out to dev\n  site  http://127.0.0.1:1/\n")
    assert [line for line in called(installed) if "running" not in line][-2:] == [
        f"python scripts/release.py bundle VERSION={VERSION}",
        f"ansible-playbook --inventory=infra/inventories/dev/hosts.yml playbooks/deploy.yml VERSION={VERSION}",
    ]


def test_up_is_for_this_machine(installed: Project) -> None:
    (installed.path / "cluster.yml").write_text("all:\n  vars:\n    rollout_engine: kubernetes\n")
    line = refusal(installed, "scripts/up", INVENTORY="cluster.yml")
    assert line == "make up runs the service on this machine, and dev is elsewhere; use make deploy"
    assert called(installed) == []


def test_a_kept_release_is_rolled_out_without_a_build(installed: Project) -> None:
    assert (
        shown(installed, "scripts/deploy", VERSION="kept", ENV="staging") == "rolling kept out to staging\n"
    )
    assert called(installed) == [
        "ansible-playbook --inventory=infra/inventories/staging/hosts.yml playbooks/deploy.yml VERSION=kept"
    ]


def test_a_build_that_failed_is_not_rolled_out(installed: Project) -> None:
    (installed.state / "unbuildable").touch()
    assert refusal(installed, "scripts/deploy") == "no; mend it"
    assert not any("ansible-playbook" in line for line in called(installed))


def test_a_playbook_gets_the_options_that_follow_it(installed: Project) -> None:
    shown(installed, "scripts/play", "status", "-v")
    assert called(installed) == [
        "ansible-playbook --inventory=infra/inventories/dev/hosts.yml playbooks/status.yml -v"
    ]


def test_an_environment_keeps_the_port_that_it_was_given_once(installed: Project) -> None:
    (installed.state / "run").mkdir()
    (installed.state / "run/port.json").write_text('{\n "port": 8123\n}\n')
    stub = installed.path / ".venv/bin/ansible-playbook"
    stub.write_text('#!/bin/sh\necho "port $PORT"\n')
    assert shown(installed, "scripts/play", "status", PORT="") == "port 8123\n"
    assert shown(installed, "scripts/play", "status", PORT="9000") == "port 9000\n"


def test_an_unknown_playbook_is_named_with_where_there_are_others(installed: Project) -> None:
    assert refusal(installed, "scripts/play", "nonsense") == (
        "there is no playbook nonsense; choose one of playbooks/"
    )


@pytest.mark.parametrize("script", ["up", "down", "deploy", "lock"])
def test_an_argument_that_is_not_known_is_refused(installed: Project, script: str) -> None:
    line = f"unknown argument nonsense; see scripts/{script} --help"
    assert refusal(installed, f"scripts/{script}", "nonsense") == line
    assert refusal(installed, f"scripts/{script}", "--nonsense").startswith("unknown option --nonsense")
    assert called(installed) == []


@pytest.mark.parametrize("script", ["up", "down", "deploy", "play", "venv", "check", "lock"])
def test_the_header_of_a_script_is_its_help(installed: Project, script: str) -> None:
    help_of_it = shown(installed, f"scripts/{script}", "--help")
    assert f"\nusage: scripts/{script}" in help_of_it
    assert called(installed) == []


def test_a_playbook_has_to_be_named(installed: Project) -> None:
    assert "usage: scripts/play PLAYBOOK" in shown(installed, "scripts/play")


def test_down_where_nothing_was_started_has_nothing_to_do(installed: Project) -> None:
    for where in (installed.state, installed.state / "nowhere"):
        said = shown(installed, "scripts/down", ROLLOUT_ROOT=str(where))
        assert said == f"nothing to stop: nothing was rolled out to {where}\n"
    assert shown(installed, "scripts/down", ROLLOUT_ROOT=str(where), PURGE="1") == said
    assert called(installed) == []


def test_down_keeps_the_data(installed: Project) -> None:
    (installed.state / "lease.number").touch()
    assert shown(installed, "scripts/down") == ""
    assert called(installed) == [
        "ansible-playbook --inventory=infra/inventories/dev/hosts.yml playbooks/down.yml"
    ]
    assert installed.state.exists()


def test_down_with_purge_deletes_the_environment(installed: Project) -> None:
    (installed.state / "lease.number").touch()
    assert shown(installed, "scripts/down", PURGE="1") == f"deleted {installed.state}\n"
    assert not installed.state.exists()


def test_a_folder_that_no_rollout_made_is_never_deleted(installed: Project) -> None:
    assert refusal(installed, "scripts/down", PURGE="1") == (
        f"{installed.state} is not an environment's folder; look at ROLLOUT_ROOT, or delete it by hand"
    )
    assert installed.state.exists()
    assert called(installed) == [], "a playbook takes the lease, and then it would look like one"


def test_a_dry_run_of_down_stops_and_deletes_nothing(installed: Project) -> None:
    (installed.state / "lease.number").touch()
    assert shown(installed, "scripts/down", PURGE="1", DRY_RUN="1") == (
        f"would run: scripts/play down\nwould run: rm -rf {installed.state}\n"
    )
    assert called(installed) == []
    assert installed.state.exists()


def test_down_reaches_servers_and_purges_none(installed: Project) -> None:
    installed.write({"infra/inventories/staging/hosts.yml": "all: {vars: {rollout_engine: systemd}}\n"})
    assert refusal(installed, "scripts/down", ENV="staging", PURGE="1") == (
        "PURGE=1 deletes what is on this machine, and staging is not; run it without PURGE"
    )
    assert called(installed) == []
    assert shown(installed, "scripts/down", ENV="staging") == ""
    assert called(installed) == [
        "ansible-playbook --inventory=infra/inventories/staging/hosts.yml playbooks/down.yml"
    ]


def test_every_set_is_locked_with_hashes_for_every_platform(installed: Project) -> None:
    shown(installed, "scripts/lock", UPGRADE="0")
    assert [line.rpartition(" ")[2] for line in called(installed)] == [
        "service.txt",
        "ops.txt",
        "process.txt",
        "dev.txt",
        "policy.txt",
    ]
    assert all("--universal" in line and "--generate-hashes" in line for line in called(installed))
    calls(installed).unlink()
    assert shown(installed, "scripts/lock", "--dry-run").count("would run: ") == 5
    assert called(installed) == []


def test_a_fresh_clone_installs_first_what_locks(fresh: Project) -> None:
    shown(fresh, "scripts/lock")
    assert called(fresh)[2].startswith("uv pip sync")
    assert called(fresh)[3].startswith("uv pip compile")


def test_locked_versions_stay_unless_newer_ones_are_wanted(installed: Project) -> None:
    shown(installed, "scripts/lock")
    assert not any("--upgrade" in line for line in called(installed))
    calls(installed).unlink()
    shown(installed, "scripts/lock", UPGRADE="1")
    assert all("--upgrade" in line for line in called(installed))
    assert refusal(installed, "scripts/lock", UPGRADE="all").startswith("UPGRADE=all cannot be followed")


@pytest.mark.parametrize(
    ("what", "started"),
    [
        ("test", "-m pytest -m not verify and not chaos -n 2 --junitxml=.run/reports/test.xml tests"),
        ("verify", "-m pytest -m (verify or browser) and not chaos -n 2 tests"),
        ("chaos", "-m pytest -m verify or chaos tests"),
        ("coverage", "-m tests.coverage"),
        ("removals", "-m tests.removals --under playbooks"),
        ("bench", "-m tests.bench"),
    ],
)
def test_a_check_starts_what_its_name_says(installed: Project, what: str, started: str) -> None:
    shown(installed, "scripts/check", what, VERSION="of this checkout")
    assert called(installed)[-1] == f"python {started}", "with VERSION, a test would roll that one out"


def test_a_check_can_be_narrowed_and_has_to_be_known(installed: Project) -> None:
    shown(installed, "scripts/check", "verify", T="tests/k8s")
    assert called(installed)[-1] == "python -m pytest -m (verify or browser) and not chaos -n 2 tests/k8s"
    installed.run("scripts/check", "nonsense", status=1)
    assert (
        refusal(installed, "scripts/check", "nonsense")
        == "there is no check nonsense; see scripts/check --help"
    )


def test_help_fits_on_one_screen_and_names_every_target() -> None:
    told = subprocess.run(
        ["make", "help"], cwd=REPOSITORY, env=clean_environment(), text=True, capture_output=True, check=True
    ).stdout.splitlines()
    targets = set(re.findall(r"(?m)^([a-z]\w*):", (REPOSITORY / "Makefile").read_text()))
    named = {match[1] for line in told if (match := re.match(r"  make (\w+) ", line))}
    assert named == targets
    assert 24 <= len(told) <= 40
    assert max(map(len, told)) <= 80
    phony = re.search(r"(?m)^\.PHONY: (.*)$", (REPOSITORY / "Makefile").read_text())
    assert phony is not None
    assert set(phony[1].split()) == targets, "a file of that name would hide a target"


def test_neither_playbooks_nor_scripts_know_the_service_by_its_name() -> None:
    name = re.search(r"(?m)^name: (\w+)$", (REPOSITORY / "infra/service.yml").read_text())
    assert name is not None
    find = ["grep", "-rli", "--exclude-dir=__pycache__", name[1]]
    found = subprocess.run([*find, "playbooks", "scripts"], cwd=REPOSITORY, text=True, capture_output=True)
    assert (found.returncode, found.stdout, found.stderr) == (1, "", "")
    assert subprocess.run([*find, "infra"], cwd=REPOSITORY, capture_output=True).returncode == 0
