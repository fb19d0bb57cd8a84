"""Fixtures of the tests that roll out for real."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rollout.checkout import Checkout


@pytest.fixture(scope="module")
def checkout() -> Iterator[Checkout]:
    """A fresh clone of what is committed; nothing runs yet. A short path: Unix sockets allow 107 bytes."""
    made = Checkout(Path(tempfile.mkdtemp(prefix="rollout-")))
    try:
        yield made
    finally:
        made.remove()


@pytest.fixture(scope="module")
def up(checkout: Checkout) -> Checkout:
    """The service of the clone, up."""
    checkout.make("deploy")
    return checkout
