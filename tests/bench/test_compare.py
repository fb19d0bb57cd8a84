"""The comparison sees a difference where there is one, and none where there is none."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.bench.compare import Comparison, Interval, Target, compare
from tests.bench.servers import environment, gunicorn

APPLICATION = """
import os, time
BURN = float(os.environ["BURN"])

def application(environ, start_response):
    end = time.thread_time() + BURN
    while time.thread_time() < end:
        pass
    start_response("200 OK", [("Content-Length", "2"), ("Content-Type", "application/json")])
    return [b"{}"]
"""


@contextmanager
def burning(folder: Path, milliseconds: float) -> Iterator[Target]:
    """A server that uses so much CPU for each request."""
    folder.mkdir()
    folder.joinpath("burner.py").write_text(APPLICATION)
    folder.joinpath("plain.py").write_text("workers = 1\nworker_class = 'gthread'\nthreads = 2\n")
    given = {**environment(folder), "BURN": str(milliseconds / 1000)}
    with gunicorn("burner", given, folder, "plain.py") as (url, pid):
        yield Target(f"{url}/", pid)


def measure(tmp_path: Path, first: float, second: float) -> Comparison:
    """Compare two servers that burn so many milliseconds."""
    with burning(tmp_path / "a", first) as a, burning(tmp_path / "b", second) as b:
        return compare(a, b, pairs=20, requests=20, said=lambda line: None)


@pytest.mark.verify
def test_milliseconds_of_cpu_are_found_again(tmp_path: Path) -> None:
    found = measure(tmp_path, 6, 1)
    assert abs(found.difference.mean - 5) < 1
    assert found.difference.half < 1


@pytest.mark.verify
def test_the_same_server_twice_shows_no_difference(tmp_path: Path) -> None:
    found = measure(tmp_path, 2, 2)
    assert abs(found.difference.mean) < 2 * found.difference.half + 0.3


def test_an_interval_of_few_values_is_refused() -> None:
    with pytest.raises(ValueError, match="20 pairs"):
        Interval.of([1.0] * 19)


def test_the_interval_is_students() -> None:
    """Of 0..23: mean 11.5, deviation 7.0711, t(23) = 2.0687."""
    interval = Interval.of([float(value) for value in range(24)])
    assert interval.mean == 11.5
    assert interval.half == pytest.approx(2.0687 * 7.0711 / 24**0.5, rel=1e-3)
