"""What a load run saw: every request, the windows in which faults were made, and what was lost where."""

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

STEADY = "between the faults"


@dataclass
class Record:
    """One request as its client saw it. Times in seconds; `started` and `ended` are monotonic."""

    client: int
    what: str
    window: str
    wall: float
    started: float
    ended: float
    idle: float
    """Seconds that the connection had been idle; 0 for a fresh one."""
    age: float
    """Seconds since the connection was opened."""
    port: int
    """The client's own port: tells which process of the server held the connection; 0 when refused."""
    lost: str = ""
    key: str = ""
    """The id that a write carries."""
    acknowledged: bool = False
    stored: int | None = None
    """How often the write was found afterwards; None when nobody looked."""

    def line(self) -> str:
        """One line for a person."""
        at = datetime.fromtimestamp(self.wall, UTC).strftime("%H:%M:%S.%f")[:-3]
        return (
            f"{at} [{self.window}] client {self.client} {self.what} {self.key}: {self.lost} "
            f"(after {self.ended - self.started:.2f} s; port {self.port}, connection {self.age:.2f} s old, "
            f"{self.idle:.2f} s idle)"
        )


@dataclass(frozen=True)
class Window:
    """A named span of monotonic time in which something was done to the service."""

    name: str
    start: float
    end: float


@dataclass(frozen=True)
class Report:
    """The outcome of a load run."""

    records: Sequence[Record]
    windows: Sequence[Window]
    expired: int = 0
    """Connections that a client itself closed, because it had overslept its own longest gap."""

    @property
    def lost(self) -> list[Record]:
        """Every lost request, oldest first."""
        return [record for record in self.records if record.lost]

    @property
    def writes(self) -> list[Record]:
        """Every write, oldest first."""
        return [record for record in self.records if record.key]

    @property
    def unkept(self) -> list[Record]:
        """Acknowledged writes that are not stored exactly once."""
        return [write for write in self.writes if write.acknowledged and write.stored != 1]

    def within(self, name: str) -> list[Record]:
        """The requests that ended in the windows of this name."""
        return [record for record in self.records if record.window == name]

    def lost_outside(self, *names: str) -> list[Record]:
        """Lost requests that the named windows do not account for."""
        return [record for record in self.lost if record.window not in names]

    def reasons(self) -> dict[str, int]:
        """How many were lost for which reason."""
        return dict(Counter(record.lost for record in self.lost))

    def table(self) -> str:
        """A Markdown table: one row a window, in their order, and their sum."""
        names = list(dict.fromkeys([*(window.name for window in self.windows), STEADY]))
        rows = [
            "| window | seconds | requests | writes | lost | p50 ms | p99 ms | max ms |",
            "|---|---:|---:|---:|---:|---:|---:|---:|",
        ]
        for name in names:
            spans = [window.end - window.start for window in self.windows if window.name == name]
            rows.append(_row(name, f"{sum(spans):.0f}" if spans else "", self.within(name)))
        rows.append(_row("**all**", f"{self.seconds:.0f}", self.records))
        return "\n".join(rows)

    @property
    def seconds(self) -> float:
        """From the first request to the end of the last."""
        return max((r.ended for r in self.records), default=0) - min(
            (r.started for r in self.records), default=0
        )

    def __str__(self) -> str:
        return "\n".join([self.table(), *(record.line() for record in self.lost)])


def errors_said(folder: Path, since: float, *, most: int = 10) -> list[str]:
    """The first `most` errors in the web's logs since a wall time, each with the end of its traceback.

    Last come errors that are no JSON, such as a process's last words: they bear no time, so any may be old.
    """
    found: list[tuple[str, str]] = []
    earliest = datetime.fromtimestamp(since, UTC).isoformat()
    for log in sorted(folder.glob("web-*.log")):
        for line in log.read_text(errors="replace")[-1_000_000:].splitlines():
            try:
                said: dict[str, str] = dict(json.loads(line))
            except (ValueError, TypeError):  # no JSON, or no object
                found += [("~", f"{log.name}: {line[:200]}")] if "Error" in line else []
                continue
            at = str(said.get("timestamp", ""))
            if said.get("level") not in ("error", "critical") or at < earliest:
                continue
            end = str(said.get("exception", "")).splitlines()[-12:]
            told = {key: said[key] for key in ("event", "request", "reason", "request_id") if key in said}
            found.append((at, "\n    ".join([f"{log.name} {at} {told}", *end])))
    found.sort(key=lambda pair: pair[0])
    more = [f"and {len(found) - most} more"] if len(found) > most else []
    return [text for _, text in found[:most]] + more or ["nothing"]


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of the values do not exceed; 0 for none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0


def _row(name: str, seconds: str, records: Sequence[Record]) -> str:
    took = [1000 * (record.ended - record.started) for record in records if not record.lost]
    figures = " | ".join(
        f"{value:.0f}" for value in (percentile(took, 0.5), percentile(took, 0.99), max(took, default=0))
    )
    writes = sum(1 for record in records if record.key)
    lost = sum(1 for record in records if record.lost)
    return f"| {name} | {seconds} | {len(records)} | {writes} | {lost} | {figures} |"
