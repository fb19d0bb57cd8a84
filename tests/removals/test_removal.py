"""Exactly the task that is meant goes, and what is left are still tasks."""

from __future__ import annotations

import yaml

from tests.coverage import record, tasks
from tests.coverage.lines import Line
from tests.removals.guards import GUARDS, guards, on_hosts
from tests.removals.removal import NOTHING, without

TASKS = """\
# What the file is about.
- name: First
  ansible.builtin.debug: &said
    msg: |
      a

      b

# About the second.
- name: Second
  block:
    - name: Alone
      ansible.builtin.debug: *said
"""
ALL = tasks.lines(record.ROOT, record.ROOT)


def name(line: Line) -> str:
    return line.text.partition("- name: ")[2]


def names(text: str) -> list[str]:
    return [line.partition("- name: ")[2] for line in text.splitlines() if "- name: " in line]


def test_only_the_lines_of_the_task_go() -> None:
    plain = TASKS.replace("*said", "{msg: c}")
    assert without(plain, 2) == plain.replace(
        plain[plain.index("- name: First") : plain.index("# About")], "\n"
    )


def test_of_the_only_one_something_stays_that_does_nothing() -> None:
    assert without(TASKS, 12) == TASKS[: TASKS.index("- name: Alone")] + f"- {NOTHING}\n"
    assert without("- name: Alone\n  debug:\n", 1) == f"- {NOTHING}\n"


def test_what_another_task_repeats_of_it_stays_there() -> None:
    _, second = yaml.safe_load(without(TASKS, 2))
    assert second["block"][0]["ansible.builtin.debug"] == {"msg": "a\n\nb\n"}


def test_a_handler_keeps_its_name_and_does_nothing() -> None:
    handlers = "- name: Told\n  ansible.builtin.debug:\n    msg: a\n\n- name: Other\n"
    assert without(handlers, 1, handler=True) == f"- name: Told\n  {NOTHING}\n\n- name: Other\n"


def test_each_task_here_can_be_removed_alone_and_is_guarded() -> None:
    for line in ALL:
        text = (record.ROOT / line.path).read_text()
        left = without(text, line.number, handler=line.kind == "handler")
        gone = [] if line.kind == "handler" else [name(line)]
        assert sorted(names(left) + gone) == sorted(names(text))
        assert yaml.safe_load(left) is not None
        for test in guards(line.path, name(line)):
            file, _, function = test.partition("::")
            assert f"def {function}(" in (record.ROOT / file).read_text() or not function


def test_every_guard_has_a_task_and_those_of_a_service_on_this_machine_need_no_host() -> None:
    labels = [f"{line.path}: {name(line)}" for line in ALL]
    assert [key for key in GUARDS if not any(label.startswith(key) for label in labels)] == []
    assert not on_hosts(guards("playbooks/deploy.yml", "Switch"))
    assert on_hosts(guards("playbooks/roles/base/tasks/main.yml", "Name the hosts"))
