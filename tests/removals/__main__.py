"""Removes tasks of the playbooks, one at a time, each in a clone of its own: a test has to turn red.

What is committed counts. A test that is red without the removal, too, says nothing: what noticed is run once intact.
"""

from __future__ import annotations

import argparse
import functools
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.coverage import tasks
from tests.coverage.lines import Line
from tests.coverage.record import ROOT
from tests.removals.guards import guards, on_hosts
from tests.removals.removal import without

LOG = ROOT / ".cache" / "removals.log"
RED = re.compile(r"^(?:FAILED|ERROR) (tests/\S+)", re.MULTILINE)
NEEDED = """environment:
  HOSTS_INVENTORY  three Debian servers, as for `make verify`
  BARE_HOSTS       a command that makes those servers bare again: what they already carry hides a removal.
                   Without it, tasks that only tests with servers guard are left out.

What the tests said of each goes to .cache/removals.log."""


def main(arguments: list[str]) -> int:
    """Report each removal; 0 when each turned a test red."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.removals",
        description=__doc__,
        epilog=NEEDED,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--number", type=int, default=20, help="how many (20)")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="repeats a sample")
    parser.add_argument(
        "--under", nargs="+", default=["playbooks"], metavar="PATH", help="of these files only"
    )
    parser.add_argument("--list", action="store_true", help="say what would be removed, and who guards it")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="removals-") as folder:
        intact = Path(folder) / "intact"
        _run("git", "clone", "--quiet", str(ROOT), str(intact))
        found = [
            line for line in tasks.lines(intact, Path(folder)) if line.path.startswith(tuple(options.under))
        ]
        possible = [line for line in found if "BARE_HOSTS" in os.environ or not on_hosts(_guards(line))]
        if left_out := len(found) - len(possible):
            print(f"left out: {left_out} tasks that need bare servers (BARE_HOSTS is not set)")
        if not possible:
            print(f"removals: there is nothing to remove under {' '.join(options.under)}", file=sys.stderr)
            return 2
        if "BARE_HOSTS" in os.environ and "HOSTS_INVENTORY" not in os.environ:
            print("removals: BARE_HOSTS is set, HOSTS_INVENTORY is not", file=sys.stderr)
            return 2
        sample = random.Random(options.seed).sample(possible, min(options.number, len(possible)))
        print(f"seed {options.seed}: {len(sample)} of {len(possible)} tasks", flush=True)
        if options.list:
            print(*(f"{_named(line)}  {' '.join(_guards(line))}" for line in sample), sep="\n")
            return 0
        killed = sum(_judged(intact, line) for line in sample)
    print(f"{killed} of {len(sample)} removals turned a test red")
    return 0 if killed == len(sample) else 1


def _judged(intact: Path, line: Line) -> bool:
    """Say whether a test notices that the task is gone."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="removal-") as folder:
        clone = Path(folder) / "checkout"
        _run("git", "clone", "--quiet", str(intact), str(clone))
        file = clone / line.path
        file.write_text(without(file.read_text(), line.number, handler=line.kind == "handler"))
        _run("ansible-playbook", "--syntax-check", *map(str, clone.glob("playbooks/*.yml")), folder=clone)
        author = ("-c", "user.name=Test", "-c", "user.email=test@example.org")
        _run("git", *author, "commit", "--quiet", "--all", f"--message=Without {_named(line)}", folder=clone)
        test, seconds = red(clone, _guards(line)), time.monotonic() - began
        if test and not green(intact, _guards(line)[0], _asked(test, _guards(line))):
            print(
                f"UNJUDGED {_named(line)}: {test} is red without the removal, or a neighbour is", flush=True
            )
            return False
    print(
        f"{_named(line)}  killed by {test} in {seconds:.0f} s" if test else f"SURVIVED {_named(line)}",
        flush=True,
    )
    return bool(test)


def _asked(test: str, tests: tuple[str, ...]) -> str:
    """The guard that a test belongs to: its file, or the test alone."""
    return next((each for each in tests if test.startswith(each)), test.partition("::")[0])


@functools.cache
def green(intact: Path, first: str, guard: str) -> bool:
    """Whether nothing fails in what noticed, and in the first that is to run, where nothing was removed."""
    return not red(intact, tuple(dict.fromkeys([first, guard])))


def red(clone: Path, tests: tuple[str, ...]) -> str:
    """The first test that fails in a clone, "" when none does.

    Raises RuntimeError when the tests could not be run: that says nothing of a removal.
    """
    outside = {
        name: value for name, value in os.environ.items() if name not in ("INFRA_COVERAGE_DIR", "BASH_ENV")
    }
    environment = {**outside, "VENV": os.environ.get("VENV", sys.prefix)}
    if on_hosts(tests):
        environment |= {
            "REQUIRE": "hosts",
            "HOSTS_INVENTORY": str(Path(os.environ["HOSTS_INVENTORY"]).absolute()),
        }
        _run("bash", "-c", os.environ["BARE_HOSTS"])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-q", "--keep-duplicates", "-p", "no:cacheprovider", *tests],
        cwd=clone, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    LOG.parent.mkdir(parents=True, exist_ok=True)
    with LOG.open("a", encoding="utf-8") as log:
        log.write(done.stdout + done.stderr)
    if done.returncode == 0:
        return ""
    failed = RED.search(done.stdout)
    if done.returncode != 1 or failed is None:
        raise RuntimeError(f"the tests could not be run: {(done.stdout + done.stderr)[-3000:]}")
    return failed[1]


def _run(*command: str, folder: Path | None = None) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout}{done.stderr}")


def _name(line: Line) -> str:
    return line.text.partition("name: ")[2]


def _named(line: Line) -> str:
    return f"{line.path}:{line.number} {_name(line)}"


def _guards(line: Line) -> tuple[str, ...]:
    return guards(line.path, _name(line))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
