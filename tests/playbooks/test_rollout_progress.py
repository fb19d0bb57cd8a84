"""Who interrupts a rollout is told what becomes of it, with every engine's lease."""

from types import SimpleNamespace
from typing import Any

import pytest

from playbooks.plugins.callback.rollout_progress import CallbackModule


def ended(module: str, state: str) -> Any:
    """The result of a module that took a lease or gave it back."""
    return SimpleNamespace(
        _task=SimpleNamespace(action=module, get_name=lambda: "Take the lease"),
        _host=SimpleNamespace(get_name=lambda: "localhost"),
        _result={"invocation": {"module_args": {"state": state, "lease_seconds": 30.0}}},
    )


@pytest.mark.parametrize("module", ["rollout_lease", "cluster_lease"])
def test_who_interrupts_is_told_as_long_as_the_lease_is_held(
    module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    progress, said = CallbackModule(), []
    monkeypatch.setattr(progress._display, "error", lambda words, **_: said.append(words))
    progress._interrupted()
    assert not said, "no lease was taken yet"
    progress.v2_runner_on_ok(ended(module, "held"))
    progress._interrupted()
    assert len(said) == 1
    assert "as soon as its lease has expired (30 s)" in said[0]
    progress.v2_runner_on_ok(ended(module, "free"))
    progress._interrupted()
    assert len(said) == 1
