"""Ansible modules as Python: their functions are called without Ansible, on the shared code that the tests import."""

import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import rollout

PLUGINS = Path(__file__).parents[2] / "playbooks/plugins"
Load = Callable[[str], Any]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Load:
    """Import a module by its name; what it finds in ansible.module_utils.rollout is what a test finds in rollout."""
    monkeypatch.setitem(sys.modules, "ansible.module_utils.rollout", rollout)
    for path in (PLUGINS / "module_utils/rollout").glob("[!_]*.py"):
        shared = importlib.import_module(f"rollout.{path.stem}")
        monkeypatch.setitem(sys.modules, f"ansible.module_utils.rollout.{path.stem}", shared)

    return module


def module(name: str) -> Any:
    """A module's file, imported."""
    spec = importlib.util.spec_from_file_location(name, PLUGINS / f"modules/{name}.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made
