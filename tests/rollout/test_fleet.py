"""What DESIGN promises, on real servers behind a proxy: whatever is done to the fleet, no request is lost.

Each test does one thing under the same load over TLS and counts in a window of its own.
"""

import json
import re
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import pairwise, product
from pathlib import Path

import pytest

from tests.rollout.another import Guests, says
from tests.rollout.changes import (
    append,
    contracting_migration,
    expanding_migration,
    failing_migration,
    named,
    replace,
    setting,
    unready,
    visible_text,
)
from tests.rollout.checkout import PROCESSES, STEPS, Change, wait_until
from tests.rollout.fleet import APP, Fleet, Guestbook
from tests.rollout.marefia_traffic import MarefiaTraffic
from tests.rollout.promise import Site, killed
from tests.rollout.state import await_rest, columns, wrong_counts

pytestmark = pytest.mark.verify

MATRIX = list(product(STEPS, (False, True)))
KILLS = [pytest.param(*kill, marks=pytest.mark.chaos) for kill in MATRIX]
BACK_SECONDS = 5
LAG = 5  # seconds that something written waits at most to be archived
BOOK = """
    INSERT INTO stays_booking (listing_id, guest_id, check_in, check_out, guests, total, reference)
    SELECT (SELECT min(id) FROM stays_listing), (SELECT min(id) FROM accounts_user), night, night + 1, 1, 100,
    gen_random_uuid() FROM (SELECT date '9000-01-01' + number AS night FROM generate_series({}, {}) number) nights
    RETURNING id
"""
NONE_SECONDS = 20  # a sweep is due every 5, a dead scheduler's lease expires after 10
CLEAR = "DELETE FROM stays_booking WHERE check_in >= '9000-01-01'"  # of an earlier run on these servers
BOOKED = "SELECT count(*) AS count FROM stays_booking WHERE check_in >= '9000-01-01'"


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    """The service of a fresh clone on the hosts."""
    made = Fleet(Path(tempfile.mkdtemp(prefix="fleet-")))
    with made.machines.alone():
        made.machines.tell({"backup_lag_seconds": LAG})
        made.make("site", seconds=600)
        made.make("deploy", seconds=600)
        made.rows(CLEAR)
        made.seed()
        yield made
        made.remove()


@pytest.fixture(scope="module")
def guestbook(fleet: Fleet) -> Iterator[Guestbook]:
    """Another service, which moves in beside it."""
    made = Guestbook(Path(tempfile.mkdtemp(prefix="guestbook-")))
    made.machines.tell({"backup_lag_seconds": LAG})
    yield made
    made.remove()


@pytest.fixture(scope="module")
def site(fleet: Fleet) -> Iterator[Site]:
    """The same under load until the module's last test."""
    with fleet.load(MarefiaTraffic()) as load:
        yield Site(fleet, load)


def on_the_second(fleet: Fleet, what: Change, *, place: int = 1) -> Change:
    """A change that shows on the second host only (or another): its lines stand below a look at the host's name."""
    name = fleet.machines.sh(fleet.hosts[place], "hostname").strip()

    def change(checkout: Path) -> None:
        before = {path: path.read_text() for path in (checkout / APP).glob("*.py")}
        what(checkout)
        for path, text in before.items():
            if (added := path.read_text()) != text:
                lines = added.removeprefix(text).splitlines()
                indented = "\n".join(f"    {line}" for line in lines)
                path.write_text(
                    f'{text}\nimport socket\n\nif socket.gethostname() == "{name}":\n{indented}\n'
                )

    return named(change, f"{what.__name__}, on {fleet.hosts[place]}")


def dead_worker(checkout: Path) -> None:
    """A release whose worker cannot start."""
    append(
        checkout / APP / "celery.py",
        '\nimport sys\n\nif "worker" in sys.argv:\n    raise SystemExit("cannot start")\n',
    )


def test_a_deploy_of_a_new_commit_reaches_every_host_and_loses_nothing(site: Site, fleet: Fleet) -> None:
    with site.losing_nothing("deploy"):
        version = site.deploy(visible_text("A second release"))
    assert set(fleet.versions().values()) == {version}
    fleet.require_whole()
    told = fleet.make("status").output
    assert all(
        re.search(rf"(?m)^{host}: {version} serves from \w+ on port 8000 .*: ready$", told)
        for host in fleet.hosts
    )


