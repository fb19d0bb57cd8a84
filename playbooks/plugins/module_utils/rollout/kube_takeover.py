"""What a rollout on a cluster does first: it makes acts of dead deployers fail, and finds out what serves."""

from __future__ import annotations

from datetime import datetime
from functools import partial

from . import kube_release
from .errors import RolloutError
from .kube import Cluster, uncontested
from .kube_journal import KIND, NAME, Journal


def mark(cluster: Cluster, number: int) -> None:
    """Change every Deployment of the service by a number, so that an act which was prepared before is refused."""

    def marked(name: str) -> None:
        if deployment := cluster.get("Deployment", name):
            deployment["metadata"].setdefault("annotations", {})["rollout/lease"] = str(number)
            cluster.replace(deployment)

    for each in cluster.every("Deployment", f"{KIND}=release"):
        uncontested(partial(marked, each["metadata"]["name"]))


def recall(cluster: Cluster) -> str:
    """Write down again what serves where all that is lost: the Deployments tell with which rollout they were applied.

    :returns: the version, or "" where nothing is lost.
    :raises RolloutError: they tell of no single rollout whose objects are kept.
    """
    journal, running = Journal(cluster), cluster.every("Deployment", f"{KIND}=release")
    if journal.current or journal.rollout or journal.history or not running:
        return ""
    numbers = {kube_release.number(each) for each in running}
    kept = journal.objects(min(numbers)) if len(numbers) == 1 else None
    if not kept:
        names = ", ".join(each["metadata"]["name"] for each in running)
        raise RolloutError(
            f"{names} run here, and what of is not known: ConfigMap {NAME} is gone",
            f"put it back, or end them: kubectl delete deployments --selector={KIND}=release",
        )
    told = kept[0]["told"]
    journal.recall(
        {
            **{key: told[key] for key in ("version", "number", "image", "secret")},
            "settings": kube_release.settings_digest(kube_release.filled(kept[1:], told), told["secret"]),
            "previous": None,
            "since": f"{datetime.now().astimezone():%Y-%m-%d %H:%M:%S}",
        }
    )
    return str(told["version"])
