"""As many webs as the load needs, both ways, and no request lost over it."""

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.k8s.namespace import ClusterSite, Namespace
from tests.rollout.checkout import wait_until

pytestmark = [pytest.mark.verify, pytest.mark.chaos]

CLIENTS = 12
UP_SECONDS = 180


@contextmanager
def rush(namespace: Namespace, path: str = "/api/v1/listings") -> Iterator[list[int]]:
    """Clients that ask as fast as they are answered. Gives the number of answers of each."""
    over, answered = threading.Event(), [0] * CLIENTS

    def ask(number: int) -> None:
        node = namespace.nodes[number % len(namespace.nodes)]
        connection = http.client.HTTPConnection(node, namespace.node_port, timeout=30)
        while not over.is_set():
            try:
                connection.request("GET", path, headers={"Host": "localhost"})
                answered[number] += len(connection.getresponse().read()) > 0
            except (OSError, http.client.HTTPException):
                connection.close()  # what is lost is the load's to count, not this crowd's
        connection.close()

    threads = [threading.Thread(target=ask, args=(number,), daemon=True) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield answered
    finally:
        over.set()
        for thread in threads:
            thread.join(60)


def test_more_load_brings_more_webs_and_less_takes_them_away(site: ClusterSite, namespace: Namespace) -> None:
    least = namespace.PROCESSES["web"]
    namespace.await_least()
    with site.losing_nothing("scaled up and down"):
        with rush(namespace) as answered:
            wait_until(lambda: len(namespace.ready("web")) > least, "another web", UP_SECONDS, every=1)
        assert all(answered)
        namespace.await_least()