@pytest.mark.parametrize("process", PROCESSES)
def test_logs_tell_what_a_process_said_on_every_host_by_time(fleet: Fleet, process: str) -> None:
    lines = fleet.make("logs", f"PROCESS={process}").output.splitlines()
    assert len(lines) <= 1000 * len(fleet.hosts)
    assert lines == sorted(lines, key=lambda line: line[:20])
    who = {tuple(line.split()[2:4]) for line in lines}
    assert who >= {(host, f"{process}-{fleet.read('current', host)['slot']}") for host in fleet.hosts}


@pytest.mark.chaos
def test_what_is_changed_by_hand_on_a_host_is_named_and_mended(site: Site, fleet: Fleet) -> None:
    host, version = fleet.hosts[1], fleet.read("current")["version"]
    release, remedy = f"{fleet.place}/releases/{version}", f"`make deploy VERSION={version}` mends it"
    unit = f"/etc/systemd/system/{fleet.NAME}.socket"
    fleet.machines.sh(
        host,
        f"cd {release}; echo '# by hand' >>app/manage.py; rm venv/bin/activate.fish; touch static/stray.css; "
        f"echo '# by hand' >>{unit}",
    )
    told = fleet.make("status").output
    assert re.search(rf"(?m)^{host}: *{unit} was edited; `make site` mends it$", told), told
    for wrong in (
        "app/manage.py was edited",
        "static/stray.css does not belong there",
        "venv/bin/activate.fish is missing",
    ):
        assert f"{host}:   releases/{version}/{wrong}; {remedy}\n" in told
    assert told.count(remedy) == 3
    with site.losing_nothing("a changed host is mended"):
        fleet.make("site", seconds=600)
    assert not re.search("mends it|by hand", fleet.make("status").output)
    assert set(fleet.versions().values()) == {version}


@pytest.mark.chaos
def test_a_deploy_of_settings_alone_loses_nothing_and_every_host_is_told(site: Site, fleet: Fleet) -> None:
    with site.losing_nothing("deploy of a setting"):
        site.deploy(setting("WEB_THREADS", "5", "staging"))
    assert fleet.told()["WEB_THREADS"] == "5"


@pytest.mark.chaos
def test_an_expanding_migration_loses_nothing(site: Site) -> None:
    with site.losing_nothing("expanding migration"):
        site.deploy(expanding_migration("arrival_note"))
    assert "arrival_note" in columns(site.checkout)


@pytest.mark.chaos
def test_a_rollback_loses_nothing_and_keeps_the_expanded_schema(site: Site, fleet: Fleet) -> None:
    earlier = fleet.read("current")["previous"]
    with site.losing_nothing("rollback"):
        fleet.make("rollback")
    assert set(fleet.versions().values()) == {earlier}
    assert "arrival_note" in columns(fleet)
    with site.losing_nothing("forward again"):
        fleet.make("deploy")


@pytest.mark.chaos
def test_a_release_that_never_gets_ready_on_the_second_host_reaches_no_user(site: Site, fleet: Fleet) -> None:
    with site.losing_nothing("readiness fails on the second host"):
        site.refused(f"{fleet.hosts[1]}: ", on_the_second(fleet, unready))


def test_a_switch_that_fails_on_the_second_host_brings_the_first_back_too(site: Site, fleet: Fleet) -> None:
    with site.losing_nothing("worker cannot start on the second host"):
        said = site.refused(
            "cannot start", setting("WEB_THREADS", "3", "staging"), on_the_second(fleet, dead_worker)
        )
    first, second = (line for line in said.splitlines() if "Start the new slot" in line)
    assert re.match(rf" *{fleet.hosts[0]}: .* serves", first), "the first batch had succeeded"
    assert "FAILED" in second


@pytest.mark.chaos
def test_a_switch_that_fails_in_the_first_batch_is_tried_nowhere_else(site: Site, fleet: Fleet) -> None:
    with site.losing_nothing("worker cannot start on the first host"):
        said = site.refused("cannot start", on_the_second(fleet, dead_worker, place=0))
    (tried,) = (line for line in said.splitlines() if "Start the new slot" in line)
    assert tried.strip().startswith(f"{fleet.hosts[0]}: ")


