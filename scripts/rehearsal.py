"""Tries new migrations on PostgreSQL: the previous release's tests on the new schema, rows forward and back, locks.

Each part prints what it found, and yields a line for each thing that is wrong.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filling
import previous
from previous import Tree
from release import CHECKOUT
from scratch import Server

from rollout import database, service
from rollout.errors import RolloutError, counted, last_words

ROWS, MOST_ROWS = 1_000_000, 10_000_000
SECONDS = 600  # what `migrate` has in a rollout
WHY_NOT = "or say in the migration why that does no harm: rollout_override"
FAILED = re.compile(r"(?m)^(?:FAILED|ERROR:?|FAIL:) ([^\s(]\S*)")  # pytest's summary; Django's runner
# A table that the tests do not know and that refers to one that they empty: TRUNCATE refuses, though it has no rows.
LOOSE = """
SELECT conrelid::regclass::text, quote_ident(conname) FROM pg_constraint
WHERE contype = 'f' AND NOT conrelid::regclass::text = ANY(%s) AND confrelid::regclass::text = ANY(%s)
"""
REPORTS_WITHIN = 5.0  # seconds
SESSIONS = "SELECT sessions FROM pg_stat_database WHERE datname = %s"


def rows_wanted() -> int:
    """ROWS, checked."""
    said = os.environ.get("ROWS") or str(ROWS)
    if not (said.isdecimal() and 1 <= int(said) <= MOST_ROWS):
        raise RolloutError(f"ROWS={said} cannot be followed", f"give a whole number from 1 to {MOST_ROWS}")
    return int(said)


def run(
    command: list[str], folder: Path, told: dict[str, str], seconds: float | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, by force after so many seconds; what it started ends with it."""
    with subprocess.Popen(
        command,
        cwd=folder,
        env=told,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as child:
        try:
            out, complaint = child.communicate(timeout=seconds)
        except BaseException as error:
            os.killpg(child.pid, signal.SIGKILL)
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            out, complaint = child.communicate()[0], f"it was not done after {seconds} s"
    return subprocess.CompletedProcess(command, child.returncode, out, complaint)


@dataclass
class Rehearsal:
    """What there is to try: a server with an empty database as the previous release made it, and both releases."""

    server: Server
    before: Tree
    now: Tree
    name: str  # of the previous release
    scratch: Path

    def __post_init__(self) -> None:
        self.empty = self.server.create()
        self.migrating(self.before, self.empty, "migrate")
        with self.server.connect(self.empty) as connection:
            self.tables = filling.tables(connection)

    def told(self, tree: Tree, name: str) -> dict[str, str]:
        """What a command of a release is told of a database."""
        return tree.told(self.scratch) | self.server.told(name) | {"PGOPTIONS": database.limits(SECONDS)}

    def migrating(self, tree: Tree, name: str, act: str) -> list[dict[str, Any]]:
        """What migrating.py says of each migration, run in a release on a database."""
        script = str(CHECKOUT / "scripts/migrating.py")
        done = run(["python", script, act], tree.app, self.told(tree, name), SECONDS)
        said = [json.loads(line) for line in done.stdout.splitlines()]
        steps = [each for each in said if "locks" in each]
        if done.returncode:
            complaint = last_words(done.stderr.strip().splitlines() or ["no word"]).removeprefix("error: ")
            if len(said) == 2 * len(steps):
                whose = self.name if tree is self.before else "this commit"
                raise RolloutError(f"the migrations of {whose} cannot be applied: {complaint}", "mend that")
            steps.append({**said[-1], "error": complaint, "locks": {}, "lost": {}, "dropped": {}})
        return steps

    def tests(self) -> Iterator[str]:
        """Run the previous release's tests on this commit's schema."""
        if not self.before.facts.tests:
            print(f"left out: the tests of {self.name}; its {service.FILE} has no `tests`")
            return
        name = self.server.create(self.empty)
        self.migrating(self.now, name, "migrate")
        with self.server.connect(name) as connection:
            for table, constraint in connection.execute(LOOSE, [self.tables, self.tables]).fetchall():
                connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT {constraint}".encode())
        its = self.server.create(name, f"test_{name}")  # as Django's runner calls it
        told = self.before.told(self.scratch) | self.server.told(name)
        told["PATH"] = f"{self.before.programs}:{previous.tools(self.before.path)}:/usr/bin:/bin"
        began = time.monotonic()
        done = run(["/bin/sh", "-c", self.before.facts.tests], self.before.path, told)
        if done.returncode:
            print(done.stdout + done.stderr)
            failed = dict.fromkeys(FAILED.findall(done.stdout + done.stderr))
            which = ", ".join(failed) or f"`{self.before.facts.tests}` ended with status {done.returncode}"
            yield (
                f"tests of {self.name} fail on the new schema: {which}; "
                "leave it what it needs until the release after: docs/migrations.md, Expand, then contract"
            )
        elif not self.used(its):
            yield f"the tests of {self.name} used no {its}, so they say nothing; mend `tests`: docs/service-file.md"
        else:
            print(f"the tests of {self.name} pass on the new schema: {time.monotonic() - began:.0f} s")

    def used(self, name: str) -> bool:
        """Whether a database has seen a connection: a server process reports it shortly after it has ended."""
        end = time.monotonic() + REPORTS_WITHIN
        with self.server.connect() as connection:
            while not (seen := (connection.execute(SESSIONS, [name]).fetchone() or (0,))[0]):
                if time.monotonic() > end:
                    break
                time.sleep(0.1)
        return bool(seen)

    def data(self) -> Iterator[str]:
        """Apply the new migrations forward, back and forward again where there are rows."""
        self.full = self.server.create(self.empty)
        if demo := self.before.facts.demo:
            done = run(["/bin/sh", "-c", demo], self.before.app, self.told(self.before, self.full), SECONDS)
            if done.returncode:
                complaint = last_words((done.stderr or done.stdout).strip().splitlines() or ["no word"])
                raise RolloutError(
                    f"the demo data of {self.name} cannot be loaded: {complaint}", "mend `demo`"
                )
        with self.server.connect(self.full) as connection:
            for table, why in filling.seed(connection).items():
                print(f"left out: {table} stays empty, no row could be made up: {why}")
        self.walked = self.migrating(self.now, self.server.create(self.full), "walk")
        wrong = [line for step in self.walked for line in judged(step)]
        yield from wrong
        if not wrong:
            print("rows are kept forward, back and forward again")

    def locks(self, rows: int) -> Iterator[str]:
        """Apply them to long tables and report what is locked for how long."""
        if any("error" in step for step in self.walked if step["way"] == "forward"):
            print("left out: how long tables are locked; not all of the migrations can be applied")
            return
        name = self.server.create(self.full)
        touched = sorted({table for step in self.walked for table in step["locks"]} & {*self.tables})
        filled = []
        with self.server.connect(name) as connection:
            for table in touched:
                try:
                    filling.multiply(connection, table, rows)
                    filled.append(table)
                except filling.CannotFillError as error:
                    print(f"left out: {table} is not filled: {error}")
        steps = self.migrating(self.now, name, "forward")
        held = [
            (step, table, *step["locks"][table])
            for step in steps
            for table in touched
            if table in step["locks"]
        ]
        for step in steps:
            yield from judged(step)
        for step, table, mode, seconds in held:
            if mode == "AccessExclusiveLock" and seconds > database.LOCK_TIMEOUT_SECONDS:
                yield from overridable(
                    step,
                    f"holds ACCESS EXCLUSIVE on {table} for {seconds:.1f} s with {rows} rows, "
                    f"longer than the {database.LOCK_TIMEOUT_SECONDS} s of a rollout's lock_timeout; "
                    f"do it in steps that rewrite nothing (docs/migrations.md), {WHY_NOT}",
                )
        if held:
            lines = [
                (step["migration"], table, words(mode), f"{seconds:.2f}")
                for step, table, mode, seconds in held
            ]
            where = f"{', '.join(filled) or 'no table'} {'have' if len(filled) > 1 else 'has'}"
            print(f"locks, where {where} {rows} rows:")
            print(table_of([("migration", "table", "lock", "seconds"), *lines]), flush=True)


def words(mode: str) -> str:
    """PostgreSQL's name of a lock as its statements have it."""
    return re.sub(r"(?<!^)(?=[A-Z])", " ", mode.removesuffix("Lock")).upper()


def table_of(rows: list[tuple[str, ...]]) -> str:
    """Columns below each other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def judged(step: dict[str, Any]) -> Iterator[str]:
    """What is wrong with one step of migrating.py's; what is only worth knowing is printed."""
    way = step["way"].replace("again", "forward again")
    if step.get("irreversible"):
        print(f"irreversible: {step['migration']}, which is allowed: a rollback takes no migration back")
    for table, rows in step["dropped"].items():
        print(f"{step['migration']}, {way}: {table} is gone, with {counted(rows, 'row')}")
    if (error := step.get("error")) and way == "back":
        yield from overridable(step, f"fails, back: {error}; mend its way back or leave that out, {WHY_NOT}")
    elif error:
        yield f"{step['migration']} fails, {way}: {error}; mend it"
    for table, rows in step["lost"].items():
        yield from overridable(step, f"loses {counted(rows, 'row')} of {table}, {way}; keep them, {WHY_NOT}")


def overridable(step: dict[str, Any], line: str) -> Iterator[str]:
    """A line about a migration, unless that says itself why there is no harm: then it is printed."""
    if step["override"]:
        print(f"overridden: {step['migration']} {line.partition(';')[0]}: {step['override']}")
    else:
        yield f"{step['migration']} {line}"
