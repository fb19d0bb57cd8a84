"""Changes the service one place at a time, and says which change no test notices: docs/mutations.md.

The tests run once as they are, and each line remembers who reached it. Then for each mutant a process is forked off,
in which the function that it is about gets the mutant's code, and the tests that reach that place run until one fails:
nothing is imported, collected or migrated twice.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import shutil
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType

import coverage
import hypothesis
import pytest
from _pytest.runner import runtestprotocol

from tests.mutations.mutants import Mutant, mutants

CPU_SECONDS, SECONDS = 30, 600
"""More than its tests take without it: a mutant that needs that is caught, it hangs."""
FOUND = Path(".cache/mutations.jsonl")
SURVIVED = ("survived", "no tests", "broken")
Tests = list[pytest.Item]
Functions = dict[tuple[str, str, int], list[FunctionType]]


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("mutations")
    group.addoption("--mutate", action="append", default=[], metavar="FILE", help="what is changed")
    group.addoption("--most-tests", type=int, default=1000, help="for each mutant, the quickest first")
    group.addoption("--again", action="store_true", help="what survived the last time, too")
    group.addoption("--list", action="store_true", help="say what would be changed")


def pytest_configure() -> None:
    """Examples are the same for each mutant, none are kept, and a slow machine fails nobody."""
    hypothesis.settings.register_profile(
        "mutants", database=None, derandomize=True, deadline=None, suppress_health_check=list(hypothesis.HealthCheck)
    )  # fmt: skip
    hypothesis.settings.load_profile("mutants")


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool:
    """In place of the tests: the tests, and then again for each mutant."""
    options = session.config.option
    known = results()
    found = [
        mutant
        for path in options.mutate
        for mutant in mutants(Path(path))
        if mutant.key not in known or (options.again and known[mutant.key] in SURVIVED)
    ]
    say(session, f"{len(found)} mutants")
    if options.list:
        for mutant in found:
            say(session, mutant.diff)
        return True
    reached, took, database = baseline(session, options.mutate)
    functions = functions_of(options.mutate)
    control = judged(session, None, session.items, took, database, functions)
    assert control == ("survived", ""), f"what is forked off fails without any mutant: {control}"
    kills: Counter[tuple[int, str]] = Counter()
    for number, mutant in enumerate(found):

        def promise(test: pytest.Item, function: int = mutant.function_lines[0]) -> tuple[int, float]:
            return -kills[function, test.nodeid], took[test]

        tests = sorted(reached(mutant), key=promise)[: options.most_tests]
        begun = time.monotonic()
        status, killer = judged(session, mutant, tests, took, database, functions)
        kills[mutant.function_lines[0], killer] += 1
        with FOUND.open("a") as out:
            out.write(
                json.dumps({"key": mutant.key, "status": status, "by": killer, "diff": mutant.diff}) + "\n"
            )
        took_it = time.monotonic() - begun
        say(session, f"{number + 1}/{len(found)} {status:8} {took_it:5.1f} s {len(tests):3} {mutant}")
    return True


def results() -> dict[str, str]:
    """What became of each mutant the last time."""
    lines = FOUND.read_text().splitlines() if FOUND.exists() else []
    return {told["key"]: told["status"] for told in map(json.loads, lines)}


def say(session: pytest.Session, text: str) -> None:
    terminal = session.config.pluginmanager.get_plugin("terminalreporter")
    assert terminal
    terminal.ensure_newline()
    terminal.write_line(text)
    terminal.flush()


class Reached:
    """Who reached which line."""

    def __init__(self, data: coverage.CoverageData, tests: Tests) -> None:
        self.by_name = {test.nodeid: test for test in tests}
        self.by_line: dict[tuple[str, int], set[str]] = defaultdict(set)
        for path in data.measured_files():
            for line, names in data.contexts_by_lineno(path).items():
                self.by_line[path, line] |= set(names) & set(self.by_name)

    def __call__(self, mutant: Mutant) -> Tests:
        names: set[str] = set()
        for lines in (mutant.lines, mutant.function_lines):
            names = names or set[str]().union(
                *(self.by_line[str(mutant.path.resolve()), line] for line in lines)
            )
        return [self.by_name[name] for name in sorted(names)]


def baseline(session: pytest.Session, paths: list[str]) -> tuple[Reached, dict[pytest.Item, float], Path]:
    """Run the tests as they are. Return who reached what, how long each took, and the database as it began."""
    from django.db import connections

    took: dict[pytest.Item, float] = {}
    measured = coverage.Coverage(data_file=None, include=paths, config_file=False)
    measured.start()
    kept = Path()
    for test, following in pairs(session.items):
        measured.switch_context(test.nodeid)
        begun = time.process_time()
        reports = runtestprotocol(test, log=False, nextitem=following)
        took[test] = time.process_time() - begun
        for report in reports:
            assert not report.failed, f"{test.nodeid} fails without any mutant: {report.longreprtext}"
        if kept == Path():
            connections.close_all()
            kept = Path(f"{connections['default'].settings_dict['NAME']}.begun")
            shutil.copy(kept.with_suffix(""), kept)
    measured.stop()
    connections.close_all()
    say(session, f"{len(session.items)} tests take {sum(took.values()):.0f} s of the processor")
    return Reached(measured.get_data(), session.items), took, kept


def pairs(tests: Tests) -> Iterator[tuple[pytest.Item, pytest.Item]]:
    """Each with the next one; after the last comes the first, so that what a session holds is never let go."""
    return zip(tests, [*tests[1:], tests[0]], strict=True)


def judged(
    session: pytest.Session,
    mutant: Mutant | None,
    tests: Tests,
    took: dict[pytest.Item, float],
    database: Path,
    functions: Functions,
) -> tuple[str, str]:
    """What became of a mutant, and which test has noticed."""
    if not tests:
        return "no tests", ""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        code = 3
        try:
            limit = int(CPU_SECONDS + 3 * sum(took[test] for test in tests))
            resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
            signal.alarm(SECONDS + limit)
            own_database(database)
            if mutant:
                become(mutant, functions)
            os.write(writing, first_that_fails(session, tests).encode())
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as told:
        killer = told.read()
    ended = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if ended:
        return ("timeout" if ended < 0 else "broken"), ""
    return ("killed" if killer else "survived"), killer


def own_database(begun: Path) -> None:
    """As it was before the first test, and nobody else's."""
    from django.db import connections

    own = begun.with_suffix(".mutant")
    for old in own.parent.glob(f"{own.name}*"):
        old.unlink()
    shutil.copy(begun, own)
    connections["default"].settings_dict["NAME"] = str(own)


def first_that_fails(session: pytest.Session, tests: Tests) -> str:
    """Its name, or ''."""
    session._setupstate.teardown_exact(tests[0])
    for test, following in pairs(tests):
        if any(report.failed for report in runtestprotocol(test, log=False, nextitem=following)):
            return test.nodeid
    return ""


def functions_of(paths: list[str]) -> Functions:
    """Every function of these files, wherever it is referred to and whatever decorates it, by name and first line."""
    names = {str(Path(path).resolve()) for path in paths}
    found: Functions = defaultdict(list)
    for one in gc.get_objects():
        if type(one) is FunctionType and one.__code__.co_filename in names:
            code = one.__code__
            found[code.co_filename, code.co_qualname, code.co_firstlineno].append(one)
    gc.freeze()
    return found


def become(mutant: Mutant, functions: Functions) -> None:
    """Give the function the mutant's code."""
    path = str(mutant.path.resolve())
    old, new = mutant.codes(path)
    for function in functions[path, old.co_qualname, old.co_firstlineno]:
        function.__code__ = new