@pytest.mark.chaos
def test_a_failed_migration_leaves_the_old_release_serving(site: Site) -> None:
    with site.losing_nothing("migration fails half-way"):
        site.refused("left_behind cannot be filled", failing_migration("left_behind"))
    assert "left_behind" not in columns(site.checkout)


@pytest.mark.chaos
def test_a_contracting_migration_is_refused(site: Site) -> None:
    with site.losing_nothing("contracting migration"):
        site.refused("arrival_note", contracting_migration("arrival_note"))
    assert "arrival_note" in columns(site.checkout)


def refused(site: Site, fleet: Fleet, words: str, **told: str) -> None:
    """A deploy that is refused in one line, before anything was changed."""
    with site.losing_nothing(words), site.unharmed():
        done = fleet.make("deploy", check=False, seconds=300, **told)
    assert done.status != 0
    errors = [line for line in done.output.splitlines() if re.match(r"\[ERROR|error:|fatal|\[WARN", line)]
    assert len(errors) == 1, done.output
    assert re.search(words, errors[0]), errors
    assert "Start the new slot" not in done.output


@pytest.mark.chaos
def test_a_required_host_that_is_away_is_named(site: Site, fleet: Fleet) -> None:
    gone = fleet.hosts[1]
    fleet.machines.tell({"ansible_port": 1}, gone)
    try:
        refused(site, fleet, f"deploy failed in step lock: {gone}: {gone} cannot be reached")
    finally:
        fleet.machines.tell({"ansible_port": None}, gone)


@pytest.mark.chaos
def test_an_inventory_that_says_what_nothing_reads_is_judged_by_a_deploy_too(
    site: Site, fleet: Fleet
) -> None:
    fleet.machines.tell({"rollout_batchs": [1]})
    try:
        refused(
            site, fleet, r"group all sets rollout_batchs, which nothing reads \(there is rollout_batches\)"
        )
    finally:
        fleet.machines.tell({"rollout_batchs": None})


@pytest.mark.chaos
def test_a_wrong_vault_password_is_one_line(site: Site, fleet: Fleet) -> None:
    (fleet.folder / "wrong").write_text("not the one\n")
    words = "staging.yml cannot be opened with this vault password"
    refused(site, fleet, words, ANSIBLE_VAULT_PASSWORD_FILE=str(fleet.folder / "wrong"))


@pytest.mark.chaos
def test_no_disk_left_on_one_host_is_found_before_anything_is_changed(site: Site, fleet: Fleet) -> None:
    host, good = fleet.hosts[1], fleet.head
    releases, aside = f"{fleet.place}/releases", "/run/releases-aside"
    fleet.commit(visible_text("no room for this"))
    fleet.machines.sh(
        host,
        f"mkdir -p {aside}; mount --bind {releases} {aside}; mount -t tmpfs -o size=10m none {releases}; "
        f"for each in $(ls {aside}); do mkdir {releases}/$each; mount --bind {aside}/$each {releases}/$each; done",
    )
    try:
        refused(site, fleet, rf"{host}: {releases} has 10 MB free, the release needs \d+; free space")
    finally:
        fleet.machines.sh(host, f"umount --recursive {releases}; umount {aside}")
        fleet.go_to(good)


@pytest.mark.chaos
def test_a_release_for_another_python_is_refused(site: Site) -> None:
    def for_another_python(checkout: Path) -> None:
        replace(checkout / "infra/service.yml", '"3.11", "3.12", "3.13"', '"3.11"')

    with site.losing_nothing("a release for another Python"):
        site.refused("3.13", for_another_python)


@pytest.mark.parametrize(("step", "with_children"), KILLS)
def test_a_killed_deployer_leaves_the_service_and_the_next_deploy_cleans_up(
    site: Site, fleet: Fleet, step: str, with_children: bool
) -> None:
    served, what = fleet.version(), killed(step, with_children)
    with site.losing_nothing(what):
        commit = fleet.commit(visible_text(what))
        deploy = fleet.start("deploy")
        fleet.await_step(step, deploy)
        deploy.kill(with_children=with_children)
        assert fleet.version()["commit"] in (served["commit"], commit)
    with site.losing_nothing("deploy after a kill"):
        fleet.make("deploy")
        assert fleet.version()["commit"] == commit
    assert not any(fleet.read("lease", host) for host in fleet.hosts)
    fleet.require_whole()


