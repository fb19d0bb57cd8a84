"""Only tasks that really ran count, and each that did not is named."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.coverage import record, tasks

PLAYBOOK = """\
- name: One of everything
  hosts: localhost
  gather_facts: false
  tasks:
    - name: Runs and tells the handler
      ansible.builtin.debug:
        msg: a
      changed_when: true
      notify: Told
    - name: Skipped
      ansible.builtin.debug:
        msg: b
      when: false
    - name: Loops, one item of two skipped
      ansible.builtin.debug:
        msg: "{{ item }}"
      loop: [1, 2]
      when: item == 2
    - name: Loops over nothing
      ansible.builtin.debug:
        msg: "{{ item }}"
      loop: []
    - name: Fails and is rescued
      block:
        - name: Fails
          ansible.builtin.fail:
            msg: c
        - name: Not reached
          ansible.builtin.debug:
            msg: d
      rescue:
        - name: Rescues
          ansible.builtin.debug:
            msg: e
      always:
        - name: Always
          ansible.builtin.debug:
            msg: f
    - name: Flush
      ansible.builtin.meta: flush_handlers
    - name: Import
      ansible.builtin.import_tasks: tasks/imported.yml
    - name: Include
      ansible.builtin.include_role:
        name: part
    - name: Include skipped
      ansible.builtin.include_tasks: tasks/imported.yml
      when: false
    - name: Only pretended
      ansible.builtin.debug:
        msg: g
      check_mode: true
  handlers:
    - name: Told
      ansible.builtin.debug:
        msg: h
    - name: Never told
      ansible.builtin.debug:
        msg: i
"""
TASK = """\
- name: {name}
  ansible.builtin.debug:
    msg: "{name}"
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Playbooks that ran once, with what the run recorded in recordings/."""
    root = tmp_path_factory.mktemp("checkout")
    for path, text in {
        "playbooks/site.yml": PLAYBOOK,
        "playbooks/tasks/imported.yml": TASK.format(name="Imported"),
        "playbooks/roles/part/tasks/main.yml": TASK.format(name="In the role"),
        "playbooks/roles/part/handlers/main.yml": TASK.format(name="Told by nobody"),
        "playbooks/roles/part/defaults/main.yml": "part_list:\n  - name: not a task\n",
        "recordings/.keep": "",
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    run(root)
    return root


def run(root: Path) -> None:
    """ansible-playbook with the recording callback of this repository."""
    subprocess.run(
        [Path(sys.executable).with_name("ansible-playbook"), "-i", "localhost,", root / "playbooks/site.yml"],
        env={
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
            "HOME": str(root),
            "LC_ALL": "C.UTF-8",
            "ANSIBLE_CALLBACK_PLUGINS": str(record.ROOT / "playbooks/plugins/callback"),
            "ANSIBLE_CALLBACKS_ENABLED": "task_coverage",
            "INFRA_COVERAGE_DIR": str(root / "recordings"),
        },
        check=True,
        capture_output=True,
    )


def unexecuted(root: Path) -> set[str]:
    return {
        line.text.partition("name: ")[2]
        for line in tasks.lines(root, root / "recordings")
        if not line.executed
    }


def test_each_task_that_did_not_run_is_named_and_no_other(checkout: Path) -> None:
    assert unexecuted(checkout) == {
        "Skipped",
        "Loops over nothing",
        "Not reached",
        "Include skipped",
        "Only pretended",
        "Never told",
        "Told by nobody",
    }


def test_blocks_imports_and_meta_are_not_counted(checkout: Path) -> None:
    counted = {line.text.partition("name: ")[2] for line in tasks.lines(checkout, checkout / "recordings")}
    assert counted.isdisjoint({"Fails and is rescued", "Import", "Flush", "not a task"})
    assert {"Fails", "Imported", "Include", "In the role"} <= counted


def test_handlers_are_counted_apart_from_tasks(checkout: Path) -> None:
    handlers = {
        line.text.strip() for line in tasks.lines(checkout, checkout / "recordings") if line.kind == "handler"
    }
    assert handlers == {"- name: Told", "- name: Never told", "- name: Told by nobody"}


def test_an_added_task_that_nothing_executes_is_reported(checkout: Path) -> None:
    added = checkout / "playbooks" / "tasks" / "added.yml"
    added.write_text(TASK.format(name="Added"))
    try:
        assert "Added" in unexecuted(checkout)
    finally:
        added.unlink()


def test_what_an_older_version_of_a_file_executed_does_not_count(checkout: Path) -> None:
    imported = checkout / "playbooks" / "tasks" / "imported.yml"
    before = imported.read_text()
    assert "Imported" not in unexecuted(checkout)
    imported.write_text(before + TASK.format(name="Added below"))
    try:
        assert {"Imported", "Added below"} <= unexecuted(checkout)
    finally:
        imported.write_text(before)
