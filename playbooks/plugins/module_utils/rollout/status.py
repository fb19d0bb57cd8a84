"""What runs on a host, and whether it is well. Nothing here changes anything."""

from __future__ import annotations

from . import contents, probe, record
from .errors import RolloutError, counted
from .lease import Lease
from .manager import Manager
from .place import SLOTS, Place

DRIFT_LINES = 20


def report(place: Place, manager: Manager) -> list[str]:
    """What a person wants to know of an environment, a line each."""
    current = place.current
    version = current["version"] if current else "nothing known"
    holder, rollout = Lease(place.root).holder(), place.rollout
    if manager.runs():
        lines = _running(place, manager)
    elif left := manager.orphans():
        still = counted(len(left), "process still serves", "processes still serve")
        lines = [f"{version}: its service manager died, {still}; `make up` mends it"]
    elif current:
        lines = [f"{version} is stopped; `make up` starts it"]
    else:
        lines = ["nothing serves here yet; `make up` changes that"]
    if holder:
        state = (
            "its owner is dead or asleep; the next deploy takes over"
            if holder.expired
            else f"in step {(rollout or {}).get('step')}"
        )
        lines.append(f"rollout {holder.number} under way: {holder}, {state}")
    elif rollout:
        lines.append(record.left(rollout, place.history))
    return lines


def _running(place: Place, manager: Manager) -> list[str]:
    """What runs, whatever is written down: between a kill and its undoing the two differ."""
    current = place.current or {}
    lines, public = [], sorted(manager.public())
    if not public:
        idle = f"{current['version']} does not serve: no web runs" if current else "nothing serves here yet"
        lines.append(f"{idle}; `make deploy` starts it")
    answers = {slot: _asked(place, manager, slot) for slot in public}
    ready = [slot for slot, answer in answers.items() if answer.status == 200]
    for slot in public:
        version = place.slot(slot)["version"]
        if ready and slot not in ready:  # killed between the two
            lines.append(f"{version} does not serve any more from {slot}: {answers[slot]}")
            continue
        since = f" since {current['since']}" if slot == current.get("slot") else ""
        well = "ready" if ready else f"NOT READY: {answers[slot]}"
        lines.append(f"{version} serves from {slot} on port {manager.address[1]}{since}: {well}")
        lines += _drift(place, version)
    for slot in SLOTS:
        active = manager.active(slot)
        lines += [
            f"  {name}-{slot:<6} process {manager.pid(slot, name) or 'none: it keeps dying'}"
            for name in sorted(active)
        ]
        lines += [
            f"  {name} does not run; `make deploy` starts it"
            for name in (
                place.service(place.slot(slot)["version"]).processes if slot in (ready or public) else ()
            )
            if name not in active
        ]
    before = [f"  before it: {current.get('previous') or 'nothing'}"] if current.get("slot") in public else []
    return lines + before


def _asked(place: Place, manager: Manager, slot: str) -> probe.Answer:
    health = place.service(place.slot(slot)["version"]).health
    return probe.get(manager.private(slot), health.ready, health.host)


def _drift(place: Place, version: str) -> list[str]:
    """What in the release that serves is not as it was unpacked."""
    wrong = sorted(contents.differing(place.release(version)).items())
    mends = f"`make deploy VERSION={version}` mends it"
    lines = [f"  releases/{version}/{name} {what}; {mends}" for name, what in wrong[:DRIFT_LINES]]
    return lines + ([f"  and {len(wrong) - DRIFT_LINES} more"] if len(wrong) > DRIFT_LINES else [])


def smoke(place: Place, manager: Manager, version: str = "") -> list[str]:
    """Ask the running release every path of its service file, on the port that users reach.

    :raises RolloutError: an answer is not 200, or another version than the recorded (or given) one answers.
    """
    current = place.current
    if not current or not manager.runs():
        raise RolloutError("nothing serves here", "run `make deploy`")
    health, public = place.service(current["version"]).health, manager.address
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
