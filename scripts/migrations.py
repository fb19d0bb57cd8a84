#!/usr/bin/env python3
"""Judge this checkout's migrations: none missing, none in conflict, none that the running release could not live with.

Changes nothing. Where no release runs in the environment, the last part is left out, and said so.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parent.parent
PLUGINS = CHECKOUT / "playbooks/plugins/module_utils"
sys.path.insert(0, str(PLUGINS))

from rollout import bundle, service  # noqa: E402
from rollout.errors import RolloutError  # noqa: E402
from rollout.files import read_env  # noqa: E402
from rollout.place import Place  # noqa: E402


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


def programs(facts: service.Service, work: Path) -> Path:
    """The programs of the service's own lock: the environment of the tools has other packages."""
    work.mkdir()
    shutil.copy(CHECKOUT / facts.requirements, work / "requirements.txt")
    bundle.download_wheels(CHECKOUT, facts, work / "wheels")
    bundle.install(work, {"version": "of this checkout", "pythons": list(facts.pythons)})
    return work / "venv/bin"


def findings(place: Place, environment: str, scratch: Path) -> tuple[list[Any], str]:
    """What is wrong, and in words what was looked at."""
    facts = service.load(CHECKOUT / service.FILE)
    settings = read_env(CHECKOUT / f"infra/environments/{environment}.env")
    told = bundle.unserved(facts, settings, programs(facts, scratch / "release"), scratch)
    app, running = CHECKOUT / facts.app, (place.current or {}).get("version")
    if not running:
        answer = ask(app, told, "problems")
        return [
            *answer["conflicts"],
            *answer["model_changes"],
        ], f"no release runs in {environment} to judge them by"
    its = bundle.unserved(facts, settings, place.release(running) / "venv/bin", scratch)
    needs = scratch / "needs.json"
    needs.write_text(json.dumps(ask(place.release(running) / "app", its, "needs")))
    answer = ask(app, told | {"DATA_DIR": str(place.root / "data")}, "judge", "--needs", str(needs))
    words = f"{len(answer['pending'])} to apply, judged by what {running} needs"
    return [*answer["conflicts"], *answer["model_changes"], *answer["refused"]], words


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.parse_args()
    environment = os.environ.get("ENV") or "dev"
    place = Place(Path(os.environ.get("ROLLOUT_ROOT") or CHECKOUT / ".run" / environment))
    try:
        with tempfile.TemporaryDirectory() as scratch:
            wrong, words = findings(place, environment, Path(scratch))
    except (RolloutError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for each in wrong:
        print(f"error: {each['line'] if isinstance(each, dict) else each}", file=sys.stderr)
    if not wrong:
        print(f"migrations are complete: {words}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
