"""The end of a rollout on every engine: what it leaves to the next one. The engine's own tasks are stood in for."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.rollout.checkout import REPOSITORY

PLAY = """
- hosts: fleet
  gather_facts: false
  vars:
    rollout_engine: none
    rollout_tasks: {tasks}
    rollout_first: localhost
    rollout_dry_run: false
    rollout_kind: deploy
    rollout_lease: {{number: 7}}
  tasks:
    - ansible.builtin.include_role: {{name: rollout, tasks_from: end}}
"""
WORKS = "- ansible.builtin.debug: {msg: done}\n"
FAILS = "- ansible.builtin.fail: {msg: the disk is full}\n"
RECORDED = "- ansible.builtin.set_fact: {rollout_recorded: {recorded: true, serves: false}}\n"
FREE = '- ansible.builtin.debug: {msg: "pending: {{ rollout_pending }}"}\n'


def ended(folder: Path, step: str, undo: str, record: str) -> str:
    """What the end says of a rollout that failed in a step."""
    host = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "rollout_failure": {"step": step, "reason": "no such column", "stale": False, "host": "localhost"},
    }
    (folder / "hosts.yml").write_text(json.dumps({"fleet": {"hosts": {"localhost": host}}}))
    for name, tasks in (("undo", undo), ("record", record), ("free", FREE)):
        (folder / f"{name}.yml").write_text(tasks)
    (folder / "play.yml").write_text(PLAY.format(tasks=folder))
    playbook = str(Path(sys.executable).with_name("ansible-playbook"))
    done = subprocess.run(
        [playbook, "-i", folder / "hosts.yml", folder / "play.yml"],
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=os.environ | {"ANSIBLE_STDOUT_CALLBACK": "default"},
    )
    said = done.stdout + done.stderr
    assert done.returncode, said
    assert f"deploy failed in step {step}: no such column" in said
    return said


@pytest.mark.parametrize(
    ("step", "undo", "record", "pending"),
    [
        ("migrate", WORKS, RECORDED, False),
        ("migrate", FAILS, RECORDED, True),
        ("migrate", WORKS, FAILS, True),
        ("preflight", FAILS, RECORDED, False),
    ],
    ids=["undone and written down", "not undone", "not written down", "nothing to undo"],
)
def test_what_is_not_undone_or_not_written_down_is_left_to_the_next_rollout(
    tmp_path: Path, step: str, undo: str, record: str, pending: bool
) -> None:
    said = ended(tmp_path, step, undo, record)
    assert f"pending: {pending}" in said
    assert ("no such column; and undoing that failed: the disk is full" in said) == (
        undo == FAILS and step != "preflight"
    )
