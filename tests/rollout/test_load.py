"""The load sees every way in which a request can be lost, and sees none where nothing is lost."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.rollout import load as load_module
from tests.rollout.load import Load, Traffic, machine_wide_lock
from tests.rollout.report import Report, percentile
from tests.rollout.servers import PlainTraffic, Server, serve
from tests.rollout.wire import Request

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Short gaps, and a lock that no other run holds: what is measured here is not time."""
    monkeypatch.setattr(load_module, "GAPS", (0.005, 0.03))
    monkeypatch.setattr(load_module, "LOCK", tmp_path / "lock")


def run(
    server: Server,
    requests: int = 120,
    timeout: float = 1.0,
    traffic: Traffic | None = None,
    most_requests: int = 10_000,
) -> Report:
    """Load the server until it was asked often enough."""
    traffic = traffic or PlainTraffic()
    with Load(
        server.url, traffic, clients=4, writes=0.5, timeout=timeout, most_requests=most_requests
    ) as load:
        while len(load.records) < requests:
            load.settle()
    return load.report


@pytest.mark.parametrize("fault", ["", "closes politely"])
def test_a_server_that_keeps_its_word_loses_nothing(fault: str) -> None:
    with serve(fault) as server:
        report = run(server)
    assert not report.lost, report
    assert len(report.writes) > 20
    assert all(write.stored == 1 for write in report.writes)
    assert any(record.idle for record in report.records), "no connection was ever kept"
    assert any("file" in record.what for record in report.records), "no file of a page was ever fetched"


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("drops keep-alive", "closed without a response"),
        ("resets", "closed without a response"),
        ("truncates", "truncated"),
        ("without a length", "a body without a length"),
        ("500", "status 500"),
        ("stores twice", "stored 2 times"),
        ("acknowledges without storing", "acknowledged but absent"),
    ],
)
def test_each_fault_is_counted_as_lost(fault: str, reason: str) -> None:
    with serve(fault) as server:
        report = run(server)
    assert report.lost
    assert all(record.lost.startswith(reason) or record.lost == "reset" for record in report.lost), (
        report.reasons()
    )


def test_a_server_that_hangs_loses_what_it_did_not_answer_in_time() -> None:
    with serve("hangs") as server:
        report = run(server, requests=20, timeout=0.3)
    assert report.lost
    assert set(report.reasons()) == {"no complete response within 0 s"}


def test_a_server_that_is_away_refuses_and_that_is_lost_too() -> None:
    with serve("closes politely") as server:
        load = Load(server.url, PlainTraffic(), clients=2, timeout=1.0)
        with load, load.window("gone"):
            server.shutdown()
            server.socket.close()
            while "refused" not in load.reasons():
                load.settle()
    assert {write.lost for write in load.report.writes} <= {
        "refused",
        "reset",
        "could not be looked up: refused",
    }


def test_acknowledged_rows_are_told_from_unacknowledged_ones() -> None:
    with serve("acknowledges without storing") as server:
        report = run(server)
    assert report.unkept == [write for write in report.writes if write.lost]


def test_what_is_lost_is_counted_in_the_window_of_its_cause() -> None:
    with serve() as server, Load(server.url, PlainTraffic(), clients=4, timeout=1.0) as load:
        with load.window("good"):
            load.settle()
        with load.window("bad"):
            server.fault = "500"
            load.settle()
            load.settle()
            server.fault = ""
    report = load.report
    assert report.within("good")
    assert report.within("bad")
    assert report.lost
    assert not report.lost_outside("bad")
    assert [line for line in report.table().splitlines() if line.startswith("| good") and "| 0 |" in line]


def test_a_dropped_idle_connection_is_counted_before_its_window_closes() -> None:
    """The client finds out only at its next request: the window has to wait for it."""
    with serve() as server, Load(server.url, PlainTraffic(), clients=4, timeout=1.0) as load:
        with load.window("drop"):
            server.fault = "drops keep-alive"
            load.settle()
            load.settle()
            server.fault = ""
        with load.window("after"):
            load.settle()
    assert load.report.lost
    assert not load.report.lost_outside("drop")


def test_a_load_that_reached_its_bound_says_so_instead_of_measuring_nothing() -> None:
    with serve() as server, pytest.raises(TimeoutError, match="bound"):
        run(server, requests=120, most_requests=10)


def test_a_fault_of_the_traffic_itself_is_no_silence() -> None:
    class Broken(PlainTraffic):
        def reads(self, client: int) -> Sequence[Request]:
            raise LookupError("no such page")

    with serve() as server, pytest.raises(LookupError, match="no such page"):
        run(server, traffic=Broken())


def test_two_loads_on_one_machine_run_one_after_the_other(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    code = (
        "import sys; from pathlib import Path; from tests.rollout.load import machine_wide_lock\n"
        "with machine_wide_lock(Path(sys.argv[1])): print('in', flush=True)"
    )
    with machine_wide_lock(lock):
        second = subprocess.Popen(
            [sys.executable, "-c", code, str(lock)],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert second.stderr
        assert "waiting for another load run: process" in second.stderr.readline()
        assert second.poll() is None
    output, _ = second.communicate(timeout=20)
    assert output == "in\n"


def test_a_process_does_not_wait_for_itself(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with machine_wide_lock(lock), pytest.raises(RuntimeError, match="itself"), machine_wide_lock(lock):
        pass


def test_the_program_fails_when_something_was_lost() -> None:
    for fault, status in (("", 0), ("500", 1)):
        with serve(fault) as server:
            traffic = "tests.rollout.servers:PlainTraffic"
            assert load_module.main([server.url, "--traffic", traffic, "--seconds", "0.5"]) == status


def test_a_percentile_of_few_values_is_one_of_them() -> None:
    assert percentile([], 0.99) == 0
    assert percentile([3, 1, 2], 0.5) == 2
    assert percentile(range(1, 101), 0.99) == 99
