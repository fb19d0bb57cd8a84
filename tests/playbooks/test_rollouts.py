"""What a rollout changes and what it never does: settings, static files, kept releases, dirty trees, dry runs."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from tests.playbooks.untouched import PROCESSES, refusal, untouched
from tests.rollout.changes import append, failing_migration, named, replace, setting, visible_text
from tests.rollout.checkout import Change, Checkout, free_port

pytestmark = pytest.mark.verify


def serving(site: Checkout) -> str:
    return str(site.read("current")["version"])


def bundle(site: Checkout, version: str) -> Path:
    """Where the store keeps a release."""
    (found,) = (site.folder / "releases").glob(f"*-{version}.tar")
    return found


def unpacked(site: Checkout, version: str) -> Path:
    return site.root / "releases" / version


def kept(site: Checkout) -> set[str]:
    """The releases that the store keeps."""
    return {path.stem.split("-", 1)[1] for path in (site.folder / "releases").glob("*.tar")}


def told(site: Checkout, name: str) -> set[str]:
    """What the processes that run were told of a setting."""
    running = [one for process in PROCESSES for one in site.running(process)]
    assert len(running) == len(PROCESSES)
    return {one.environment[name] for one in running}


def style(site: Checkout) -> str:
    """The address of the style sheet of the page that serves."""
    with urlopen(f"{site.url}/", timeout=10) as page:
        (address,) = re.findall(r'href="(/[^"]+/site\.[^"]+\.css)"', page.read().decode())
    return f"{site.url}{address}"


def other_style(text: str) -> Change:
    """A change of every style sheet of the application."""

    def change(checkout: Path) -> None:
        (sheet,) = (checkout / "app").glob("**/static/**/site.css")
        append(sheet, f"/* {text} */\n")

    return named(change, f"style: {text}")


@contextmanager
def edited(site: Checkout, *changes: Change) -> Iterator[None]:
    """Uncommitted changes of the checkout, taken back at the end."""
    for change in changes:
        change(site.path)
    try:
        yield
    finally:
        site.go_to("HEAD")


def test_a_dry_run_says_what_would_change_and_changes_nothing(up: Checkout) -> None:
    before, secret = serving(up), told(up, "SECRET_KEY")
    up.commit(other_style("second"))
    lines = len(up.history())
    with untouched(up):
        run = up.make("deploy", "DRY_RUN=1")
    assert re.search(
        rf"{before} -> \S+-{up.head[:12]} with the same settings, 0 migrations to apply", run.output
    )
    with edited(up, setting("WEB_THREADS", "7")), untouched(up):
        run = up.make("deploy", "DRY_RUN=1", f"VERSION={before}")
    assert f"{before} -> {before} with other settings, 0 migrations to apply" in run.output
    with untouched(up):
        run = up.make("rollback", f"VERSION={before}", "DRY_RUN=1")
        refused = refusal(up.make("deploy", "VERSION=nonsense", "DRY_RUN=1", check=False))
    assert "deploy failed in step preflight: there is no bundle" in refused
    assert len(up.history()) == lines, "a dry run is no rollout"
    assert told(up, "SECRET_KEY") == secret


def test_a_page_of_the_previous_release_still_gets_its_style_after_the_switch(up: Checkout) -> None:
    address = style(up)
    with urlopen(address, timeout=10) as sheet:
        content = sheet.read()
    up.make("deploy")
    new = style(up)
    assert new != address, "the change is not seen: nothing was tested"
    with urlopen(address, timeout=10) as sheet:
        assert sheet.read() == content
    with urlopen(new, timeout=10) as sheet:
        assert sheet.read() == content + b"/* second */\n"
    with pytest.raises(HTTPError, match="404"):
        urlopen(address.replace(".css", "x.css"), timeout=10)


def test_logs_tell_what_every_process_said_lately_by_time(up: Checkout) -> None:
    with untouched(up):
        lines, web = (up.make("logs", *which).output.splitlines() for which in ([], ["PROCESS=web"]))
        refused = refusal(up.make("logs", "PROCESS=nonsense", check=False))
    assert {line.split()[2].partition("-")[0] for line in lines} == set(PROCESSES)
    assert {line.split()[2].partition("-")[0] for line in web} == {"web"}
    assert lines == sorted(lines, key=lambda line: line[:20])
    assert refused == "there is no process nonsense; choose one: PROCESS=web,worker,scheduler"
    assert "cannot be followed" in refusal(up.make("logs", "SINCE=yesterday", check=False))


@pytest.mark.chaos
def test_status_names_what_was_changed_in_the_release_and_the_deploy_that_it_names_mends_it(
    up: Checkout,
) -> None:
    version, release = serving(up), unpacked(up, serving(up))
    page, script, stray = "app/manage.py", "venv/bin/activate.fish", "app/by/hand.py"
    assert "mends it" not in up.make("status").output, "nothing was changed yet"
    before = {name: (release / name).read_bytes() for name in (page, script)}
    append(release / page, "# by hand\n")
    (release / script).unlink()
    (release / stray).parent.mkdir()
    (release / stray).touch()
    for look in ("status", "deploy", "status"):
        with untouched(up):
            told = up.make(look, "DRY_RUN=1", f"VERSION={version}").output
    for wrong in (f"{stray} does not belong there", f"{page} was edited", f"{script} is missing"):
        assert f"  releases/{version}/{wrong}; `make deploy VERSION={version}` mends it\n" in told
    mended = up.make("deploy", f"VERSION={version}").output
    assert f"{version} is here, 3 changed files ({min(stray, page, script)}, ...) mended" in mended
    assert "mends it" not in up.make("status").output
    assert {name: (release / name).read_bytes() for name in before} == before
    assert not (release / stray).parent.exists()


def test_a_rollback_goes_to_the_previous_release(up: Checkout) -> None:
    new, old = serving(up), up.read("current")["previous"]
    up.make("rollback")
    assert up.version()["version"] == serving(up) == old
    assert up.read("current")["previous"] == new
    line = up.history()[-1]
    assert (line["kind"], line["from"], line["to"], line["outcome"]) == ("rollback", new, old, "done")


@pytest.mark.chaos
def test_a_change_of_settings_alone_is_a_rollout_and_a_rollback_takes_it_back(up: Checkout) -> None:
    """The older release, rolled back to, serves with the settings that it had."""
    old, (threads,) = up.read("current")["previous"], told(up, "WEB_THREADS")
    new, processes = serving(up), [one.pid for one in up.running("web")]
    more = str(int(threads) + 2)
    with edited(up, setting("WEB_THREADS", more)):
        up.make("deploy", f"VERSION={new}")
        assert told(up, "WEB_THREADS") == {more}
        assert serving(up) == new
        assert [one.pid for one in up.running("web")] != processes
        assert up.read("current")["previous"] == old, "a release is not its own previous one"
        up.make("rollback")
        assert (serving(up), told(up, "WEB_THREADS")) == (old, {threads})


@pytest.mark.chaos
def test_a_rollout_that_fails_with_new_settings_leaves_the_old_ones(up: Checkout) -> None:
    hosts = told(up, "ALLOWED_HOSTS")
    with edited(up, setting("ALLOWED_HOSTS", "elsewhere.example")), untouched(up):
        line = refusal(up.make("deploy", f"VERSION={serving(up)}", check=False))
    assert line.startswith("deploy failed in step prove: ")
    assert told(up, "ALLOWED_HOSTS") == hosts
    assert up.history()[-1]["outcome"] == "failed"


@pytest.mark.chaos
def test_a_release_of_uncommitted_changes_says_so_and_goes_to_dev_only(up: Checkout) -> None:
    inventory = up.path / "infra/inventories/staging/hosts.yml"
    dev = (up.path / "infra/inventories/dev/hosts.yml").read_text()
    inventory.parent.mkdir(parents=True, exist_ok=True)
    existed = inventory.exists()
    inventory.write_text(dev.replace("rollout_environment: dev", "rollout_environment: staging"))
    visible_text("not committed")(up.path)
    up.make("deploy")
    running = up.version()
    assert re.fullmatch(rf"\d{{8}}-\d{{6}}-{up.head[:12]}-dirty-[0-9a-f]{{8}}", running["version"])
    assert running["commit"] == up.head
    root = str(up.folder / "staging")
    with untouched(up):
        line = refusal(
            up.make("deploy", "ENV=staging", f"PORT={free_port()}", check=False, ROLLOUT_ROOT=root)
        )
    assert line == (
        f"deploy failed in step preflight: {running['version']} holds uncommitted changes and may be rolled out "
        "to dev only; commit them, then `make build` and deploy that"
    )
    if not existed:
        inventory.unlink()
    up.go_to("HEAD")


@pytest.mark.chaos
def test_a_rollback_needs_the_bundle_or_the_unpacked_release_not_both(up: Checkout) -> None:
    first, second = serving(up), up.read("current")["previous"]
    hidden = bundle(up, second).rename(up.folder / "hidden")
    up.make("rollback")
    assert up.version()["version"] == second, "from the unpacked release alone"
    hidden.rename(
        up.folder / "releases" / hidden.with_name(bundle(up, first).name.replace(first, second)).name
    )
    shutil.rmtree(unpacked(up, first))
    up.make("rollback", f"VERSION={first}")
    assert up.version()["version"] == first, "from the bundle alone"


def test_what_one_published_another_rolls_out_and_back_without_building_it(
    up: Checkout, tmp_path: Path
) -> None:
    first = serving(up)
    shared, said = tmp_path / "published", tmp_path / "published.yml"
    said.write_text(f"all: {{vars: {{rollout_published: {shared}}}}}")
    inventory = f"INVENTORY=infra/inventories/dev/hosts.yml,{said}"
    with untouched(up):
        line = refusal(up.make("deploy", inventory, f"VERSION={first}", check=False))
    assert f"{shared}, where releases are published, is no folder here; mount it" in line
    shared.mkdir()
    up.make("deploy", inventory, f"VERSION={first}", "DRY_RUN=1")
    assert not list(shared.iterdir())
    up.make("deploy", inventory, f"VERSION={first}")
    up.commit(visible_text("what another machine rolls back"))
    up.make("deploy", inventory)
    second = serving(up)

    other = Checkout(tmp_path, port=up.port)
    other.environment["ROLLOUT_ROOT"] = str(up.root)
    shutil.rmtree(unpacked(up, first))
    other.make("rollback", inventory, f"VERSION={first}")
    assert up.version()["version"] == first
    other.run("git", "pull", "--quiet", str(up.path))
    shutil.rmtree(other.path / ".cache", ignore_errors=True)
    assert "is there already" in other.make("build", inventory).output
    assert not (other.path / ".cache").exists(), "nothing was built"
    other.make("deploy", inventory)
    assert up.version()["version"] == second
    for version in (first, second):
        assert bundle(up, version).read_bytes() == bundle(other, version).read_bytes()

    with bundle(other, second).open("ab") as file:
        file.write(b"another byte")
    with untouched(up):
        line = refusal(other.make("deploy", inventory, f"VERSION={second}", check=False))
    assert f"is not the one that {shared} has; delete it" in line


@pytest.mark.chaos
def test_the_oldest_releases_are_pruned_and_never_the_running_or_the_previous_one(up: Checkout) -> None:
    running, previous, before = serving(up), up.read("current")["previous"], kept(up)
    assert len(before) >= 3
    up.make("deploy", f"VERSION={running}", "KEEP=1")
    assert {running, previous} <= kept(up) < before
    assert {path.name for path in (up.root / "releases").iterdir()} >= {running, previous}
    listed = up.make("releases").output
    assert f"{running}  running" in listed
    assert f"{previous}  previous" in listed
    (pruned, *_) = sorted(before - kept(up))
    assert not unpacked(up, pruned).exists()
    with untouched(up):
        line = refusal(up.make("rollback", f"VERSION={pruned}", check=False))
    assert line.startswith("rollback failed in step preflight: there is no bundle ")


def test_status_smoke_and_history_tell_a_person_what_runs(up: Checkout) -> None:
    with untouched(up):
        status, smoke, history = (up.make(target).output for target in ("status", "smoke", "history"))
    assert f"{serving(up)} serves from {up.slot()} on port {up.port} since " in status
    assert all(f"process {one.pid}" in status for process in PROCESSES for one in up.running(process))
    assert f"{serving(up)} is well" in smoke
    lines = history.splitlines()
    assert len(lines) == min(20, len(up.history()))
    last = json.loads((up.root / "history.jsonl").read_text().splitlines()[-1])
    assert last["reason"] in lines[-1]
    assert f"{last['from'] or 'nothing'} -> {last['to']}" in lines[-1]


def test_smoke_fails_when_another_release_answers_than_the_one_that_was_meant(up: Checkout) -> None:
    with untouched(up):
        line = refusal(up.make("smoke", "VERSION=another", check=False))
    assert line == f"{serving(up)} answers, not another; look at `make history`"


def test_an_undo_that_fails_is_told_with_what_it_was_to_undo_and_left_to_the_next_rollout(
    up: Checkout,
) -> None:
    serves, head = up.version(), up.head
    placed = up.root / "slots" / up.slot() / "slot.json"
    hidden = placed.rename(placed.with_suffix(".hidden"))
    try:
        up.commit(failing_migration("never_filled"))
        run = up.make("deploy", check=False)
    finally:
        hidden.rename(placed)
        up.go_to(head)
    both = r"never_filled.*; and undoing that failed: slot \w+ of .* is empty"
    assert re.search(rf"deploy failed in step migrate: .*{both}", refusal(run))
    failed = up.history()[-1]
    assert re.search(both, failed["reason"])
    assert (up.version(), up.read("lease"), up.read("rollout")["number"]) == (serves, {}, failed["number"])
    left = f"rollout {failed['number']} failed in step migrate and is not undone; the next deploy undoes it"
    assert left in up.make("status").output
    assert "Let the slot serve that served before" in up.make("deploy", f"VERSION={serving(up)}").output
    assert [(line["number"], line["outcome"]) for line in up.history()[-2:]] == [
        (failed["number"], "failed"),
        (failed["number"] + 1, "done"),
    ]
    assert up.read("rollout") == {}


@pytest.mark.chaos
def test_an_undo_that_fails_and_a_line_that_cannot_be_written_are_told_and_left_to_the_next_rollout(
    up: Checkout,
) -> None:
    serves, head, history = up.version(), up.head, up.root / "history.jsonl"
    hidden = {
        path: path.with_suffix(".hidden") for path in (up.root / "slots" / up.slot() / "slot.json", history)
    }
    for path, elsewhere in hidden.items():
        path.rename(elsewhere)
    history.mkdir()
    try:
        up.commit(failing_migration("never_filled"))
        line = refusal(up.make("deploy", check=False))
    finally:
        history.rmdir()
        for path, elsewhere in hidden.items():
            elsewhere.rename(path)
        up.go_to(head)
    assert re.search(
        r"^deploy failed in step migrate: .*never_filled.*; and undoing that failed: slot \w+ of .* is empty.*; "
        r"and it could not be written down: Is a directory \(.*/history.jsonl\); ",
        line,
    )
    assert (up.version(), up.read("lease")) == (serves, {})
    number = up.read("rollout")["number"]
    assert f"rollout {number} died in step migrate; the next deploy undoes it" in up.make("status").output
    up.make("deploy", f"VERSION={serving(up)}")
    assert [(line["number"], line["outcome"]) for line in up.history()[-2:]] == [
        (number, "killed"),
        (number + 1, "done"),
    ]


@pytest.mark.chaos
def test_a_release_that_cannot_be_written_down_as_the_one_that_serves_is_undone(up: Checkout) -> None:
    """The disk is full in the last step, say."""
    serves, slot, head = up.version(), up.slot(), up.head

    def full(checkout: Path) -> None:
        (path,) = checkout.glob("playbooks/**/record.py")
        rollout = "    rollout, before = place.rollout"
        replace(path, rollout, f"    raise OSError(28, 'No space left on device', 'there')\n{rollout}")

    up.commit(full)
    line = refusal(up.make("deploy", check=False))
    up.go_to(head)
    assert line == (
        "deploy failed in step record: No space left on device (there); "
        "free space on that disk and run the command again"
    )
    assert (up.version(), up.slot(), up.read("rollout")) == (serves, slot, {})
    assert up.running("web", slot)
    assert len(up.running("web")) == 1
    assert up.history()[-1]["outcome"] == "failed"


@pytest.mark.chaos
def test_a_lease_that_cannot_be_given_back_is_told_and_holds_nobody_up(up: Checkout) -> None:
    head = up.head

    def full(checkout: Path) -> None:
        (path,) = checkout.glob("playbooks/plugins/modules/rollout_lease.py")
        forget = "        place.forget_rollout()"
        replace(path, forget, "        raise OSError(28, 'No space left on device', 'there')")

    commit = up.commit(full)
    line = refusal(up.make("deploy", check=False))
    up.go_to(head)
    assert line.startswith(
        "deploy failed in step record: the lease could not be given back: No space left on device (there); "
    )
    assert up.version()["commit"] == commit
    up.make("deploy")
    assert up.version()["commit"] == head
    assert (up.read("lease"), up.read("rollout")) == ({}, {})


@pytest.mark.chaos
def test_what_serves_without_being_written_down_is_not_taken_for_idle(up: Checkout) -> None:
    current = up.root / "current.json"
    with untouched(up):
        hidden = current.rename(current.with_suffix(".hidden"))
        try:
            line = refusal(up.make("deploy", f"VERSION={up.version()['version']}", check=False))
        finally:
            hidden.rename(current)
    assert re.search(
        r"^deploy failed in step preflight: slot \w+ serves, but .*/current.json names nothing; ", line
    )
