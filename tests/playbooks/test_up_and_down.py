"""`make up` and `make down`: what a person meets first and last."""

from __future__ import annotations

import re
import time
from urllib.request import urlopen

import pytest

from tests.playbooks.untouched import PROCESSES, untouched
from tests.rollout.checkout import Checkout
from tests.rollout.processes import processes

pytestmark = [pytest.mark.verify, pytest.mark.chaos]

QUICK_SECONDS = 20  # a person's machine is quicker: `make bench` measures it


def left(site: Checkout) -> list[str]:
    """The processes that still belong to the environment."""
    folder = str(site.root)
    return [
        " ".join(one.command)
        for one in processes()
        if folder in one.environment.get("RUN_DIR", "") or one.runs(f"{folder}/manager")
    ]


def listings(site: Checkout) -> int:
    return len(site.rows("SELECT id FROM stays_listing"))


def test_up_ends_with_addresses_that_all_answer(checkout: Checkout) -> None:
    run = checkout.make("up")
    addresses = re.findall(rf"{checkout.url}\S*", run.output.partition("Give the lease back")[2])
    assert len(addresses) >= 4, run.output
    for address in addresses:
        with urlopen(address, timeout=10) as page:
            assert page.status == 200
    assert listings(checkout) > 0, "there is something to look at"


def test_up_again_has_nothing_to_do_and_says_so_in_seconds(checkout: Checkout) -> None:
    lines, began = len(checkout.history()), time.monotonic()
    with untouched(checkout):
        run = checkout.make("up")
    assert time.monotonic() - began < QUICK_SECONDS
    assert "nothing to do: " in run.output
    assert checkout.url in run.output
    assert len(checkout.history()) == lines


def test_down_stops_every_process_and_keeps_the_data(checkout: Checkout) -> None:
    before, secret = listings(checkout), (checkout.root / "secrets.env").read_text()
    version = checkout.version()["version"]
    checkout.make("down")
    assert left(checkout) == []
    assert checkout.read("lease") == {}, "the next one would wait until it expires"
    assert "is stopped; `make up` starts it" in checkout.make("status").output
    assert "nothing runs" in checkout.make("down").output
    checkout.make("up")
    assert checkout.version()["version"] == version
    assert listings(checkout) == before
    assert (checkout.root / "secrets.env").read_text() == secret, "a new secret ends every login"
    assert all(len(checkout.running(process)) == 1 for process in PROCESSES)


def test_down_with_purge_leaves_nothing(checkout: Checkout) -> None:
    checkout.make("down", "PURGE=1")
    assert left(checkout) == []
    assert not checkout.root.exists()
    assert "nothing to stop" in checkout.make("down", "PURGE=1").output
