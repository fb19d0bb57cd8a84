"""Runs a job of the schedule: never twice at once, never for too long; its last result is kept.

    schedule.py NAME JOB

The result: /var/lib/NAME/schedules/JOB.json. What the job says: `journalctl -t NAME-JOB`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path

STILL_RUNNING = 75  # EX_TEMPFAIL of sysexits.h: the result is that of the run before
TIMED_OUT = 124  # as timeout(1)


def main() -> int:
    name, job = sys.argv[1:]
    told = json.loads(Path(__file__).with_name("schedules.json").read_text())[job]
    results = Path("/var/lib") / name / "schedules"
    results.mkdir(parents=True, exist_ok=True)
    with (results / f"{job}.lock").open("w") as lock:
        try:
            flock(lock, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            return STILL_RUNNING
        start = time.time()
        status = run(name, job, told["command"], told["seconds"])
        result = {"start": round(start), "seconds": round(time.time() - start, 1), "status": status}
        new = results / f".{job}.json"
        new.write_text(json.dumps(result) + "\n")
        new.replace(results / f"{job}.json")
    return status


def run(name: str, job: str, command: str, seconds: float) -> int:
    """Run a line for the shell with all that it starts; returns its exit status, 128 more than a signal's number."""
    words = ["systemd-cat", "--identifier", f"{name}-{job}", "/bin/sh", "-c", command]
    process = subprocess.Popen(words, start_new_session=True, env=os.environ | {"NAME": name})
    try:
        status = process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return TIMED_OUT
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main())
