"""Every canned change still finds what it edits: known in seconds, not after minutes of rolling out."""

import subprocess
from pathlib import Path

import pytest

from tests.rollout import changes, test_controls
from tests.rollout.checkout import REPOSITORY, Change

CHANGES: list[Change] = [
    changes.visible_text("more"),
    changes.setting("WEB_THREADS", "5"),
    changes.expanding_migration("a_note"),
    changes.failing_migration("b_note"),
    changes.unready,
    changes.broken_page,
    changes.dead_worker,
    test_controls.lacks_drain,
    test_controls.lacks_proof,
    test_controls.lacks_undo,
    test_controls.lacks_lease,
    test_controls.lacks_sweep,
    test_controls.lacks_held_socket,
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_canned_change_finds_what_it_edits(change: Change, tmp_path: Path) -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "app", "infra", "playbooks"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    before = {
        name: (REPOSITORY / name).read_text()
        for name in tracked
        if name.endswith((".py", ".yml", ".env", ".html"))
    }
    for name, text in before.items():
        tmp_path.joinpath(name).parent.mkdir(parents=True, exist_ok=True)
        tmp_path.joinpath(name).write_text(text)
    change(tmp_path)
    after = {
        str(path.relative_to(tmp_path)): path.read_text() for path in tmp_path.rglob("*") if path.is_file()
    }
    assert after != before
