"""scripts/release.py: which release a checkout is, and which ones are kept. Real builds: test_build."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.scripts.project import Project
from tests.scripts.shop import FACTS, keep, release

VERSION = re.compile(r"\d{8}-\d{6}-[0-9a-f]{12}")
LATE = "2026-11-24T01:30:00+03:00"


def test_a_version_is_the_commits_date_and_hash(shop: Project) -> None:
    shop.environment |= {"GIT_COMMITTER_DATE": LATE}
    commit = shop.commit("later")
    version = release(shop, "version")
    assert version == f"20261123-223000-{commit[:12]}", "UTC, wherever the commit was made"
    assert release(shop, "version", TZ="Asia/Tokyo", LANG="de_DE.UTF-8") == version


def test_a_tag_or_a_branch_does_not_change_a_version(shop: Project) -> None:
    version = release(shop, "version")
    shop.git("tag", "v1")
    shop.git("checkout", "--quiet", "-b", "another")
    assert release(shop, "version") == version


@pytest.mark.parametrize("change", ["changed", "new", "deleted", "staged"])
def test_uncommitted_changes_make_a_version_of_their_own(shop: Project, change: str) -> None:
    clean = release(shop, "version")
    if change == "deleted":
        (shop.path / "text").unlink()
    else:
        shop.write({"text" if change == "changed" else "another": "changed"})
    if change == "staged":
        shop.git("add", "--all")
    index = (shop.path / ".git/index").read_bytes()
    dirty = release(shop, "version")
    assert re.fullmatch(rf"{clean}-dirty-[0-9a-f]{{8}}", dirty)
    assert release(shop, "version") == dirty, "the same changes are the same release"
    assert ((shop.path / ".git/index").read_bytes() == index) or change != "staged"
    shop.write({"text": "changed again"})
    assert release(shop, "version") != dirty


def test_what_git_ignores_does_not_make_a_checkout_dirty(shop: Project) -> None:
    shop.write({".run/dev/data": "1", ".cache/wheel": "2"})
    assert VERSION.fullmatch(release(shop, "version"))


def test_a_checkout_without_git_data_is_one_line_with_the_remedy(shop: Project) -> None:
    shutil.rmtree(shop.path / ".git")
    for act in ("version", "build"):
        line = release(shop, act, status=1)
        assert line.startswith(
            f"error: {shop.path} is not a usable git checkout (fatal: not a git repository"
        )
        assert line.endswith("a release is made from a commit: git clone the repository and work there\n")


def test_a_folder_inside_another_repository_is_not_taken_for_it(shop: Project) -> None:
    shutil.rmtree(shop.path / ".git")
    subprocess.run(["git", "init", "--quiet", shop.path.parent], check=True)
    line = release(shop, "version", status=1)
    assert line == f"error: {shop.path} is not a git checkout; git clone the repository and work there\n"


def test_a_repository_without_a_commit_is_one_line(shop: Project) -> None:
    shutil.rmtree(shop.path / ".git")
    shop.git("init", "--quiet")
    assert "is not a usable git checkout (fatal: " in release(shop, "version", status=1)


def test_an_interruption_is_one_line(shop: Project, tmp_path: Path) -> None:
    git = tmp_path / "bin/git"
    git.parent.mkdir()
    git.write_text("#!/bin/sh\nkill -INT $PPID\n")
    git.chmod(0o755)
    line = release(shop, "build", status=130, PATH=f"{git.parent}:{shop.environment['PATH']}")
    assert line == "error: interrupted; run the command again when you like\n"


def test_a_machine_without_git_is_told_to_install_it(shop: Project, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    line = release(shop, "version", status=1, PATH=str(tmp_path / "bin"))
    assert line == "error: git is not installed; install it and run the command again\n"


def test_kept_releases_are_listed_oldest_first_with_the_running_and_the_previous_one(shop: Project) -> None:
    assert release(shop, "list").endswith("keeps no release yet")
    keep(shop, "3", "1", "2")
    assert release(shop, "list") == "1\n2\n3"
    (shop.state / "current.json").write_text('{"version": "3", "previous": "1"}')
    assert release(shop, "list") == "1  previous\n2\n3  running"


def test_the_first_release_has_no_previous_one(shop: Project) -> None:
    keep(shop, "1")
    (shop.state / "current.json").write_text('{"version": "1", "previous": null}')
    assert release(shop, "list") == "1  running"


def test_a_kept_bundle_that_changed_is_found(shop: Project) -> None:
    store = keep(shop, "1", "2")
    assert release(shop, "verify") == "2 bundles are as they were built"
    (store / "shop-2.tar").write_text("3")
    assert release(shop, "verify", status=1) == (
        f"error: {store}/shop-2.tar is corrupt: its checksum is not the one written beside it; "
        "delete it and run `make build`, or fetch it again\n"
    )


def test_an_older_bundle_under_another_releases_name_is_refused_by_name(shop: Project) -> None:
    version = release(shop, "version")
    store = keep(shop, "1")
    old, other = store / "shop-1.tar", store / f"shop-{version}.tar"
    for suffix in ("", ".sha256"):
        shutil.copy(f"{old}{suffix}", f"{other}{suffix}")
    for act in ("verify", "build"):
        assert release(shop, act, status=1) == (
            f"error: {other} holds release 1; give it its name back, or delete it and run `make build`\n"
        )


def test_a_release_that_is_kept_is_not_built_again_but_verified(shop: Project) -> None:
    version = release(shop, "version")
    store = keep(shop, version)
    assert release(shop, "build") == f"{store}/shop-{version}.tar is there already"
    (store / f"shop-{version}.tar").write_text("changed")
    assert "is corrupt" in release(shop, "build", status=1)


def test_a_wheel_that_cannot_be_had_is_one_line_and_leaves_no_bundle(shop: Project) -> None:
    shop.write({"requirements/service.txt": "nothing-of-that-name==1 --hash=sha256:" + "0" * 64 + "\n"})
    shop.write({"app/manage.py": ""}, {"infra/service.yml": json.dumps(FACTS | {"pythons": ["3.11"]})})
    shop.commit("needs what nobody has")
    line = release(shop, "build", status=1, PIP_NO_INDEX="1")
    assert line.startswith("error: wheels for Python 3.11: ERROR: ")
    assert line.endswith("check the network, or lock a version that has a wheel for it\n")
    assert not list(Path(shop.environment["RELEASES"]).glob("*"))
    assert not list((shop.path / ".cache").glob("build-*")), "a rest of the build"


def test_a_store_that_cannot_be_written_is_one_line_with_the_remedy(shop: Project) -> None:
    """A file stands where the store's folder should be: root may write everywhere else."""
    shop.write({"requirements/service.txt": "", "app/manage.py": "", "infra/environments/dev.env": ""})
    shop.commit("needs no wheel")
    Path(shop.environment["RELEASES"]).touch()
    line = release(shop, "build", status=1)
    assert line == (
        f"error: File exists ({shop.environment['RELEASES']}); mend that and run the command again\n"
    )


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["version", "--nonsense"]])
def test_what_it_does_not_know_is_refused_with_its_usage(shop: Project, arguments: list[str]) -> None:
    done = shop.run(sys.executable, "scripts/release.py", *arguments, status=2)
    assert done.stderr.startswith("usage: release.py")


