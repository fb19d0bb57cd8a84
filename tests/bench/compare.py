"""CPU seconds a request and latency of two servers, measured in interleaved pairs.

On a small noisy machine throughput hides everything below a few per cent. CPU time of the server's own
processes does not see the neighbours, and a pair of batches, A then B or B then A by lot, meets the same
weather; the interval of the pairs' differences says what is known.
"""

import http.client
import math
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from tests.rollout.processes import cpu_seconds, tree
from tests.rollout.report import percentile


@dataclass(frozen=True)
class Interval:
    """A mean and the half width of its 95 % interval."""

    mean: float
    half: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Interval":
        """From 20 values or more, by Student's t (Cornish-Fisher's expansion of the normal quantile)."""
        if len(values) < 20:
            raise ValueError("20 pairs at least, or the interval says nothing")
        z, freedom = statistics.NormalDist().inv_cdf(0.975), len(values) - 1
        t = z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        return cls(statistics.fmean(values), t * statistics.stdev(values) / math.sqrt(len(values)))

    def __str__(self) -> str:
        return f"{self.mean:.2f} ± {self.half:.2f}"


@dataclass(frozen=True)
class Target:
    """A URL and the process at the head of the tree that serves it."""

    url: str
    pid: int

    def cpu(self) -> float:
        """CPU seconds of the whole tree so far."""
        return cpu_seconds(process.pid for process in tree(self.pid))


@dataclass(frozen=True)
class Comparison:
    """Milliseconds: CPU a request of A, of B and their difference by pairs; every latency."""

    first: Interval
    second: Interval
    difference: Interval
    first_p99: float
    second_p99: float
    pairs: int
    requests: int


def ask(url: str, requests: int) -> list[float]:
    """GET the URL over one kept connection; the milliseconds of each. Raises when a status is not 200."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    took = []
    for _ in range(requests):
        start = time.perf_counter()
        connection.request("GET", parts.path + (f"?{parts.query}" if parts.query else ""))
        response = connection.getresponse()
        response.read()
        took.append(1000 * (time.perf_counter() - start))
        if response.status != http.HTTPStatus.OK:
            raise RuntimeError(f"{url} answered {response.status}")
    connection.close()
    return took


def compare(
    first: Target, second: Target, pairs: int = 24, requests: int = 250, said: Callable[[str], None] = print
) -> Comparison:
    """Measure `pairs` interleaved pairs of batches."""
    order = random.Random(1)
    cpu: dict[Target, list[float]] = {first: [], second: []}
    took: dict[Target, list[float]] = {first: [], second: []}
    for target in (first, second):
        for _ in range(8):  # every worker and thread gets warm
            ask(target.url, 40)
    for pair in range(pairs):
        for target in order.sample((first, second), 2):
            before = target.cpu()
            took[target] += ask(target.url, requests)
            cpu[target].append(1000 * (target.cpu() - before) / requests)
        said(
            f"pair {pair + 1} of {pairs}: {cpu[first][-1]:.2f} and {cpu[second][-1]:.2f} ms of CPU a request"
        )
    differences = [a - b for a, b in zip(cpu[first], cpu[second], strict=True)]
    return Comparison(
        first=Interval.of(cpu[first]),
        second=Interval.of(cpu[second]),
        difference=Interval.of(differences),
        first_p99=percentile(took[first], 0.99),
        second_p99=percentile(took[second], 0.99),
        pairs=pairs,
        requests=requests,
    )
