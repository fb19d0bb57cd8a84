"""The negative control of the held socket: it needs a service manager, and so a load, of its own."""

import tempfile
from pathlib import Path

import pytest

from tests.rollout.changes import visible_text
from tests.rollout.checkout import Checkout
from tests.rollout.load import Load
from tests.rollout.marefia_traffic import MarefiaTraffic
from tests.rollout.promise import Site
from tests.rollout.test_controls import DROPPED, lacks_held_socket

pytestmark = [pytest.mark.verify, pytest.mark.xdist_group("load")]


def test_without_the_held_socket_a_deploy_loses_requests() -> None:
    checkout = Checkout(Path(tempfile.mkdtemp(prefix="rollout-")))
    try:
        checkout.commit(lacks_held_socket)
        checkout.make("deploy")
        with Load(checkout.url, MarefiaTraffic()) as load:
            site = Site(checkout, load)
            with pytest.raises(AssertionError, match=DROPPED), site.losing_nothing("no held socket"):
                site.deploy(visible_text("the second release"))
    finally:
        checkout.remove()