def test_its_help_names_every_act(shop: Project) -> None:
    shown = release(shop, "--help", COLUMNS="100")
    assert all(f"{act}:" in shown for act in ("version", "build", "list", "verify"))
    assert os.environ["PATH"] not in shown


# Stands for the engine's client and a registry that keeps what is pushed.
DOCKER = """\
#!/bin/sh
echo "$1" >>STATE/asked
case $1 in
    buildx) [ -e STATE/pushed ] && echo '{"image": {}}' || { echo 'ERROR: not found' >&2; exit 1; } ;;
    run) printf '%s\n' 3.13.5 Django==5.2.1 zope_interface==7 ;;
    push) touch STATE/pushed ;;
esac
"""


LOCK = f"""\
django==5.2.1 \\
    --hash=sha256:{"aa" * 32} \\
    --hash=sha256:{"ab" * 32}
    # via -r service.in
zope-interface==7 ; sys_platform == 'linux' \\
    --hash=sha256:{"ba" * 32}
tomli==2 ; python_full_version < '3.11' \\
    --hash=sha256:{"ca" * 32}
"""


@pytest.fixture
def imaged(shop: Project, tmp_path: Path) -> Project:
    """That checkout with an engine that builds whatever it is told, and a lock of what it says is in the image."""
    state = tmp_path / "engine"
    state.mkdir()
    (state / "docker").write_text(DOCKER.replace("STATE", str(state)))
    (state / "docker").chmod(0o755)
    shop.environment |= {"PATH": f"{state}:{shop.environment['PATH']}", "REGISTRY": "there"}
    shop.write(
        {
            "app/manage.py": "",
            "requirements/service.txt": LOCK,
            "infra/docker/start.py": "",
            "infra/environments/dev.env": "",
        }
    )
    shop.commit("an application")
    return shop


