"""Only templates and branches that were really rendered count, and recording changes nothing of what is rendered."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.coverage import __main__ as report
from tests.coverage import record, templates

PLAYBOOK = """\
- name: Renders
  hosts: localhost
  gather_facts: false
  vars:
    count: "{{ item }}"
  tasks:
    - name: Take the recordings away
      ansible.builtin.debug:
        msg: "{{ lookup('pipe', 'rmdir ' ~ taken) }}"
      when: taken is defined
    - name: Role
      ansible.builtin.include_role:
        name: web
"""
ROLE = """\
- name: By the lookup
  ansible.builtin.debug:
    msg: "RENDERED {{ lookup('template', 'unit.j2') }}"
  loop: "{{ counts }}"
- name: With variables of the lookup's own
  ansible.builtin.debug:
    msg: "RENDERED {{ lookup('template', item, template_vars={'nobody': []}) }}"
  loop: [loop.j2, outer.j2]
"""
UNIT = """\
# The count is {{ count }}.
{% if count == 1 %}
one
{% elif count == 2 %}
two
{% else %}
many
{% endif %}
{% if count > 1 %}
more {% if count == 3 %}three{% endif %}

{% endif %}
"""
LOOP = """\
{% for each in ['a', 'b'] %}
{{ each }}{% if loop.last %} is last{% endif %}

{% endfor %}
{% for each in nobody %}
{{ each }}
{% endfor %}
"""
FILES = {
    "playbooks/site.yml": PLAYBOOK,
    "playbooks/roles/web/tasks/main.yml": ROLE,
    "playbooks/roles/web/templates/unit.j2": UNIT,
    "playbooks/roles/web/templates/loop.j2": LOOP,
    "playbooks/roles/web/templates/outer.j2": "{% include 'inner/part.j2' %}\n",
    "playbooks/roles/web/templates/inner/part.j2": "of {{ nobody | length }}\n",
    "playbooks/roles/web/templates/unused.j2": "{{ count }}\n",
    "playbooks/roles/idle/templates/unit.j2": UNIT,
}
UNUSED = "web/templates/unused.j2:1  the template"
NEVER = {UNUSED, "web/templates/loop.j2:5  {% for each in nobody %} (entered)"}
BRANCHES = {
    "2  {% if count == 1 %} (when true)",
    "4  {% elif count == 2 %} (when true)",
    "4  {% elif count == 2 %} (when false)",
    "9  {% if count > 1 %} (when true)",
    "9  {% if count > 1 %} (when false)",
    "10  more {% if count == 3 %}three{% endif %} (when true)",
    "10  more {% if count == 3 %}three{% endif %} (when false)",
}
WITH_ONE = {"2  {% if count == 1 %} (when true)", "9  {% if count > 1 %} (when false)"}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Templates, with what clones of theirs recorded in one/ and rest/ when the count was 1, and 2 or 3."""
    root = tmp_path_factory.mktemp("checkout")
    for path, text in FILES.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    for recordings, counts in ("one", [1]), ("rest", [2, 3]):
        (root / recordings).mkdir()
        render(root, tmp_path_factory.mktemp("clone"), root / recordings, counts)
    return root


def render(root: Path, clone: Path, recordings: Path | None, counts: list[int], **told: object) -> list[str]:
    """Run the playbook in a clone that is gone afterwards; what it rendered."""
    shutil.copytree(root / "playbooks", clone / "playbooks")
    done = subprocess.run(
        [
            Path(sys.executable).with_name("ansible-playbook"), "-i", "localhost,",
            clone / "playbooks/site.yml", "-e", json.dumps({"counts": counts, **told}),
        ],
        env={
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
            "HOME": str(clone),
            "LC_ALL": "C.UTF-8",
            "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default",
            "ANSIBLE_CALLBACK_PLUGINS": str(record.ROOT / "playbooks/plugins/callback"),
            "ANSIBLE_CALLBACKS_ENABLED": "template_coverage",
            **({"INFRA_COVERAGE_DIR": str(recordings)} if recordings else {}),
        },
        cwd=clone,
        check=True,
        capture_output=True,
        text=True,
    )  # fmt: skip
    shutil.rmtree(clone)
    return re.findall(r'"msg": "RENDERED (.*)"', done.stdout)


def missing(root: Path, recordings: str) -> set[str]:
    return {
        str(line).removeprefix("playbooks/roles/")
        for line in templates.lines(root, root / recordings)
        if not line.executed
    }


def of(file: str, lines: set[str]) -> set[str]:
    return {f"{file}:{line}" for line in lines}


def test_each_branch_that_was_not_taken_is_named_and_no_other(checkout: Path) -> None:
    idle = of("idle/templates/unit.j2", BRANCHES | {"1  the template"})
    assert missing(checkout, "one") == NEVER | of("web/templates/unit.j2", BRANCHES - WITH_ONE) | idle
    assert missing(checkout, "rest") == NEVER | of("web/templates/unit.j2", WITH_ONE) | idle


def test_recording_changes_nothing_of_what_is_rendered(checkout: Path, tmp_path: Path) -> None:
    (tmp_path / "recordings").mkdir()
    (tmp_path / "taken").mkdir()
    plain = render(checkout, tmp_path / "a", None, [1, 2, 3])
    assert plain[2] == r"# The count is 3.\nmany\nmore three\n"
    assert len(plain) == 5
    assert render(checkout, tmp_path / "b", tmp_path / "recordings", [1, 2, 3]) == plain
    assert list((tmp_path / "recordings").iterdir())
    taken = tmp_path / "taken"
    assert render(checkout, tmp_path / "c", taken, [1, 2, 3], taken=str(taken)) == plain
    assert not taken.exists()


def test_what_an_older_version_of_a_template_rendered_does_not_count(checkout: Path) -> None:
    loop = checkout / "playbooks/roles/web/templates/loop.j2"
    loop.write_text(f"{LOOP}added\n")
    try:
        assert "web/templates/loop.j2:1  the template" in missing(checkout, "one")
    finally:
        loop.write_text(LOOP)


def test_the_report_counts_them_and_takes_exceptions(
    checkout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    web, recordings, excepted = "playbooks/roles/web/templates", tmp_path / "all", tmp_path / "exceptions.yml"
    shutil.copytree(checkout / web, tmp_path / web)
    for part in "one", "rest":
        shutil.copytree(checkout / part, recordings, dirs_exist_ok=True)
    entries = [
        {"path": f"{web}/{name}", "anchor": anchor, "reason": "not used yet"}
        for name, anchor in (("unused.j2", "the template"), ("loop.j2", "in nobody %} (entered)"))
    ]
    arguments = ["--root", str(tmp_path), "--recordings", str(recordings), "--exceptions", str(excepted)]
    excepted.write_text(json.dumps(entries[:1]))
    assert report.main(arguments) == 1
    told = capsys.readouterr().out
    assert "templates       4 of    5 executed" in told
    assert "branches       10 of   11 executed" in told
    assert f"not executed {web}/loop.j2:5  {{% for each in nobody %}} (entered)" in told
    excepted.write_text(json.dumps(entries))
    assert report.main(arguments) == 0
