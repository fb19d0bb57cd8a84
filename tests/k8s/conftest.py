"""The service in a namespace of a real cluster, and its load."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.k8s.knocks import Knocks
from tests.k8s.namespace import Namespace
from tests.parts import cluster
from tests.rollout.marefia_traffic import MarefiaTraffic
from tests.rollout.promise import Site


@dataclass
class ClusterSite(Site):
    """Loaded on one node with connections that stay, and knocked at on all nodes."""

    @contextmanager
    def losing_nothing(self, what: str) -> Iterator[None]:
        assert isinstance(self.checkout, Namespace)
        with Knocks(self.checkout.nodes, self.checkout.node_port) as knocks, super().losing_nothing(what):
            yield
        assert knocks.asked > 0
        assert not knocks.lost, "\n".join(knocks.lost)


@pytest.fixture(scope="session")
def namespace() -> Iterator[Namespace]:
    """A fresh clone's service on the cluster."""
    cluster.require()
    with cluster.alone():
        made = Namespace(Path(tempfile.mkdtemp(prefix="namespace-")))
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