def test_a_list_of_packages_is_what_the_lock_says(imaged: Project) -> None:
    release(imaged, "image")
    assert release(imaged, "sbom") == "1 lists of packages are as their locks say"


DJANGO, ZOPE = 0, 1


def other_version(listed: list[dict[str, Any]]) -> None:
    listed[DJANGO]["version"] = "5.2.2"


def other_hash(listed: list[dict[str, Any]]) -> None:
    listed[DJANGO]["externalReferences"][0]["hashes"][0]["content"] = "ff"


def missing(listed: list[dict[str, Any]]) -> None:
    del listed[ZOPE]


def added(listed: list[dict[str, Any]]) -> None:
    listed.append({"name": "moon", "version": "1", "externalReferences": []})


def twice(listed: list[dict[str, Any]]) -> None:
    listed.insert(0, {"name": "Django", "version": "1.0"})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (twice, "django stands in it 2 times"),
        (other_version, "django is 5.2.2 and locked is 5.2.1"),
        (other_hash, "django 5.2.1 has other hashes than are locked"),
        (missing, "zope-interface 7 is missing"),
        (added, "moon 1 is not locked"),
    ],
)
def test_a_list_of_packages_that_is_not_what_the_lock_says_is_refused_by_name(
    imaged: Project, change: Callable[[list[dict[str, Any]]], None], words: str
) -> None:
    release(imaged, "image")
    (file,) = Path(imaged.environment["RELEASES"]).glob("*.cdx.json")
    document = json.loads(file.read_text())
    document["components"].sort(key=lambda each: each["name"].lower())
    change(document["components"])
    file.write_text(json.dumps(document))
    said = release(imaged, "sbom", status=1)
    assert said == f"error: {file.name}: {words}; delete it and run `make image`\n"


def test_a_list_of_another_release_or_of_no_form_is_refused(imaged: Project) -> None:
    release(imaged, "image")
    (file,) = Path(imaged.environment["RELEASES"]).glob("*.cdx.json")
    version = file.name.removeprefix("shop-").removesuffix(".cdx.json")
    file.write_text(file.read_text().replace(f'"version": "{version}"', '"version": "another"'))
    assert f"{file.name}: it is of release another; " in release(imaged, "sbom", status=1)
    file.write_text(
        file.read_text().replace('"another"', f'"{version}"').replace('"name": "shop"', '"name": "shoe"')
    )
    assert f"{file.name}: it is of shoe; " in release(imaged, "sbom", status=1)
    file.write_text("{}")
    assert f"{file.name}: it is no list of an image's packages: " in release(imaged, "sbom", status=1)


def test_the_lock_is_that_of_the_bundle_where_one_is_kept(imaged: Project, tmp_path: Path) -> None:
    release(imaged, "image")
    (file,) = Path(imaged.environment["RELEASES"]).glob("*.cdx.json")
    (tmp_path / "requirements.txt").write_text(LOCK.replace("5.2.1", "5.2.9"))
    kept = file.with_name(file.name.replace(".cdx.json", ".tar"))
    with tarfile.open(kept, "w") as tar:
        tar.add(tmp_path / "requirements.txt", "requirements.txt")
    assert "django is 5.2.1 and locked is 5.2.9" in release(imaged, "sbom", status=1)
    kept.write_text("no tar")
    assert f"{kept} cannot be read: " in release(imaged, "sbom", status=1)


def test_no_image_is_pushed_whose_packages_are_not_listed_and_a_missing_list_is_made(
    imaged: Project, tmp_path: Path
) -> None:
    state, store = tmp_path / "engine", Path(imaged.environment["RELEASES"])
    commit = imaged.git("rev-parse", "HEAD")

    def asked() -> list[str]:
        words = (state / "asked").read_text().split()
        (state / "asked").unlink()
        return words

    assert "No such file" in release(imaged, "image", status=1, RELEASES="/proc/nowhere")
    assert asked() == ["buildx", "build", "run"]
    made = release(imaged, "image")
    assert made.endswith(commit[:12])
    assert asked() == ["buildx", "build", "run", "push"]
    (listed,) = store.glob("*.cdx.json")
    assert release(imaged, "image") == f"{made} is there already"
    assert asked() == ["buildx"]
    listed.unlink()
    assert release(imaged, "image") == f"{made} is there already"
    assert asked() == ["buildx", "run"]
    assert "pkg:pypi/django@5.2.1" in listed.read_text()
