"""scripts/previous.py: which release a commit is compared with."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from rollout.files import write_json
from tests.scripts.project import ROOT, Project

CHOOSE = """
import os, sys
from pathlib import Path
sys.path[:0] = ["scripts", os.environ["SHARED"]]
import previous
from rollout.place import Place
store, place = Path(os.environ["RELEASES"]), Place(Path(os.environ["ROLLOUT_ROOT"]))
print(previous.choose(place, "dev", store, "shop"))
"""


class Shop(Project):
    """A project of three commits."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.environment["SHARED"] = str(ROOT / "playbooks/plugins/module_utils")
        self.first, self.second, self.last = (self.commit(text) for text in ("one", "two", "three"))
        self.store = folder / "releases"
        self.store.mkdir()

    def let_it_be_the_shop(self, name: str = "shop") -> str:
        return self.commit("a service", **{"infra/service.yml": f"name: {name}\n"})

    def choose(self, status: int = 0, **told: str) -> str:
        done = self.run(sys.executable, "-c", CHOOSE, status=status, **told)
        return done.stdout.strip() or done.stderr.splitlines()[-1]

    def keep(self, *versions: str) -> None:
        for version in versions:
            (self.store / f"shop-{version}.tar").touch()

    def let_run(self, version: str, commit: str) -> None:
        write_json(self.state / "current.json", {"version": version})
        folder = self.state / "releases" / version
        folder.mkdir(parents=True)
        write_json(folder / "manifest.json", {"commit": commit})


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def said(commit: str, name: str, why: str) -> str:
    return f"Previous(commit={commit!r}, name={name!r}, why={why!r})"


def test_the_running_release_comes_first_then_the_newest_kept_one_then_the_newest_tag(shop: Shop) -> None:
    assert shop.choose() == "None"
    shop.git("tag", "v1", shop.first)
    shop.git("tag", "v3", shop.last)
    assert shop.choose() == said(shop.first, "v1", "the newest tag")
    second, later = (
        f"2026010{day}-101010-{commit[:12]}" for day, commit in ((2, shop.second), (3, shop.last))
    )
    shop.keep(f"20260101-101010-{shop.first[:12]}", second, f"{second}-dirty-0123abcd", later)
    shop.keep("20260109-101010-0123456789ab")  # of another branch
    assert shop.choose() == said(shop.second, second, "the newest that is kept")
    shop.let_run(later, shop.last)
    assert shop.choose() == said(shop.last, later, "runs in dev")


def test_without_a_release_it_is_what_main_was_before(shop: Shop) -> None:
    assert shop.choose() == "None", "nothing before it has the service"
    first, second = shop.let_it_be_the_shop(), shop.commit("on main")
    assert shop.choose() == said(first, first[:12], "the commit before this one")
    shop.git("switch", "--quiet", "--create", "topic")
    shop.commit("one")
    shop.commit("two")
    assert shop.choose() == said(second, second[:12], "where this left main")
    shop.git("update-ref", "refs/remotes/origin/main", first)
    assert shop.choose() == said(first, first[:12], "where this left origin/main")
    shop.git("update-ref", "refs/remotes/origin/main", "HEAD")
    shop.git("branch", "--quiet", "--delete", "--force", "main")
    before = shop.git("rev-parse", "HEAD~1")
    assert shop.choose() == said(before, before[:12], "the commit before this one")


def test_another_service_that_the_repository_held_before_is_no_release_of_this_one(shop: Shop) -> None:
    shop.let_it_be_the_shop("another")
    shop.let_it_be_the_shop()
    assert shop.choose() == "None"


def test_a_clone_that_knows_no_earlier_commit_is_told_to_fetch_it(shop: Shop) -> None:
    shop.git("clone", "--quiet", "--depth=1", f"file://{shop.path}", "../shallow")
    shop.path = shop.path.parent / "shallow"
    assert shop.choose(status=1).endswith(
        "the clone is shallow and has no earlier commit; run `git fetch --unshallow`"
    )


def test_who_names_another_gets_that(shop: Shop) -> None:
    shop.let_run("1", shop.last)
    assert shop.choose(PREVIOUS="HEAD~2") == said(shop.first, "HEAD~2", "named by PREVIOUS")


def test_a_commit_that_git_does_not_know_is_one_line_with_the_remedy(shop: Shop) -> None:
    shop.let_run("1", "0" * 40)
    assert shop.choose(status=1).endswith(
        f"git does not know {'0' * 40}, the previous release; fetch all of the history, or name another: PREVIOUS="
    )
