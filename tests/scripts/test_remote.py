"""What scripts/remote promises: a bare repository, made once, and never over something else."""

import os
from pathlib import Path

import pytest

from tests.scripts.project import Project


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Each file below `folder` with the time and bytes of its last change."""
    files = (Path(where) / name for where, _, names in os.walk(folder) for name in names)
    return {str(file): (file.stat().st_mtime_ns, file.read_bytes()) for file in files}


def recorded(project: Project) -> list[str]:
    """The variables that the hook will give to the stages."""
    return project.git(f"--git-dir={project.bare}", "config", "--get-all", "pipeline.variable").splitlines()


def test_it_makes_a_bare_repository_with_the_hook_and_where_to_deploy(
    project: Project,
) -> None:
    shown = project.run("scripts/remote").stdout
    assert shown.splitlines()[-1].strip() == "git push local main"
    assert project.git("remote", "get-url", "local") == str(project.bare)
    settings = project.git(
        f"--git-dir={project.bare}", "config", "--get-all", "pipeline.variable"
    ).splitlines()
    assert settings == [
        f"{name}={project.environment[name]}" for name in ("ENV", "ROLLOUT_ROOT", "RELEASES", "PORT")
    ]
    for name in ("post-receive", "lib.sh"):
        assert (project.bare / "hooks" / name).read_bytes() == (project.path / "scripts" / name).read_bytes()
    assert os.access(project.bare / "hooks/post-receive", os.X_OK)
    assert (project.bare / "HEAD").read_text() == "ref: refs/heads/main\n"


def test_run_again_it_changes_nothing_and_says_so(project: Project) -> None:
    project.run("scripts/remote")
    before = contents(project.bare), contents(project.path)
    assert "nothing to change" in project.run("scripts/remote").stdout
    assert (contents(project.bare), contents(project.path)) == before


def test_run_again_it_takes_over_what_has_changed(project: Project) -> None:
    project.run("scripts/remote")
    (project.path / "scripts/post-receive").write_text("#!/bin/sh\n")
    project.run("scripts/remote", PORT="2")
    assert (project.bare / "hooks/post-receive").read_text() == "#!/bin/sh\n"
    settings = project.git(
        f"--git-dir={project.bare}", "config", "--get-all", "pipeline.variable"
    ).splitlines()
    assert settings[-1] == "PORT=2"
    assert len(settings) == 4


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ("some where/all.zip", "{checkout}/some where/all.zip"),
        ("/some where/all.zip", "/some where/all.zip"),
        ("https://there.test/all.zip", "https://there.test/all.zip"),
    ],
)
def test_the_database_of_advisories_is_recorded_so_that_another_folder_finds_it(
    project: Project, named: str, expected: str
) -> None:
    project.run("scripts/remote", ADVISORIES=named)
    assert recorded(project)[-1] == "ADVISORIES=" + expected.format(checkout=project.path)


def test_a_path_may_be_given_and_may_hold_spaces(project: Project) -> None:
    project.run("scripts/remote", "../some where/else.git")
    project.run("scripts/remote", REMOTE="../some where/else.git")
    assert project.git("remote", "get-url", "local") == str(project.path.parent / "some where/else.git")


def test_a_dry_run_names_what_it_would_do_and_does_none_of_it(project: Project) -> None:
    before = contents(project.path)
    shown = project.run("scripts/remote", "--dry-run").stdout
    assert f"would run: git init --quiet --bare --initial-branch=main {project.bare}" in shown
    assert not project.bare.exists()
    assert contents(project.path) == before


def occupied_by_a_file(project: Project) -> None:
    project.bare.write_text("mine")


def occupied_by_a_folder(project: Project) -> None:
    project.bare.mkdir()
    (project.bare / "mine").touch()


def occupied_by_a_checkout(project: Project) -> None:
    project.git("init", "--quiet", str(project.bare))


def occupied_by_another_hook(project: Project) -> None:
    project.git("init", "--quiet", "--bare", str(project.bare))
    (project.bare / "hooks/post-receive").write_text("mine")


@pytest.mark.parametrize(
    ("occupy", "why"),
    [
        (occupied_by_a_file, "is not a bare repository"),
        (occupied_by_a_folder, "is not a bare repository"),
        (occupied_by_a_checkout, "is not a bare repository"),
        (occupied_by_another_hook, "has a post-receive hook and belongs to somebody else"),
    ],
)
def test_what_stands_at_the_path_already_is_left_alone(project: Project, occupy: object, why: str) -> None:
    assert callable(occupy)
    occupy(project)
    before = contents(project.bare.parent)
    refused = project.run("scripts/remote", status=1)
    assert refused.stderr.count("\n") == 1
    assert why in refused.stderr
    assert "give another path: scripts/remote PATH" in refused.stderr
    assert contents(project.bare.parent) == before


def test_an_existing_remote_of_that_name_is_not_taken_over(project: Project) -> None:
    project.git("remote", "add", "local", "/elsewhere.git")
    refused = project.run("scripts/remote", status=1)
    assert refused.stderr == (
        "error: the remote 'local' points to /elsewhere.git; "
        "git remote rename local OTHER, or scripts/remote /elsewhere.git\n"
    )
    assert not project.bare.exists()


def test_a_folder_without_git_and_missing_variables_are_one_clear_line(project: Project) -> None:
    refused = project.run("scripts/remote", status=1, ENV="").stderr
    assert refused == "error: ENV is not set; use `make remote`\n"
    (project.path / ".git").rename(project.path / "git")
    refused = project.run("scripts/remote", status=1).stderr
    assert (
        refused
        == f"error: {project.path} is not a git checkout; clone the repository instead of copying it\n"
    )


def test_the_key_that_signs_is_recorded_by_its_whole_path_and_only_if_it_is_there(
    project: Project, tmp_path: Path
) -> None:
    refused = project.run("scripts/remote", status=1, SIGNING_KEY="nowhere").stderr
    assert refused == "error: SIGNING_KEY names no file; give the path of the key that signs what is pushed\n"
    assert not project.bare.exists()
    (tmp_path / "key").touch()
    project.run("scripts/remote", SIGNING_KEY="../key")
    assert recorded(project)[-1] == f"SIGNING_KEY={tmp_path}/key"
