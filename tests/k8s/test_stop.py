"""What is stopped on a cluster, and what stays. The last of the cluster's tests: nothing serves afterwards."""

import pytest

from tests.k8s.namespace import Namespace
from tests.rollout.checkout import wait_until

pytestmark = pytest.mark.verify


def test_down_stops_every_process_and_keeps_the_data(namespace: Namespace) -> None:
    bookings = namespace.rows("SELECT count(*) FROM stays_booking")
    namespace.make("down")
    wait_until(lambda: not namespace.pods(), "every process to end", 90, every=0.5)
    assert namespace.rows("SELECT count(*) FROM stays_booking") == bookings
    assert "is stopped; `make deploy VERSION=" in namespace.make("status", check=False).output
    namespace.make("down")
