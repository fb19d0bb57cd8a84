"""Bad input: one clear line that names the remedy, a status that is not zero, and the running release untouched."""

from __future__ import annotations

import shlex
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from rollout.files import sha256
from tests import parts
from tests.parts import keys
from tests.playbooks.untouched import refusal, untouched
from tests.rollout.changes import (
    contracting_migration,
    expanding_migration,
    forgetting_migration,
    replace,
    visible_text,
)
from tests.rollout.checkout import Checkout, Run
from tests.rollout.state import columns

pytestmark = pytest.mark.verify

COLUMN = "door_code"
NAMESPACE = ("unshare", "--user", "--mount", "--map-root-user")
SMALL_DISK = subprocess.run(
    [*NAMESPACE, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True
).returncode
small_disk = pytest.mark.usefixtures("namespaces")


@pytest.fixture
def namespaces() -> None:
    """What a disk of a test's own needs."""
    if SMALL_DISK:
        parts.absent("namespaces", "unshare cannot mount a tmpfs here")


@pytest.fixture(scope="module")
def site(checkout: Checkout) -> Checkout:
    """A release with a column of its own serves."""
    checkout.commit(expanding_migration(COLUMN))
    checkout.make("deploy")
    return checkout


def serving(site: Checkout) -> str:
    return str(site.read("current")["version"])


def bundle(site: Checkout, version: str) -> Path:
    """Where the store keeps a release."""
    (found,) = (site.folder / "releases").glob(f"*-{version}.tar")
    return found


def copied(site: Checkout, version: str) -> Path:
    """A bundle under another release's name, with a checksum that fits."""
    source = bundle(site, serving(site))
    path = source.with_name(source.name.replace(serving(site), version))
    shutil.copy(source, path)
    path.with_suffix(".tar.sha256").write_text(f"{sha256(path)}  {path.name}\n")
    return path


def on_a_small_disk(site: Checkout, mounted: str, *words: str) -> Run:
    """Run `make deploy` where a command in a shell of its own namespace has mounted small disks."""
    command = " ".join(shlex.quote(word) for word in words)
    script = f"#!/bin/bash\nset -euo pipefail\n{mounted}\nexec {command}\n"
    program = site.folder / "on-a-small-disk"
    program.write_text(script)
    program.chmod(0o755)
    log = site.folder / "small-disk.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*NAMESPACE, program],
            cwd=site.path,
            env=site.environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    run = Run(process, log)
    run.wait(300)
    return run


def test_every_missing_setting_is_named_in_one_line(site: Checkout) -> None:
    settings = site.path / "infra/environments/dev.env"
    complete = settings.read_text()
    kept = [
        line for line in complete.splitlines() if not line.startswith(("LOG_LEVEL=", "MAIL_URL=", "WEB_T"))
    ]
    settings.write_text("\n".join([*kept, "WEB_THREADS=many"]) + "\n")
    try:
        with untouched(site):
            line = refusal(site.make("deploy", f"VERSION={serving(site)}", check=False))
    finally:
        settings.write_text(complete)
    assert line.startswith("deploy failed in step preflight: the check of ")
    assert all(name in line for name in ("LOG_LEVEL", "MAIL_URL", "WEB_THREADS"))
    assert line.endswith("mend the settings or the release and deploy again")
    assert site.history()[-1]["reason"] == line.removeprefix("deploy failed in step preflight: ")


def test_settings_with_which_no_release_can_be_built_are_named_before_anything_is_rolled_out(
    site: Checkout,
) -> None:
    settings, before = site.path / "infra/environments/dev.env", len(site.history())
    complete = settings.read_text()
    settings.write_text(complete.replace("LOG_LEVEL=", "LOG_LEVLE="))
    try:
        with untouched(site):
            line = refusal(site.make("deploy", check=False))
    finally:
        settings.write_text(complete)
    assert "LOG_LEVEL" in line
    assert "mend the application or infra/environments/dev.env" in line
    assert len(site.history()) == before


def test_a_port_that_somebody_else_has_is_named_with_the_way_to_another(site: Checkout) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, untouched(site):
        port = other.getsockname()[1]
        run = site.make(
            "deploy",
            f"VERSION={serving(site)}",
            f"PORT={port}",
            check=False,
            ROLLOUT_ROOT=str(site.folder / "another"),
        )
    assert refusal(run) == (
        f"deploy failed in step preflight: port {port} cannot be used: Address already in use; "
        "stop what listens there, or choose another one: make up PORT=8001"
    )
    assert not (site.folder / "another/run/circus.pid").exists()


def test_the_port_of_a_running_service_cannot_be_changed_under_it(site: Checkout) -> None:
    with untouched(site):
        line = refusal(site.make("deploy", f"VERSION={serving(site)}", "PORT=1", check=False))
    assert line.endswith(
        f"the service runs on port {site.port}, not 1; run `make down` first to change the port"
    )


def test_an_unknown_version_is_one_line_that_says_what_lists_the_others(site: Checkout) -> None:
    unknown = "20200101-000000-nonsense"
    with untouched(site):
        line = refusal(site.make("deploy", f"VERSION={unknown}", check=False))
    assert line.startswith("deploy failed in step preflight: there is no bundle ")
    assert line.endswith("`make releases` lists what is kept; `make build` makes this commit's")
    with untouched(site):
        line = refusal(site.make("rollback", f"VERSION={unknown}", check=False))
    assert line == (
        f"rollback failed in step lock: {unknown} never served here; "
        "`make deploy VERSION=...` rolls it out if `make releases` lists it"
    )
    assert site.history()[-1]["reason"] in line


def test_the_first_release_has_none_to_roll_back_to(site: Checkout) -> None:
    with untouched(site):
        line = refusal(site.make("rollback", check=False))
    assert "no release ran here before this one; name one: make rollback VERSION=..." in line


def test_one_changed_byte_of_a_bundle_is_found(site: Checkout) -> None:
    path = copied(site, "20991231-000000-corrupted000")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with untouched(site):
        line = refusal(site.make("deploy", "VERSION=20991231-000000-corrupted000", check=False))
    assert line == (
        f"deploy failed in step preflight: {path} is corrupt: its checksum is not the one written beside it; "
        "delete it and run `make build`, or fetch it again"
    )
    assert not (site.root / "releases/20991231-000000-corrupted000").exists()
    path.unlink()


def test_where_somebody_has_to_sign_no_unsigned_bundle_is_rolled_out_here_or_sent(
    site: Checkout, tmp_path: Path
) -> None:
    version, key = serving(site), keys.made(tmp_path)
    path, signers = bundle(site, version), site.path / "infra/signers/dev"
    sent, elsewhere = site.root / "bundles" / path.name, site.folder / "elsewhere.yml"
    elsewhere.write_text(f"all: {{vars: {{rollout_bundles: {sent.parent}}}}}\n")
    hosts = f"INVENTORY=infra/inventories/dev/hosts.yml,{elsewhere}"
    site.make("build", f"SIGNING_KEY={key}")
    signature = path.with_suffix(".tar.sig")
    made = signature.read_bytes()
    signature.unlink()
    signers.parent.mkdir()
    signers.write_text(keys.line(key))
    try:
        for where in ([], [hosts]):
            with untouched(site):
                line = refusal(site.make("deploy", f"VERSION={version}", *where, check=False))
            assert line == (
                f"deploy failed in step preflight: {path} has no signature beside it; "
                "run `make build SIGNING_KEY=FILE` at its commit, or fetch that"
            )
            assert not sent.exists()
        signature.write_bytes(made)
        with untouched(site):
            run = site.make("deploy", f"VERSION={version}", hosts, "DRY_RUN=1")
        assert f"{version} is here, signed by abebe, its check passed" in run.output
        sent.with_suffix(".tar.sig").unlink()
        with untouched(site):
            run = site.make(
                "deploy", f"VERSION={version}", hosts, check=False, RELEASES=str(site.folder / "empty")
            )
        assert refusal(run).startswith(f"deploy failed in step preflight: {sent} has no signature beside it")
    finally:
        shutil.rmtree(signers.parent)


def test_a_checkout_without_git_data_is_one_line(site: Checkout) -> None:
    (site.path / ".git").rename(site.path / "git")
    try:
        for target in ("up", "deploy", "build"):
            with untouched(site):
                line = refusal(site.make(target, check=False))
            assert "is not a usable git checkout (fatal: not a git repository" in line
            assert line.endswith("git clone the repository and work there")
    finally:
        (site.path / "git").rename(site.path / ".git")


def test_python_3_10_is_one_line_for_every_target_that_needs_python(site: Checkout) -> None:
    old = site.folder / "python3"
    old.write_text(
        "#!/bin/sh\n"
        'case "$*" in --version) echo Python 3.10.12 ;; *version_info*) exit 1 ;; *) echo ran; exit 9 ;; esac\n'
    )
    old.chmod(0o755)
    for target in ("up", "deploy", "rollback", "test"):
        with untouched(site):
            run = site.make(target, f"PYTHON={old}", f"VENV={site.folder}/venv", check=False)
        assert refusal(run) == (
            "Python 3.10.12 is too old; install Python 3.11 or later, or name one: make PYTHON=python3.11 ..."
        )
        assert "ran" not in run.output
    assert not (site.folder / "venv").exists()


@small_disk
def test_a_disk_without_room_for_the_release_is_found_before_anything_is_written(site: Checkout) -> None:
    version = "20991231-000000-needsroom000"
    copied(site, version)
    releases = site.root / "releases"
    running, mounts = releases / serving(site), site.folder / "kept"
    mounts.mkdir()
    mounted = (
        f"mount --bind {running} {mounts}; mount -t tmpfs -o size=50m none {releases}; mkdir {running}; "
        f"mount --bind {mounts} {running}"
    )
    with untouched(site):
        line = refusal(on_a_small_disk(site, mounted, "make", "deploy", f"VERSION={version}"))
    assert line.startswith(f"deploy failed in step preflight: {releases} has ")
    assert "MB free, the release needs " in line
    assert line.endswith("free space on that disk and run the command again")


@small_disk
def test_a_store_without_room_for_a_bundle_keeps_no_half_of_one(site: Checkout) -> None:
    commit, store = site.head, site.folder / "releases"
    site.commit(visible_text("too much"))
    kept = sorted(store.iterdir())
    mounted = f"mount -t tmpfs -o size=2m none {store}; trap 'ls -A {store}' EXIT"
    with untouched(site):
        run = on_a_small_disk(site, mounted, "make", "build")
    site.go_to(commit)
    assert refusal(run).startswith("No space left on device (")
    assert refusal(run).endswith("free space on that disk and run the command again")
    assert sorted(store.iterdir()) == kept


@small_disk
def test_a_disk_that_is_full_when_the_database_is_copied_stops_the_rollout_before_the_migration(
    site: Checkout,
) -> None:
    commit, before, backups = site.head, columns(site), site.root / "backups"
    backups.mkdir(exist_ok=True)
    site.commit(expanding_migration("too_much"))
    mounted = f"mount -t tmpfs -o size=16k none {backups}"
    with untouched(site):
        line = refusal(on_a_small_disk(site, mounted, "make", "deploy"))
    site.go_to(commit)
    assert line.startswith("deploy failed in step migrate: ")
    assert "full" in line
    assert "free space" in line
    assert columns(site) == before


@pytest.mark.chaos
def test_a_rollback_past_a_contracting_migration_is_refused_with_the_way_out(site: Checkout) -> None:
    """Last of all: from here on another release serves."""

    def overridden(checkout: Path) -> None:
        (path,) = checkout.glob(f"app/*/*/migrations/*_remove_{COLUMN}.py")
        head = "class Migration(migrations.Migration):\n"
        replace(path, head, f'{head}    rollout_override = "nobody has set it since the last release"\n')

    needy, head = serving(site), site.head
    site.commit(contracting_migration(COLUMN), overridden)
    site.make("deploy")
    assert COLUMN not in columns(site)
    with untouched(site):
        line = refusal(site.make("rollback", check=False))
    assert line.startswith("rollback failed in step preflight: ")
    way_out = f"the older release still uses column stays_booking.{COLUMN}. Way out: go forward instead"
    assert way_out in line
    # In two steps neither: the release between does not use the column, nor does it know what removed it.
    site.go_to(head)
    site.commit(forgetting_migration(COLUMN))
    site.make("deploy")
    with untouched(site):
        line = refusal(site.make("rollback", VERSION=needy, check=False))
    assert way_out in line
