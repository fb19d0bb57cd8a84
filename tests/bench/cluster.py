"""What a rollout on a cluster costs, and what it is worth: requests that a plain `kubectl set image` loses."""

import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.k8s.knocks import Knocks
from tests.k8s.namespace import Namespace
from tests.parts import cluster
from tests.rollout.changes import visible_text
from tests.rollout.checkout import STEPS
from tests.rollout.marefia_traffic import MarefiaTraffic

TIMES = 3
PLAIN = [
    {"op": "remove", "path": "/spec/template/spec/containers/0/lifecycle"},
    {"op": "remove", "path": "/spec/template/spec/containers/0/readinessProbe"},
    {"op": "remove", "path": "/spec/template/spec/containers/0/startupProbe"},
]
"""What people leave out."""


def section(said: Callable[[str], None] = print) -> str:
    """Deploy several times under load, then do by kubectl what others do."""
    if not os.environ.get("KUBECONFIG"):
        return "No cluster was given (KUBECONFIG) when this was written.\n"
    with cluster.alone():
        namespace = Namespace(Path(tempfile.mkdtemp(prefix="bench-")))
        try:
            namespace.make("cluster", seconds=300)
            namespace.make("deploy", seconds=600)
            return _measured(namespace, said)
        finally:
            namespace.remove()


def _measured(namespace: Namespace, said: Callable[[str], None]) -> str:
    steps: list[dict[str, float]] = []
    wholes: list[float] = []
    images = [_image(namespace)]
    with namespace.load(MarefiaTraffic()) as load, Knocks(namespace.nodes, namespace.node_port) as knocks:
        with load.window("ours"):
            for number in range(TIMES):
                namespace.commit(visible_text(f"release {number}"))
                start = time.monotonic()
                namespace.make("deploy", seconds=600)
                wholes.append(time.monotonic() - start)
                steps.append(namespace.history()[-1]["seconds"])
                images.append(_image(namespace))
                said(f"deploy: {wholes[-1]:.1f} s")
        knocked, known = knocks.asked, len(knocks.lost)
        kubectl = namespace.kubectl
        kubectl("patch", "deployment/web", "--type=json", f"--patch={json.dumps(PLAIN)}")
        kubectl("rollout", "status", "deployment/web", "--timeout=110s")
        between, lost_between = knocks.asked, len(knocks.lost)
        with load.window("plain"):
            for image in images[:TIMES]:
                kubectl("set", "image", "deployment/web", f"web={image}")
                kubectl("rollout", "status", "deployment/web", "--timeout=110s")
    asked = {"ours": knocked, "plain": knocks.asked - between}
    lost = {"ours": known, "plain": len(knocks.lost) - lost_between}
    for kind in asked:
        records = load.report.within(kind)
        asked[kind] += len(records)
        lost[kind] += sum(bool(each.lost) for each in records)
    medians = {step: statistics.median(each.get(step, 0.0) for each in steps) for step in STEPS[:-1]}
    whole = statistics.median(wholes)
    rows = list(medians.items())
    rows += [
        ("the rest: the image, Ansible, record", whole - sum(medians.values())),
        ("**the whole command**", whole),
    ]
    table = "\n".join(f"| {what} | {seconds:.1f} | {100 * seconds / whole:.0f} % |" for what, seconds in rows)
    return f"""\
`make deploy` of a new commit on a cluster of {len(namespace.nodes)} nodes under load, medians of {TIMES}.

| step | seconds | share |
|---|---:|---:|
{table}

Requests lost by {TIMES} releases under the same load on the same cluster. Plain: `kubectl set image` of the same
images, on the same Deployment without its preStop, startup and readiness probes.

| | asked | lost |
|---|---:|---:|
| `make deploy` | {asked["ours"]} | {lost["ours"]} |
| `kubectl set image` | {asked["plain"]} | {lost["plain"]} |
"""


def _image(namespace: Namespace) -> str:
    return str(namespace.pods("web")[0]["spec"]["containers"][0]["image"])
