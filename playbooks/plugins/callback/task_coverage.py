"""Records which tasks and handlers a playbook run really executed, for the coverage of the infrastructure.

A task that was skipped on every host, or ran in check mode only, was not executed. Static imports and meta
tasks reach no callback. Each task is written as it ends, so that a killed run keeps what it had done.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: task_coverage
type: aggregate
short_description: Records the tasks that were executed
description:
  - Appends a JSON line for each executed task to a file of this process in the folder that the
    environment variable E(INFRA_COVERAGE_DIR) names. Does nothing without it.
requirements:
  - enabled by C(callbacks_enabled = task_coverage)
"""


class CallbackModule(CallbackBase):
    """Appends {file, line, name, sha256 of the file} once per executed task."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "task_coverage"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        folder = os.environ.get("INFRA_COVERAGE_DIR")
        self.disabled = not folder or not Path(folder).is_dir()
        self._out = Path(folder or "") / f"tasks-{os.getpid()}.jsonl"
        self._seen: set[str] = set()
        self._hashes: dict[str, str] = {}

    def _executed(self, task: Any) -> None:
        position = task.get_path()
        if task.check_mode or position in self._seen:
            return
        self._seen.add(position)
        file, _, line = position.rpartition(":")
        if file not in self._hashes:
            self._hashes[file] = hashlib.sha256(Path(file).read_bytes()).hexdigest()
        record = {"file": file, "line": int(line), "name": task.get_name(), "sha256": self._hashes[file]}
        with self._out.open("a", encoding="utf-8") as out:
            out.write(json.dumps(record) + "\n")

    def v2_runner_on_ok(self, result: Any) -> None:
        """The task did its work on a host."""
        self._executed(result.task)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """The task ran and failed: what a rescue needs."""
        self._executed(result.task)

    def v2_playbook_on_include(self, included_file: Any) -> None:
        """An include that was not skipped: it reaches no runner callback."""
        self._executed(included_file._task)
