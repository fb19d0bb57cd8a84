"""`make bench`: the service beside a bare view, and what rollouts cost here and on servers; into docs/benchmarks.md."""

import os
import subprocess
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from urllib.request import urlopen

from tests.bench import hosts, rollout
from tests.bench.compare import Comparison, Target, compare
from tests.bench.servers import REPOSITORY, environment, gunicorn, machine, prepare
from tests.rollout.checkout import STEPS
from tests.rollout.load import machine_wide_lock

PAGE = REPOSITORY / "docs/benchmarks.md"
PATH = "/api/v1/listings"


def compare_with_bare() -> Comparison:
    """Measure the service's list of listings against a view that serves the same bytes."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        real, bare = folder / "real", folder / "bare"
        given = environment(real)
        prepare(given)
        with gunicorn("marefia.wsgi", given) as (real_url, real_pid):
            body = folder / "body"
            with urlopen(f"{real_url}{PATH}", timeout=10) as response:
                body.write_bytes(response.read())
            told = {**environment(bare), "BARE_BODY": str(body), "PYTHONPATH": str(REPOSITORY)}
            with gunicorn("tests.bench.bare", told) as (bare_url, bare_pid):
                return compare(Target(f"{real_url}{PATH}", real_pid), Target(f"{bare_url}{PATH}", bare_pid))


def load_average() -> float:
    """Of the last minute: what else was going on here."""
    return os.getloadavg()[0]


def page(served: Comparison, costs: rollout.Costs, servers: hosts.Seconds, loads: tuple[float, float]) -> str:
    """The document.

    :param loads: the machine's load average before and after measuring.
    """
    commit = subprocess.run(
        ["git", "rev-parse", "--short=12", "HEAD"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout.strip()
    kinds = list(costs.steps)
    rows = [
        f"| {step} | " + " | ".join(f"{costs.steps[kind][step]:.1f}" for kind in kinds) + " |"
        for step in STEPS[:-1]
    ]
    rest = [costs.commands[kind] - sum(costs.steps[kind][step] for step in STEPS[:-1]) for kind in kinds]
    rows.append("| the rest | " + " | ".join(f"{seconds:.1f}" for seconds in rest) + " |")
    rows.append(
        "| **the whole command** | " + " | ".join(f"{costs.commands[kind]:.1f}" for kind in kinds) + " |"
    )
    return f"""\
# Benchmarks

Written by `make bench`. {datetime.now(UTC):%Y-%m-%d}, commit {commit}, {machine()}.
Load average of the machine: {loads[0]:.1f} at the start, {loads[1]:.1f} at the end.

## A request

`GET {PATH}` with all middleware, and a bare Django view that serves the same bytes, in the same run under
the same gunicorn configuration: {served.pairs} interleaved pairs of {served.requests} requests over one kept
connection. CPU is that of the whole gunicorn tree; means with their 95 % intervals.

| | CPU ms a request | p99 ms |
|---|---:|---:|
| the service | {served.first} | {served.first_p99:.1f} |
| a bare view | {served.second} | {served.second_p99:.1f} |
| difference, by pairs | {served.difference} | |

## A rollout

Seconds of each step as `history.jsonl` has them (medians where a kind was repeated), process engine.
The rest is what the command takes besides: the build, starting Ansible, and record, which cannot time itself in the
line that it writes.

| step | {" | ".join(kinds)} |
|---|{"---:|" * len(kinds)}
{chr(10).join(rows)}

`make up` with no change, {rollout.NOTHING} runs: {costs.nothing:.2f} s, {costs.nothing_cpu:.2f} s of CPU.

## Servers

Whole commands, medians of {hosts.TIMES}. The servers are containers with systemd on this same machine.

{hosts.table(servers)}
"""


def main() -> None:
    """Measure all, with nothing else measuring on this machine, and write the page."""
    with machine_wide_lock():
        before = load_average()
        served = compare_with_bare()
        costs = rollout.measure()
        servers = hosts.measure()
        after = load_average()
    text = page(served, costs, servers, (before, after))
    PAGE.write_text(text)
    print(f"{text}\nwritten to {PAGE.relative_to(REPOSITORY)}")


if __name__ == "__main__":
    main()
