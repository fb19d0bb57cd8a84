#!/usr/bin/env python3
"""Judge this checkout's migrations: none missing, none in conflict, none that the running release could not live with.

What is new since the previous release is tried on PostgreSQL, too (rehearsal.py): its tests on the new schema, rows
forward and back, how long tables are locked. Changes nothing. What cannot be looked at is left out, and said so.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parent.parent
PLUGINS = CHECKOUT / "playbooks/plugins/module_utils"
sys.path.insert(0, str(PLUGINS))

import previous  # noqa: E402
import rehearsal  # noqa: E402
import scratch  # noqa: E402

from rollout import bundle, service  # noqa: E402
from rollout.errors import RolloutError, line_of  # noqa: E402
from rollout.files import read_env  # noqa: E402
from rollout.place import Place  # noqa: E402

PART = "postgresql"


def ask(app: Path, told: dict[str, str], *arguments: str) -> dict[str, Any]:
    """Run the judge in an application's folder and return its answer."""
    command = ["python", str(PLUGINS / "migration_judge.py"), *arguments]
    done = subprocess.run(command, cwd=app, env=told, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RolloutError(
            f"the migrations cannot be judged: {done.stderr.strip().splitlines()[-1]}", "mend that"
        )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def findings(
    now: previous.Tree, before: previous.Tree | None, place: Place, environment: str, work: Path
) -> tuple[list[Any], str]:
    """What is wrong, and in words what was looked at."""
    settings = read_env(CHECKOUT / f"infra/environments/{environment}.env")
    told = bundle.unserved(now.facts, settings, now.programs, work)
    if not before:
        answer = ask(now.app, told, "problems")
        return [*answer["conflicts"], *answer["model_changes"]], "nothing runs that they could hurt"
    needs, running = work / "needs.json", (place.current or {}).get("version")
    if running:
        its = bundle.unserved(now.facts, settings, place.release(running) / "venv/bin", work)
        needs.write_text(json.dumps(ask(place.release(running) / "app", its, "needs")))
        told, asked = told | {"DATA_DIR": str(place.root / "data")}, list[str]()
    else:
        needs.write_text(json.dumps(ask(before.app, before.told(work), "needs")))
        asked = ["--known"]
    answer = ask(now.app, told, "judge", "--needs", str(needs), *asked)
    wrong = [*answer["conflicts"], *answer["model_changes"], *answer["refused"]]
    whose = running or "the previous release"
    return wrong, f"{len(answer['pending'])} to apply, judged by what {whose} needs"


def tried(now: previous.Tree, before: previous.Tree, name: str, work: Path) -> Iterator[str]:
    """What is wrong with the migrations that the previous release does not know, each in a line."""
    rows = rehearsal.rows_wanted()
    known, knows = (ask(tree.app, tree.told(work), "needs")["migrations"] for tree in (before, now))
    new = [".".join(each) for each in knows if each not in known]
    print(f"new since then: {', '.join(new) or 'none, nothing to try'}", flush=True)
    if not new:
        return
    try:
        with scratch.server() as server:
            trial = rehearsal.Rehearsal(server, before, now, name, work)
            for part in (trial.tests(), trial.data(), trial.locks(rows)):
                yield from part
    except scratch.AbsentError as error:
        line = f"there is no PostgreSQL to try them on ({error}); name one: {scratch.VARIABLE}=postgres://..."
        if {PART, "all"} & set(os.environ.get("REQUIRE", "").split(",")):
            yield line
        else:
            print(f"left out: {line}")


def look(place: Place, environment: str, work: Path) -> Iterator[str]:
    """Each thing that is wrong, in a line; what nobody could apply is not tried."""
    facts = service.load(CHECKOUT / service.FILE)
    now = previous.Tree(CHECKOUT, facts, previous.programs(CHECKOUT, facts, work / "release"))
    store = Path(os.environ.get("RELEASES") or CHECKOUT / ".run/releases")
    taken = previous.choose(place, environment, store, facts.name)
    told = f"{taken.name} ({taken.why})" if taken else f"none, no commit before this one has {facts.name}"
    print(f"previous release: {told}", flush=True)
    before = previous.tree(taken, work, now) if taken else None
    wrong, words = findings(now, before, place, environment, work)
    yield from (each["line"] if isinstance(each, dict) else each for each in wrong)
    if not wrong:
        print(f"migrations are complete: {words}", flush=True)
        if taken and before:
            yield from tried(now, before, taken.name, work)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.parse_args()
    environment = os.environ.get("ENV") or "dev"
    place = Place(Path(os.environ.get("ROLLOUT_ROOT") or CHECKOUT / ".run" / environment))
    status = 0
    try:
        with tempfile.TemporaryDirectory() as work:
            for line in look(place, environment, Path(work)):
                print(f"error: {line}", file=sys.stderr, flush=True)
                status = 1
    except (RolloutError, OSError) as error:
        print(f"error: {line_of(error, CHECKOUT)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("error: interrupted; run the command again when you like", file=sys.stderr)
        return 130
    return status


if __name__ == "__main__":
    sys.exit(main())
