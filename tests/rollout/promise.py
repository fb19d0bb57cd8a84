"""A service under load while things are done to it, and what each of them has to leave behind."""

import signal
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from tests.bench.servers import machine
from tests.rollout.changes import visible_text
from tests.rollout.checkout import REPOSITORY, Change, Checkout, wait_until
from tests.rollout.load import Load
from tests.rollout.processes import Process, alive, held_ports, tree
from tests.rollout.report import Record, Report, errors_said
from tests.rollout.state import await_rest, unfinished_tasks


@contextmanager
def unharmed(checkout: Checkout) -> Iterator[None]:
    """What is done inside may fail, but leaves what served before, with its settings, and no lease."""
    version, told, current = checkout.version(), checkout.told(), checkout.read("current")["version"]
    yield
    assert checkout.version() == version, "another version serves"
    assert checkout.told() == told
    assert checkout.read("current")["version"] == current
    assert not checkout.read("lease"), "the lease is still held"
    assert not checkout.read("rollout"), "the rollout counts as under way"
    checkout.require_whole()


def killed(step: str, with_children: bool) -> str:
    """The name of the window in which the deployer is killed."""
    return f"deployer killed at {step}, {'with its children' if with_children else 'alone'}"


def write_down(mark: str, checkout: Checkout, report: Report, lines: Sequence[str]) -> None:
    """Put figures between a mark of docs/promises.md and its end."""
    page = REPOSITORY / "docs/promises.md"
    before, found, rest = page.read_text().partition(f"<!-- {mark} -->\n")
    assert found, f"{page} has no mark {mark}"
    figures = "\n".join(
        [
            f"Commit {checkout.cloned[:12]}, {datetime.now(UTC):%Y-%m-%d}, {machine()}.",
            "",
            report.table(),
            "",
            *(f"- {line}" for line in lines),
        ]
    )
    page.write_text(f"{before}{found}{figures}\n{rest[rest.index('<!-- end -->') :]}")


@dataclass
class Site:
    """A checkout that is up and its load."""

    checkout: Checkout
    load: Load
    table: list[str] = field(default_factory=list)

    @contextmanager
    def losing_nothing(self, what: str) -> Iterator[None]:
        """Do something to the service under load. Raises AssertionError when a request was lost meanwhile."""
        with self.load.window(what):
            yield
        lost = self.lost(what)
        assert not lost, self.explained(lost)

    @contextmanager
    def losing_at_most_what_is_held_by(self, what: str, victims: list[Process]) -> Iterator[None]:
        """The same for processes that are killed inside: only what they held may be lost, and is counted."""
        held = held_ports(process.pid for process in victims)
        with self.load.window(what):
            yield
            while living := [process.pid for process in victims if alive(process.pid)]:
                held |= held_ports(living)
        strays = [record for record in self.lost(what) if record.port not in held]
        assert not strays, f"held were {sorted(held)}\n{self.explained(strays)}"
        self.table.append(f"{what}: held {len(held)} connections, lost {len(self.lost(what))} requests")

    def count_what_was_held(self, what: str, most: int) -> None:
        """Note what was lost in the windows of this name. Raises AssertionError when it is more than `most`."""
        lost = self.lost(what)
        self.table.append(f"{what}: lost {len(lost)} requests")
        assert len(lost) <= most, self.explained(lost)

    def lost(self, what: str) -> list[Record]:
        """What was lost so far in the windows of this name."""
        return [record for record in list(self.load.records) if record.window == what and record.lost]

    def explained(self, lost: Sequence[Record]) -> str:
        """A line for each lost request and, when the server answered one with 5xx, what its log says of that."""
        lines = [record.line() for record in lost]
        failed = [record.wall for record in lost if record.lost.startswith("status 5")]
        if failed:
            lines += ["the web's log:", *errors_said(self.checkout.logs(min(failed) - 1), min(failed) - 1)]
        return "\n".join(lines)

    def deploy(self, *changes: Change) -> str:
        """Commit changes and roll them out. Gives the version, which serves and says so."""
        commit = self.checkout.commit(*changes)
        self.checkout.make("deploy")
        running = self.checkout.version()
        assert running["commit"] == commit
        return running["version"]

    def unharmed(self) -> AbstractContextManager[None]:
        """What is done inside may fail, but leaves what served before, with its settings, and no lease."""
        return unharmed(self.checkout)

    def refused(self, reason: str, *changes: Change) -> str:
        """Commit changes whose deploy has to fail, saying why in one line here and in the history."""
        good = self.checkout.head
        self.checkout.commit(*changes)
        try:
            with self.unharmed():
                done = self.checkout.make("deploy", check=False)
                print(done.output)  # pytest shows it where what it leaves is not as it was
            assert done.status != 0, f"it was deployed: {done.output[-3000:]}"
            for place, text in (("terminal", done.output), ("history", self.checkout.make("history").output)):
                said = [line for line in text.splitlines() if reason in line]
                assert said, f"the {place} does not say {reason!r}: {text[-3000:]}"
        finally:
            self.checkout.go_to(good)
        return done.output

    def hold_back_a_second_deploy(self) -> None:
        """Deploy twice at once: the second has to be told who is at it. Raises AssertionError otherwise."""
        checkout = self.checkout
        commit = checkout.commit(visible_text("one of two deploys"))
        first = checkout.start("deploy")
        checkout.await_step("prove", first)
        holder = checkout.read("lease")["owner"]
        second = checkout.make("deploy", check=False, ROLLOUT_WAIT_SECONDS="1")
        first.wait(120)
        said = [line for line in second.output.splitlines() if "under way" in line and holder in line]
        assert second.status != 0, f"the second deploy was not held back: {second.output}"
        assert said, f"it was not said who deploys: {second.output}"
        assert first.status == 0, first.output
        assert checkout.version()["commit"] == commit

    def kill_the_master(self) -> None:
        """Kill the serving web's master under load, and wait until its workers have ended and others serve."""
        master, *workers = tree(self.checkout.master().pid)
        master.kill()
        wait_until(lambda: not any(alive(worker.pid) for worker in workers), "the orphans to end", 40)
        wait_until(lambda: len(self.checkout.running("web")) == 1, "the master to come back")
        wait_until(lambda: len(self.checkout.web_workers()) == len(workers), "the slot to come back")

    def survive_a_broker_that_loses_everything(self, seconds: float = 90) -> None:
        """Lose every message of a while and the worker. Raises AssertionError when a task stays undone."""
        (worker,) = self.checkout.running("worker")
        worker.kill(signal.SIGSTOP)
        try:
            wait_until(lambda: unfinished_tasks(self.checkout) > 3, "some tasks to pile up")
            for message in (self.checkout.root / "data/broker").rglob("*.msg"):
                message.unlink()
        finally:
            worker.kill()
        await_rest(self.checkout, seconds)

    def write_down(self, mark: str) -> None:
        """Put this run's figures between a mark of docs/promises.md and its end."""
        write_down(mark, self.checkout, self.load.report, self.table)
