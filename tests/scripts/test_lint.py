"""`make lint` runs every linter over the tracked files, shows what failed, and never passes in silence."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
TOOLS = ["ansible-lint", "djlint", "lint-imports", "mypy", "ruff", "shellcheck", "shfmt", "yamllint"]
TOOL = """\
#!/bin/sh
name=${0##*/}
echo "$name $*" >>"$CALLS"
[ "$name" != "$BROKEN" ] || { echo "$name found a fault"; exit 1; }
"""
FILES = {
    "app/service.py": "",
    "app/page.html": "",
    "playbooks/site.yml": "",
    "infra/environments/dev.env": "# a comment\nNAME=Some <body@example.org>\n",
    "scripts/tool": "#!/usr/bin/env python3\n",
    "data": "python and bash, but no first line that says so\n",
    "empty": "",
}


class Checkout:
    """A repository with a file of each kind and linters that only note how they were called."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.calls = root / "venv" / "calls"
        for name in ("lint", "lib.sh"):
            self.write(f"scripts/{name}", (SCRIPTS / name).read_text())
            shutil.copymode(SCRIPTS / name, root / "scripts" / name)
        for tool in TOOLS:
            self.write(f"venv/bin/{tool}", TOOL).chmod(0o755)
        for path, text in FILES.items():
            self.write(path, text)
        self.git("init", "--quiet")
        self.git("add", "app", "playbooks", "infra", "scripts", "data", "empty")
        self.commit()

    def write(self, path: str, text: str) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def git(self, *arguments: str) -> None:
        subprocess.run(["git", "-C", self.root, *arguments], check=True)

    def commit(self) -> None:
        self.git("-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "--quiet", "-m", "change")

    def lint(self, *arguments: str, broken: str = "") -> subprocess.CompletedProcess[str]:
        settings = {"VENV": str(self.root / "venv"), "CALLS": str(self.calls), "BROKEN": broken}
        return subprocess.run(
            [self.root / "scripts/lint", *arguments],
            env=os.environ | settings,
            capture_output=True,
            text=True,
        )


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_every_linter_gets_the_files_of_its_kind(checkout: Checkout) -> None:
    result = checkout.lint()
    assert (result.returncode, result.stderr) == (0, "")
    assert sorted(checkout.calls.read_text().splitlines()) == [
        "ansible-lint --offline -q --nocolor --format pep8 playbooks/site.yml",
        "djlint --quiet --lint --check app/page.html",
        "lint-imports --no-cache --no-logo",
        "mypy --no-error-summary --show-traceback app/service.py scripts/tool",
        "ruff check --quiet --output-format concise app/service.py scripts/tool",
        "ruff format --diff --quiet app/service.py scripts/tool",
        "shellcheck scripts/lib.sh scripts/lint",
        "shfmt --diff scripts/lib.sh scripts/lint",
        "yamllint --strict playbooks/site.yml",
    ]


@pytest.mark.parametrize("tool", TOOLS)
def test_one_failing_linter_fails_the_stage_and_shows_its_words(checkout: Checkout, tool: str) -> None:
    result = checkout.lint(broken=tool)
    assert result.returncode == 1
    assert f"    {tool} found a fault\n" in result.stdout
    assert "error: lint found something" in result.stderr


@pytest.mark.parametrize(
    ("size", "label", "before", "after"),
    [(7, " HEAD", "", "\n"), (7, "", "", "\r\n"), (9, " HEAD", "", "\n"), (7, " HEAD", "a\0b", "\n")],
    ids=["labelled", "bare", "longer", "beside a NUL"],
)
def test_what_a_merge_left_is_named_with_the_way_out(
    checkout: Checkout, size: int, label: str, before: str, after: str
) -> None:
    signs = {"<": label, "|": label, "=": "", ">": label}
    marks = [sign * size + word for sign, word in signs.items()]
    checkout.write("data", before + "\n" + "".join(f"{mark}{after}a = {mark[0]!r}\n" for mark in marks))
    result = checkout.lint()
    assert result.returncode == 1
    for line, mark in zip((2, 4, 6, 8), marks, strict=True):
        assert f"    data:{line}:{mark}" in result.stdout
    assert "    choose between the two sides, take the markers out" in result.stdout


@pytest.mark.parametrize("sign", "<>")
def test_one_mark_that_was_overlooked_is_named(checkout: Checkout, sign: str) -> None:
    checkout.write("a=b", f"a\n{sign * 7} theirs\nb\n")
    checkout.git("add", "a=b")
    assert f"    a=b:2:{sign * 7} theirs\n" in checkout.lint().stdout


@pytest.mark.parametrize(
    "text", ["Heading\n=======\n", "Heading\n=========\n", "|||||||\n", "  <<<<<<< EOF\n", "<<<<<<<EOF\n"]
)
def test_headings_and_tables_are_no_merge(checkout: Checkout, text: str) -> None:
    checkout.write("data", f"{'<' * 6} six\n{text}{'>' * 6} six\n")
    assert checkout.lint().returncode == 0


def test_a_kind_without_files_is_said(checkout: Checkout) -> None:
    checkout.git("rm", "--quiet", "app/page.html")
    checkout.commit()
    result = checkout.lint()
    assert result.returncode == 0
    assert "djlint         nothing to check: no templates\n" in result.stdout


def test_files_that_are_deleted_or_not_tracked_are_left_alone(checkout: Checkout) -> None:
    (checkout.root / "app/page.html").unlink()
    checkout.write("app/new.py", "")
    assert checkout.lint().returncode == 0
    assert "page.html" not in checkout.calls.read_text()
    assert "new.py" not in checkout.calls.read_text()


def test_without_git_one_line_says_what_to_do(checkout: Checkout) -> None:
    shutil.rmtree(checkout.root / ".git")
    result = checkout.lint()
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == "error: git knows no commit here; lint in a clone of the repository\n"


def test_an_unknown_argument_is_refused_and_help_is_given(checkout: Checkout) -> None:
    assert "unknown argument app" in checkout.lint("app").stderr
    assert "usage: scripts/lint" in checkout.lint("--help").stdout
