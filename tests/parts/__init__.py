"""The real parts that tests need, and how to get each. A test that misses one calls `absent`.

REQUIRE=docker,hosts (or all) makes the absence of a part a failure instead of a skip.
"""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

PARTS = {
    "namespaces": "user namespaces, for a small file system of a test's own (kernel.unprivileged_userns_clone=1)",
    "docker": "any Docker engine (DOCKER_HOST)",
    "hosts": "any inventory of three Debian 13 servers (HOSTS_INVENTORY)",
    "cluster": "any Kubernetes (KUBECONFIG)",
    "browser": "Chromium (BROWSER, or chromium on PATH)",
    "runners": "act and actionlint on PATH, and a command that executes declarative Jenkinsfiles (JENKINSFILE)",
}


def required() -> set[str]:
    """The parts whose absence is a failure in this run."""
    named = {name for name in os.environ.get("REQUIRE", "").split(",") if name}
    if unknown := named - PARTS.keys() - {"all"}:
        raise pytest.UsageError(
            f"REQUIRE names {', '.join(sorted(unknown))}; known are all, {', '.join(PARTS)}"
        )
    return set(PARTS) if "all" in named else named


def absent(part: str, why: str) -> NoReturn:
    """Skip the test, or fail it where the part is required."""
    words = f"{part} is not here ({why}); needed: {PARTS[part]}"
    if part in required():
        pytest.fail(words)
    pytest.skip(words)
