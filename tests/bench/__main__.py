"""`make bench`: the service beside a bare view, and what rollouts and images cost; into docs/benchmarks.md."""

import argparse
import os
import re
import subprocess
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime

from tests.bench import cluster, hosts, images, rollout, service
from tests.bench.servers import REPOSITORY, machine
from tests.rollout.checkout import STEPS
from tests.rollout.load import machine_wide_lock

PAGE = REPOSITORY / "docs/benchmarks.md"


def load_average() -> float:
    """Of the last minute: what else was going on here."""
    return os.getloadavg()[0]


def commit() -> str:
    """The commit that is measured."""
    command = ["git", "rev-parse", "--short=12", "HEAD"]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout.strip()


def costs_of_rollouts(costs: rollout.Costs) -> str:
    """The section on rollouts on this machine."""
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
Seconds of each step as `history.jsonl` has them (medians where a kind was repeated), process engine.
The rest is what the command takes besides: the build, starting Ansible, and record, which cannot time itself in the
line that it writes.

| step | {" | ".join(kinds)} |
|---|{"---:|" * len(kinds)}
{chr(10).join(rows)}

`make up` with no change, {rollout.NOTHING} runs: {costs.nothing:.2f} s, {costs.nothing_cpu:.2f} s of CPU.
"""


def servers(seconds: hosts.Seconds) -> str:
    """The section on servers."""
    return f"""\
Whole commands, medians of {hosts.TIMES}. The servers are containers with systemd on this same machine.

{hosts.table(seconds)}
"""


SECTIONS: dict[str, tuple[str, Callable[[], str]]] = {
    "service": ("The service", service.section),
    "rollout": ("A rollout", lambda: costs_of_rollouts(rollout.measure())),
    "servers": ("Servers", lambda: servers(hosts.measure())),
    "images": ("The image", images.section),
    "cluster": ("A cluster", cluster.section),
}
UNDER_LOAD = {"cluster"}
"""Parts whose clients take the machine's permission to measure themselves."""


def measured(title: str, text: str, loads: tuple[float, float]) -> str:
    """A section of the page.

    :param loads: the machine's load average before and after measuring.
    """
    where = f"{datetime.now(UTC):%Y-%m-%d}, commit {commit()}, {machine()}"
    load = f"load average {loads[0]:.1f} at the start, {loads[1]:.1f} at the end"
    return f"## {title}\n\n{where}; {load}.\n\n{text}"


def page(sections: dict[str, str]) -> str:
    """The document, of sections by their titles."""
    order = [title for title, _ in SECTIONS.values() if title in sections]
    return "# Benchmarks\n\nWritten by `make bench`.\n\n" + "\n".join(sections[title] for title in order)


def known(text: str) -> dict[str, str]:
    """The sections of a page by their titles."""
    found = re.split(r"(?m)^(?=## )", text)[1:]
    return {each.partition("\n")[0].removeprefix("## "): each.rstrip("\n") + "\n" for each in found}


def main() -> None:
    """Measure, with nothing else measuring on this machine, and write the page."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "only", nargs="*", help=f"which of {', '.join(SECTIONS)}; the others stay as they are"
    )
    chosen = parser.parse_args().only or list(SECTIONS)
    if unknown := set(chosen) - set(SECTIONS):
        parser.error(f"there is no part {', '.join(unknown)}; choose of {', '.join(SECTIONS)}")
    sections = known(PAGE.read_text())
    for each in chosen:
        title, measure = SECTIONS[each]
        before = load_average()
        with nullcontext() if each in UNDER_LOAD else machine_wide_lock():
            text = measure()
        sections[title] = measured(title, text, (before, load_average()))
        PAGE.write_text(page(sections))
    print(f"{page(sections)}\nwritten to {PAGE.relative_to(REPOSITORY)}")


if __name__ == "__main__":
    main()
