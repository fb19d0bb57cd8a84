"""What a Deployment still lacks until a rollout's pods serve, all of them and no others."""

from __future__ import annotations

from . import kube_pods
from .errors import RolloutError, counted
from .kube import Cluster, Thing
from .kube_lease import ClusterLease
from .kube_release import NUMBER


def unfinished(cluster: Cluster, lease: ClusterLease, name: str, number: int) -> str:
    """What a Deployment lacks until it runs this rollout's pods only, in words, or "".

    :raises RolloutError: it will never have it.
    """
    deployment = cluster.get("Deployment", name)
    if not deployment:
        raise RolloutError(f"Deployment {name} was deleted", "deploy again")
    status, wanted = deployment.get("status") or {}, deployment["spec"].get("replicas", 1)
    for condition in status.get("conditions") or []:
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            raise RolloutError(
                f"{name} gets no pod: {condition['message']}",
                "raise the quota of its overlay or let it ask for less",
            )
    mine, others = _pods(cluster, deployment, number)
    for pod in mine:
        if why := kube_pods.trouble(cluster, pod):
            raise why
    if waiting := [pod for pod in mine if not kube_pods.ready(pod)]:
        pod, said = waiting[-1], kube_pods.words(cluster, waiting[-1])
        return f"{pod['metadata']['name']} is not ready: {kube_pods.missing(pod)}; {said}"
    if status.get("availableReplicas", 0) < wanted or len(mine) < wanted:
        _bury(cluster, lease, others)
        return f"{name} has {status.get('availableReplicas', 0)} of {wanted} pods"
    dead = kube_pods.dead_nodes(cluster) if others else set()
    left = [pod for pod in others if kube_pods.drains(cluster, pod, dead)]
    return f"{name} still drains {counted(len(left), 'pod')}" if left else ""


def _pods(cluster: Cluster, deployment: Thing, number: int) -> tuple[list[Thing], list[Thing]]:
    """A Deployment's pods of a rollout that stay, and those of others; not what only has its labels."""
    labels = deployment["spec"]["selector"]["matchLabels"]
    selector = ",".join(f"{key}={value}" for key, value in labels.items())
    uids = {
        each["metadata"]["uid"]
        for each in cluster.every("ReplicaSet", selector)
        if _owner(each) == deployment["metadata"]["uid"]
    }
    mine: list[Thing] = []
    others: list[Thing] = []
    for pod in cluster.every("Pod", selector):
        if _owner(pod) in uids:
            (mine if pod["metadata"]["labels"].get(NUMBER) == str(number) else others).append(pod)
    return [pod for pod in mine if kube_pods.stays(pod)], others


def _bury(cluster: Cluster, lease: ClusterLease, pods: list[Thing]) -> None:
    """Let go of what a dead node will not: a Deployment that is recreated waits for it.

    It may still run there, as beside the successor that its ReplicaSet has made:
    https://kubernetes.io/docs/tasks/run-application/force-delete-stateful-set-pod
    """
    late = [pod for pod in pods if kube_pods.overdue(cluster, pod)]
    dead = kube_pods.dead_nodes(cluster) if late else set()
    for pod in late:
        if pod["spec"].get("nodeName") in dead:
            with lease.act():
                cluster.delete("Pod", pod["metadata"]["name"], grace=0)


def _owner(thing: Thing) -> str:
    """The uid of what controls an object, or ""."""
    owners = thing["metadata"].get("ownerReferences") or []
    return next((str(each["uid"]) for each in owners if each.get("controller")), "")
