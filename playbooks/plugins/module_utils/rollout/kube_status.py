"""What runs in a namespace, and whether it is well. Nothing here changes anything."""

from __future__ import annotations

from . import kube_pods, record
from .errors import RolloutError, counted
from .kube import Cluster
from .kube_journal import KIND, Journal
from .kube_lease import ClusterLease
from .kube_release import COMPONENT, NUMBER, VERSION
from .kube_slots import ClusterSlots
from .service import Service


def report(cluster: Cluster, service: Service) -> list[str]:
    """What a person wants to know of an environment, a line each."""
    journal, lease = Journal(cluster), ClusterLease(cluster)
    current, rollout = journal.current, journal.rollout
    lines = (
        _running(cluster, service, current)
        if current
        else ["nothing serves here yet; `make deploy` changes that"]
    )
    if holder := lease.holder():
        lines.append(f"a rollout is under way: {holder}, in step {(rollout or {}).get('step')}")
    elif rollout:
        lines.append(record.left(rollout, journal.history))
    return lines


def _running(cluster: Cluster, service: Service, current: dict[str, str]) -> list[str]:
    if not cluster.every("Deployment", f"{KIND}=release"):
        return [f"{current['version']} is stopped; `make deploy VERSION={current['version']}` starts it"]
    lines, well, served = [], True, True
    for process in service.processes:
        pods = [each for each in cluster.every("Pod", f"{COMPONENT}={process}") if kube_pods.stays(each)]
        mine = [pod for pod in pods if pod["metadata"]["labels"].get(NUMBER) == str(current["number"])]
        ready = [pod for pod in mine if kube_pods.ready(pod)]
        well, served = well and bool(ready), served and any(map(kube_pods.ready, pods))
        lines.append(
            f"  {process:<10} {len(ready)} of {counted(len(mine), 'pod')} ready"
            + ("" if mine else ": none runs")
        )
        lines += [f"    {why}" for pod in mine if (why := kube_pods.trouble(cluster, pod))]
        for pod in pods:
            if pod not in mine:
                other = (pod["metadata"].get("annotations") or {}).get(VERSION, "another release")
                lines.append(f"    {pod['metadata']['name']} is of another rollout ({other})")
    state = "ready" if well else "NOT READY"
    if served and not well:
        state += ", but pods of another rollout are"
    return [
        f"{current['version']} serves since {current['since']}: {state}",
        *lines,
        f"  before it: {current.get('previous') or 'nothing'}",
    ]


def smoke(cluster: Cluster, service: Service, version: str) -> list[str]:
    """Ask every ready web of the running release every path of the service file."""
    current = Journal(cluster).current
    if not current:
        raise RolloutError("nothing serves here", "run `make deploy`")
    expected = version or current["version"]
    slots = ClusterSlots(cluster, ClusterLease(cluster), service, 0)
    webs = slots.webs(current["number"])
    if not webs:
        raise RolloutError(f"no web of {current['version']} is ready", "`make status` tells more")
    answers = [f"{name}: {slots.ask_everything(name, expected)}" for name in webs]
    return [*answers, f"{expected} is well"]