@pytest.mark.chaos
def test_two_deploys_at_once_lose_nothing_and_the_second_is_told_who_is_at_it(site: Site) -> None:
    with site.losing_nothing("two deploys at once"):
        site.hold_back_a_second_deploy()


def secret(fleet: Fleet, act: str, name: str) -> Change:
    """What is done to a secret in the vault."""

    def change(_: Path) -> None:
        fleet.run("scripts/secrets", act, name)

    return named(change, f"{act} {name}")


@pytest.mark.chaos
def test_a_secret_is_rotated_under_load(site: Site, fleet: Fleet) -> None:
    before = fleet.told()
    with site.losing_nothing("secret rotated"):
        fleet.commit(secret(fleet, "rotate", "PGPASSWORD"))
        fleet.make("site")  # both work
        fleet.make("deploy")
        fleet.commit(secret(fleet, "retire", "PGPASSWORD"))
        fleet.make("site")  # the old one is refused
    assert fleet.told()["PGPASSWORD"] != before["PGPASSWORD"]


@pytest.mark.parametrize("process", ["web", "worker", "scheduler"])
def test_a_restarted_process_loses_nothing(site: Site, fleet: Fleet, process: str) -> None:
    with site.losing_nothing(f"{process} restarted on every host"):
        for unit in fleet.units(process):
            fleet.machines.sh(unit.host, f"systemctl restart {fleet.NAME}-{process}@{unit.slot}")
    fleet.require_whole()


@pytest.mark.chaos
def test_a_reload_of_the_proxy_loses_nothing(site: Site, fleet: Fleet) -> None:
    (proxy,) = fleet.machines.groups["proxy"]
    with site.losing_nothing("proxy reloaded, thrice"):
        for _ in range(3):
            fleet.machines.sh(proxy, "systemctl reload haproxy")
            site.load.settle()


@pytest.mark.parametrize(
    "step", [pytest.param(step, marks=pytest.mark.chaos) for step in ("prove", "switch", "verify")]
)
def test_a_host_that_vanishes_in_a_rollout_fails_it_everywhere_and_costs_at_most_what_it_held(
    site: Site, fleet: Fleet, step: str
) -> None:
    """Its packets vanish, as when its power is cut: nothing is refused, nothing closed."""
    gone, what = fleet.hosts[1], f"a host vanishes at {step}"
    good = fleet.head
    served = fleet.version()
    fleet.commit(visible_text(what))
    with site.load.window(what):
        # Watched for long enough that it vanishes within the step, not when the other host has recorded its success.
        deploy = fleet.start("deploy", ROLLOUT_WATCH_SECONDS="10")
        fleet.await_step(step, deploy)
        with cut_off(fleet, gone, 45):
            deploy.wait(300)
            assert deploy.status != 0, deploy.output
            (verdict,) = re.findall(r"^\[ERROR\]: .*", deploy.output, re.MULTILINE)
            assert f"{gone}: {gone} cannot be reached" in verdict
            assert verdict.count("cannot be reached") == 1, "said once, whatever else cannot be done there"
            assert fleet.version() == served, "the other host was not brought back"
    site.count_what_was_held(what, most=site.load.clients)
    fleet.go_to(good)
    with site.losing_nothing(f"deploy after a host vanished at {step}"):
        fleet.make("deploy")
    fleet.require_whole()


@pytest.mark.chaos
def test_a_host_that_may_lag_stops_no_rollout_and_the_next_one_brings_it_along(
    site: Site, fleet: Fleet
) -> None:
    gone, served = fleet.hosts[1], fleet.read("current")["version"]
    fleet.machines.tell({"rollout_may_lag": True}, gone)
    with site.load.window("a host that may lag is away"), cut_off(fleet, gone, 60):
        await_absence(fleet, gone)
        fleet.commit(visible_text("while one host is away"))
        said = fleet.make("deploy").output
        assert f"{gone}: Say which host keeps what it runs" in said
    site.count_what_was_held("a host that may lag is away", most=site.load.clients)
    version = fleet.read("current")["version"]
    assert fleet.versions() == {fleet.hosts[0]: version, gone: served}
    fleet.machines.tell({"rollout_may_lag": False}, gone)
    with site.losing_nothing("the host that lagged is brought along"):
        fleet.make("deploy")
    assert set(fleet.versions().values()) == {version}


