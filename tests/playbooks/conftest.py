"""The clone with an environment of its own is that of the load tests."""

from tests.playbooks.modules import load
from tests.rollout.conftest import checkout, up

__all__ = ["checkout", "load", "up"]
