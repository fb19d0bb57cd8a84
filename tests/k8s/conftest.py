"""The service in a namespace of a real cluster, and its load."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.k8s.namespace import ClusterSite, Namespace, Staging
from tests.parts import cluster
from tests.rollout.marefia_traffic import MarefiaTraffic


@pytest.fixture(scope="package")
def namespace() -> Iterator[Namespace]:
    """A fresh clone's service on the cluster."""
    cluster.require()
    with cluster.alone():
        made = Namespace(Path(tempfile.mkdtemp(prefix="namespace-")))
        made.make("cluster", seconds=300)
        made.make("deploy", seconds=600)
        yield made
        made.write_down()
        made.remove()


@pytest.fixture(scope="package")
def staging() -> Iterator[Staging]:
    """The same commit's service in a namespace that nobody loads."""
    cluster.require()
    made = Staging(Path(tempfile.mkdtemp(prefix="staging-")))
    made.make("cluster", seconds=300)
    made.make("deploy", seconds=600)
    yield made
    made.remove()


@pytest.fixture(scope="module")
def site(namespace: Namespace) -> Iterator[ClusterSite]:
    """The same under load until the module's last test."""
    with namespace.load(MarefiaTraffic()) as load:
        yield ClusterSite(namespace, load)
        load.end()
        assert not load.report.lost, "\n".join(record.line() for record in load.report.lost)