@contextmanager
def cut_off(fleet: Fleet, host: str, seconds: float) -> Iterator[None]:
    """Have a host vanish for some seconds. It is back at the end, whatever failed meanwhile: other tests need it."""
    fleet.machines.cut_off(host, seconds)
    try:
        yield
    finally:
        fleet.machines.await_return(host)


def await_absence(fleet: Fleet, host: str) -> None:
    """Return when a host that is being cut off does not answer any more."""
    wait_until(lambda: fleet.machines.sh(host, "echo here", check=False) == "", f"{host} to be gone")


def back(site: Site, what: str, harm: Callable[[], object], again: Callable[[], bool]) -> None:
    """Do harm to what the service depends on; it has to be back in time, and only that window may lose requests."""
    with site.load.window(what):
        harm()
        wait_until(again, what, 30)
        begin = time.monotonic()
    late = [record for record in site.lost(what) if record.started > begin + BACK_SECONDS]
    assert not late, site.explained(late)
    site.table.append(f"{what}: lost {len(site.lost(what))} requests")


def test_postgresql_restarted_is_back_within_seconds(site: Site, fleet: Fleet) -> None:
    (host,) = fleet.machines.groups["database"]
    back(
        site,
        "PostgreSQL restarted",
        lambda: fleet.machines.sh(host, "systemctl restart postgresql@17-main"),
        lambda: bool(fleet.rows("SELECT 1 AS one")),
    )


@pytest.mark.chaos
def test_a_killed_redis_costs_no_request(site: Site, fleet: Fleet) -> None:
    (host,) = fleet.machines.groups["cache"]
    with site.losing_nothing("Redis killed"):
        fleet.machines.sh(host, "systemctl kill --signal=KILL redis-server")
    fleet.await_whole()
    await_rest(fleet)


def lacks_undo_of_others(checkout: Path) -> None:
    """A verdict for each host, in place of one for the fleet."""
    replace(
        checkout / "playbooks/roles/rollout/defaults/main.yml",
        "{{ groups['fleet'] | map('extract', hostvars) |",
        "{{ [hostvars[inventory_hostname]] |",
    )


@pytest.mark.chaos
def test_without_one_verdict_for_all_the_first_host_keeps_what_failed_on_the_second(
    site: Site, fleet: Fleet
) -> None:
    good, served = fleet.head, fleet.versions()
    fleet.commit(lacks_undo_of_others, on_the_second(fleet, dead_worker))
    with site.load.window("without one verdict"):
        fleet.make("deploy", check=False)
    assert fleet.versions()[fleet.hosts[1]] == served[fleet.hosts[1]]
    assert fleet.versions()[fleet.hosts[0]] != served[fleet.hosts[0]]
    fleet.go_to(good)
    fleet.commit(visible_text("both again"))
    fleet.make("deploy")
    assert len(set(fleet.versions().values())) == 1


@pytest.mark.chaos
def test_without_health_checks_a_host_that_vanishes_costs_more_than_it_held(site: Site, fleet: Fleet) -> None:
    (proxy,) = fleet.machines.groups["proxy"]
    fleet.machines.sh(proxy, "sed -i 's/default-server check/default-server/' /etc/haproxy/haproxy.cfg")
    fleet.machines.sh(
        proxy, "sed -i '/option redispatch/d' /etc/haproxy/haproxy.cfg; systemctl reload haproxy"
    )
    with site.load.window("without health checks"), cut_off(fleet, fleet.hosts[1], 20):
        await_absence(fleet, fleet.hosts[1])
    with pytest.raises(AssertionError, match=r"status 503|no complete response"):
        site.count_what_was_held("without health checks", most=site.load.clients)
    fleet.make("site", seconds=600)  # mends it


@pytest.mark.chaos
def test_another_service_moves_in_beside_it_and_costs_no_request(site: Site, guestbook: Guestbook) -> None:
    with site.losing_nothing("another service moves in"):
        guestbook.make("site", seconds=600)
        guestbook.make("deploy")
    assert b"Good evening" in guestbook.page("/")
    assert "is well" in guestbook.make("smoke").output
    guestbook.require_whole()


