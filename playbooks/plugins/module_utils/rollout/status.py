"""What the process engine runs, and whether it is well. Nothing here changes anything."""

from __future__ import annotations

from . import probe
from .circusd import Manager
from .errors import RolloutError
from .lease import Lease
from .place import SLOTS, Place


def report(place: Place) -> list[str]:
    """What a person wants to know of an environment, a line each."""
    current, manager = place.current, Manager(place)
    holder, rollout = Lease(place.root).holder(), place.rollout
    lines = []
    if not current:
        lines.append("nothing serves here yet; `make up` changes that")
    elif not manager.runs():
        lines.append(f"{current['version']} is stopped; `make up` starts it")
    else:
        service = place.service(current["version"])
        answer = probe.get(manager.private(current["slot"]), service.health.ready, service.health.host)
        well = "ready" if answer.status == 200 else f"NOT READY: {answer}"
        lines.append(
            f"{current['version']} serves from {current['slot']} on port {manager.port}"
            f" since {current['since']}: {well}"
        )
        for slot in SLOTS:
            lines += [
                f"  {name}-{slot:<6} process {manager.pid(slot, name) or 'none: it keeps dying'}"
                for name in sorted(manager.active(slot))
            ]
        lines += [
            f"  {name} does not run; `make deploy` starts it"
            for name in service.processes
            if name not in manager.active(current["slot"])
        ]
        lines.append(f"  before it: {current['previous'] or 'nothing'}")
    if holder:
        state = (
            "its owner is dead or asleep; the next deploy takes over"
            if holder.expired
            else f"in step {(rollout or {}).get('step')}"
        )
        lines.append(f"rollout {holder.number} under way: {holder}, {state}")
    return lines


def smoke(place: Place, version: str = "") -> list[str]:
    """Ask the running release every path of its service file, on the port that users reach.

    :raises RolloutError: an answer is not 200, or another version than the recorded (or given) one answers.
    """
    current, manager = place.current, Manager(place)
    if not current or not manager.runs():
        raise RolloutError("nothing serves here", "run `make deploy`")
    health, public = place.service(current["version"]).health, ("127.0.0.1", manager.port)
    lines = []
    for path in (health.ready, *health.smoke):
        answer = probe.get(public, path, health.host)
        if answer.status != 200:
            raise RolloutError(f"{path} answered {answer}", "`make status` tells more")
        lines.append(f"  200 in {answer.seconds * 1000:4.0f} ms  {path}")
    expected = version or current["version"]
    if health.version and (running := probe.version(public, health.version, health.host)) != expected:
        raise RolloutError(f"{running} answers, not {expected}", "look at `make history`")
    return [*lines, f"{expected} is well"]
