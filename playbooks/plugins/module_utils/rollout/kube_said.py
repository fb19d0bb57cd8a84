"""What the pods of rollouts said: those that run, and those that an undo took away, whose words are kept."""

from __future__ import annotations

import base64
import gzip
import json
import re
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from . import kube_pods
from .errors import RolloutError, StaleLease
from .kube import Cluster, Thing
from .kube_journal import KIND
from .kube_lease import ClusterLease
from .kube_release import CANDIDATE, COMPONENT, NUMBER
from .logs import MOST_LINES, ago, shown
from .service import WEB

STAMPED = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?Z (.*)")
SAID = "said"
KEPT = 5
"""Of how many rollouts it is kept what they said before they were undone."""
KEPT_LINES = 200
"""Of each container, and of its last crash."""
KEPT_BYTES = 500_000
"""Of a rollout; a ConfigMap holds a megabyte."""
KEEPING_SECONDS = 10.0
"""How long nodes may take to tell it: the undo waits."""
Line = tuple[float, str, str, str]
"""When (seconds since 1970), which component, which pod, what."""


def newest(cluster: Cluster, processes: list[str], since: str) -> list[tuple[float, str, str]]:
    """The newest lines of these processes, oldest first: when, which pod, what. At most MOST_LINES.

    :param processes: none for everything that a rollout runs. The candidate that is proved is a web.
    """
    seconds = max(1, ago(since))
    components = {CANDIDATE, *processes} if WEB in processes else set(processes)
    pods = cluster.every("Pod", f"{COMPONENT} in ({', '.join(sorted(components))})" if processes else NUMBER)
    lines = {line for pod in pods for line in _of(cluster, pod, MOST_LINES + 1, since_seconds=seconds)}
    begin = cluster.now() - seconds
    for each in cluster.every("ConfigMap", f"{KIND}={SAID}"):
        kept = map(tuple, json.loads(gzip.decompress(base64.b64decode(each["data"]["lines"]))))
        lines |= {line for line in kept if line[0] >= begin and (not processes or line[1] in components)}
    told = [(at, pod, text) for at, _, pod, text in sorted(lines)]
    if len(told) > MOST_LINES:
        told = told[-MOST_LINES:]
        words = f"(older lines are left out: at most {MOST_LINES} are told; a shorter SINCE tells fewer)"
        told[0] = (told[0][0], "logs", words)
    return told


def keep(cluster: Cluster, lease: ClusterLease, number: int) -> None:
    """Keep what the pods of a rollout said before they go, unless it is kept already or no node tells it in time."""
    try:
        if cluster.get("ConfigMap", f"{SAID}-{number}"):
            return
        dead, end, lines = kube_pods.dead_nodes(cluster), time.monotonic() + KEEPING_SECONDS, set[Line]()
        for pod in cluster.every("Pod", f"{NUMBER}={number}"):
            if pod["spec"].get("nodeName") not in dead and time.monotonic() < end:
                lines |= set(_of(cluster, pod, KEPT_LINES, before=True))
        if lines:
            _keep(cluster, lease, number, sorted(lines))
    except StaleLease:
        raise
    except RolloutError:
        return  # to undo is what matters


def _keep(cluster: Cluster, lease: ClusterLease, number: int, lines: list[Line]) -> None:
    size = 0
    for first in range(len(lines) - 1, -1, -1):
        size += len(lines[first][-1])
        if size > KEPT_BYTES:
            lines = lines[first + 1 :]
            break
    packed = base64.b64encode(gzip.compress(json.dumps(lines).encode(), mtime=0)).decode()
    about = {"name": f"{SAID}-{number}", "labels": {KIND: SAID}}
    with lease.act():
        cluster.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": about, "data": {"lines": packed}})
    kept = sorted(
        int(each["metadata"]["name"].removeprefix(f"{SAID}-"))
        for each in cluster.every("ConfigMap", f"{KIND}={SAID}")
    )
    for old in kept[:-KEPT]:
        with lease.act():
            cluster.delete("ConfigMap", f"{SAID}-{old}")


def _of(cluster: Cluster, pod: Thing, tail: int, *, before: bool = False, **options: Any) -> Iterator[Line]:
    """What a pod's containers said, and with `before` what they said before their last crash, too."""
    name, component = pod["metadata"]["name"], pod["metadata"]["labels"].get(COMPONENT, "")
    for container in pod["spec"]["containers"]:
        for more in ({"previous": True}, {}) if before else ({},):
            text = cluster.log(name, container["name"], tail=tail, timestamps=True, **options, **more)
            for line in text.splitlines():
                if (found := STAMPED.fullmatch(line)) and found[3].strip():
                    at = datetime.fromisoformat(f"{found[1]}+00:00").timestamp() + float(found[2] or 0)
                    yield at, component, name, shown(found[3])