def test_every_acknowledged_write_is_stored_once_and_counted_once(site: Site) -> None:
    """The end of the run: nothing was lost outside of the windows that count what they cost."""
    site.load.end()
    report = site.load.report
    print(report, *site.table, sep="\n")
    assert all(report.within(window.name) for window in report.windows), f"one says nothing: {report.table()}"
    if {killed(*kill) for kill in MATRIX} <= {window.name for window in report.windows}:
        site.write_down("figures of the fleet")
    costly = {
        window.name for window in report.windows if re.search("vanishes|PostgreSQL|without|away", window.name)
    }
    lost = report.lost_outside(*costly)
    assert not lost, f"{report.table()}\n{site.explained(lost)}"
    assert not report.unkept, report
    assert len(report.writes) > 100
    await_rest(site.checkout)
    assert not wrong_counts(site.checkout)


def test_there_were_never_two_schedulers_and_none_for_some_seconds_only(fleet: Fleet) -> None:
    """By what the schedulers of all hosts wrote down in this run, whatever happened to them."""
    told = "journalctl --quiet --output=cat --since=@{:.0f} --unit='{}-scheduler@*'"
    lines = [
        json.loads(line)
        for host in fleet.hosts
        for line in fleet.machines.sh(host, told.format(fleet.begun, fleet.NAME)).splitlines()
        if '"outbox-sweep"' in line and '"scheduled"' in line
    ]
    runs = sorted((datetime.fromisoformat(line["timestamp"]), line["lease"]) for line in lines)
    leases = [lease for _, lease in runs]
    gaps = [(after - before).total_seconds() for (before, _), (after, _) in pairwise(runs)]
    print(f"{len(runs)} runs under {len(set(leases))} leases, {max(gaps):.1f} s apart at most")
    assert len(set(leases)) > 3
    assert leases == sorted(leases), "one ran something after another had taken over"
    assert max(gaps) < NONE_SECONDS


@pytest.mark.chaos
def test_another_service_is_updated_and_rolled_back_under_load_and_this_one_does_not_notice(
    fleet: Fleet, guestbook: Guestbook
) -> None:
    before = fleet.units()
    with guestbook.load(Guests()) as load:
        site = Site(guestbook, load)
        with site.losing_nothing("deploy of another service"):
            guestbook.commit(says("and come in"))
            guestbook.make("deploy")
            assert b"and come in" in guestbook.page("/")
        with site.losing_nothing("rollback of another service"):
            guestbook.make("rollback")
            assert b"and come in" not in guestbook.page("/")
    assert not load.report.lost, load.report
    assert not load.report.unkept, load.report
    assert fleet.units() == before
    fleet.page("/")


@pytest.mark.chaos
def test_ten_thousand_bookings_written_during_backups_outlive_the_disk_of_their_database(
    fleet: Fleet,
) -> None:
    """What was acknowledged before the last archived write is there again, and the service serves from it."""
    (host,) = fleet.machines.groups["database"]
    acknowledged = []

    def book() -> None:
        for first in range(0, 10_000, 100):
            acknowledged.extend(fleet.rows(BOOK.format(first, first + 99)))

    booking = threading.Thread(target=book)
    booking.start()
    fleet.make("backup")
    booking.join()
    assert len(acknowledged) == 10_000
    begin = time.monotonic()
    (last,) = fleet.rows("SELECT pg_walfile_name(pg_current_wal_lsn()) AS written")
    archived = "SELECT last_archived_wal AS file FROM pg_stat_archiver"
    wait_until(
        lambda: fleet.rows(archived)[0]["file"] >= last["written"],
        "the log to be archived",
        LAG + 30,
        every=0.5,
    )
    print(f"the last write was archived {time.monotonic() - begin:.0f} s after it was acknowledged")
    assert "as in the source" in fleet.make("drill").output
    fleet.machines.sh(host, "systemctl kill --signal=KILL postgresql@17-main; rm -rf /var/lib/postgresql/17")
    refused = fleet.make("restore", check=False)
    assert refused.status != 0
    assert "the backup also holds marefia-guests, which would go back" in refused.output
    fleet.machines.tell({"backup_others": True})
    fleet.make("restore")
    assert fleet.rows(BOOKED) == [{"count": "10000"}]
    with fleet.load(MarefiaTraffic()) as load:
        load.settle()
    assert not load.report.lost, load.report
    assert "as in the source" in fleet.make("drill").output
