"""Shows a person what a playbook does: a line as each task begins, its result and seconds, one line why it failed."""

from __future__ import annotations

import atexit
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

from ansible import context
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: rollout_progress
type: stdout
short_description: One line a task, for people
description:
  - Prints what a task does when it begins, and its result and seconds when it ended.
  - Tasks of Ansible's own that only steer (includes, facts) are left out unless C(-v) is given.
  - Who interrupts a rollout is told what becomes of it.
  - Of the set-up it says which tasks changed something, and at the end how many did on each host.
"""

STEERING = {
    "ansible.builtin.include_tasks",
    "ansible.builtin.include_role",
    "ansible.builtin.set_fact",
    "ansible.builtin.fail",
    "ansible.builtin.validate_argument_spec",
}
LEASES = {"rollout_lease", "cluster_lease"}
"""The modules that take the lease, and give it back."""
WIDTH = 52
LOOPED = "All items completed"
COUNTED = {"site"}
"""The playbooks of which a person asks what they changed."""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "rollout_progress"

    def __init__(self) -> None:
        super().__init__()
        self._began = 0.0
        self._waited = False
        self._step = ""
        self._counted = False
        self._changed: Counter[str] = Counter()
        self._lease_seconds: float | None = None
        """While the lease is held: how long it outlives its owner."""
        atexit.register(self._interrupted)

    def v2_playbook_on_start(self, playbook: Any) -> None:
        self._counted = Path(playbook._file_name).stem in COUNTED

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        self._began = time.monotonic()
        self._waited = False
        self._step = Path(task.get_path().rpartition(":")[0]).stem

    def v2_runner_retry(self, result: Any) -> None:
        if not self._waited:
            self._waited = True
            why, _, _ = result._result.get("msg", "").partition("; ")  # the remedy is to wait
            self._say(f"  waiting: {why}")

    def v2_runner_on_ok(self, result: Any) -> None:
        if result._task.action in LEASES:
            told = result._result["invocation"]["module_args"]
            self._lease_seconds = None if told["state"] == "free" else told["lease_seconds"]
        self._changed.update(self._changed_on(result))
        report = result._result.get("report")
        if report is not None:
            host = result._host.get_name()
            for line in report:
                self._say(line if host == "localhost" else f"{host}: {line}")
        elif result._task.action not in STEERING or self._display.verbosity:
            self._line(result, result._result.get("msg", ""))

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        message = str(result._result.get("msg", "failed"))
        if self._rescued(result._task):
            self._line(result, "FAILED")  # why is said once, at the end
        else:
            self._display.error(message, wrap_text=False)
        if self._display.verbosity:
            self._say(str(result._result.get("exception", "")))

    def v2_on_file_diff(self, result: Any) -> None:
        diffs = result._result.get("diff") or []
        for diff in diffs if isinstance(diffs, list) else [diffs]:
            if result._result.get("changed") and (text := self._get_diff(diff)):
                self._say(text)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        if result._task.ignore_unreachable:
            return  # whoever registered it says what it means
        self._display.error(
            f"{result._host.get_name()} cannot be reached: {result._result.get('msg', '')}", wrap_text=False
        )

    def v2_playbook_on_stats(self, stats: Any) -> None:
        self._lease_seconds = None  # it came to its end, and has said what could not be given back
        if self._counted:
            would = "would be " if context.CLIARGS["check"] else ""
            for host in sorted(set(stats.processed) - {"localhost"}):
                self._say(f"{host}: {self._changed[host]} {would}changed")

    def _interrupted(self) -> None:
        """The last word when the run is cut short with the lease still held."""
        if self._lease_seconds is not None:
            self._display.error(
                f"interrupted in step {self._step}: what serves keeps serving, and the next rollout undoes what "
                f"this one began, as soon as its lease has expired ({self._lease_seconds:.0f} s)",
                wrap_text=False,
            )

    def _say(self, line: str) -> None:
        with suppress(BrokenPipeError):  # whoever read it has seen enough
            self._display.display(line)

    @staticmethod
    def _rescued(task: Any) -> bool:
        """Whether a block around the task takes care of its failure."""
        while (task := task._parent) and not getattr(task, "rescue", None):
            pass
        return task is not None

    @staticmethod
    def _changed_on(result: Any) -> set[str]:
        """The hosts on which a task changed something: another one than its own where it was delegated."""
        return {
            each.get("_ansible_delegated_vars", {}).get("ansible_delegated_host") or result._host.get_name()
            for each in result._result.get("results") or [result._result]
            if each.get("changed")
        }

    def _line(self, result: Any, words: str) -> None:
        host = result._host.get_name()
        name = result._task.get_name().removeprefix("rollout : ")
        where = "" if host == "localhost" else f"{host}: "
        seconds = time.monotonic() - self._began
        if self._counted:
            others = sorted(self._changed_on(result) - {host})
            there = f"changed on {', '.join(others)}" if others else "changed"
            words = words.removeprefix(LOOPED) or (there if result._result.get("changed") else "")
        self._say(f"  {where}{name:<{WIDTH}} {seconds:5.1f} s  {words}")
