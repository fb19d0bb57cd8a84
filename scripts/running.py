#!/usr/bin/env python3
"""Does VERSION serve here, with the settings of this checkout? Answers by its status, in a fraction of a second."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(CHECKOUT / "playbooks/plugins/module_utils"))

from rollout import probe, service  # noqa: E402
from rollout.errors import RolloutError  # noqa: E402
from rollout.manager import manager_of  # noqa: E402
from rollout.place import Place  # noqa: E402
from rollout.release import digest_of  # noqa: E402


def serves(place: Place, version: str, settings: Path) -> bool:
    """True when there is nothing to roll out: version, settings, every process and its readiness are as wanted."""
    current, manager = place.current, manager_of("process", place, "")
    if not current or current["version"] != version or place.rollout:
        return False
    if current["settings"] != digest_of(place.settings(settings)) or not manager.runs():
        return False
    facts = place.service(version)
    well = probe.get(manager.private(current["slot"]), facts.health.ready, facts.health.host).status == 200
    port = int(os.environ.get("PORT") or manager.address[1])
    return well and manager.active(current["slot"]) == set(facts.processes) and port == manager.address[1]


def urls(place: Place) -> list[str]:
    """What a person may click."""
    facts, port = service.load(CHECKOUT / service.FILE), manager_of("process", place, "").address[1]
    width = max(len(name) for name in (*facts.urls, "login"))
    login = [f"  {'login':<{width}}  {facts.demo_login}"] if facts.demo_login else []
    return [f"  {name:<{width}}  http://127.0.0.1:{port}{path}" for name, path in facts.urls.items()] + login


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("version", nargs="?", help="the release that ought to serve")
    parser.add_argument("--urls", action="store_true", help="print the service's URLs")
    options = parser.parse_args()
    environment = os.environ.get("ENV") or "dev"
    place = Place(Path(os.environ.get("ROLLOUT_ROOT") or CHECKOUT / ".run" / environment))
    try:
        if options.urls:
            print("\n".join(urls(place)))
            return 0
        return 0 if serves(place, options.version, CHECKOUT / f"infra/environments/{environment}.env") else 1
    except RolloutError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
