"""What the set-up of a namespace says when somebody takes it away meanwhile."""

import pytest

from rollout.errors import RolloutError
from tests.playbooks.fake_cluster import FakeCluster
from tests.playbooks.modules import Load


def test_a_namespace_that_is_being_deleted_is_refused(load: Load) -> None:
    going = {"kind": "Namespace", "metadata": {"name": "shop", "deletionTimestamp": "2026-11-29T10:00:00Z"}}
    with pytest.raises(RolloutError, match="shop is being deleted; wait until it is gone"):
        load("cluster_site").require_to_stay(FakeCluster(going))
    load("cluster_site").require_to_stay(FakeCluster())


def test_a_server_that_is_deleted_while_it_is_awaited_is_told(load: Load) -> None:
    database = {"kind": "StatefulSet", "metadata": {"name": "database"}}
    with pytest.raises(RolloutError, match="StatefulSet database was deleted"):
        load("cluster_site").waited(FakeCluster(), [database], 5)
