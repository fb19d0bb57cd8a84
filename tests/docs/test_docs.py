"""What the pages name is there: paths, targets, variables, links, keys of the service file, lines of failures."""

from __future__ import annotations

import re
from dataclasses import MISSING, fields
from pathlib import Path

import pytest
import yaml

from rollout import service

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/*.md"))]
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)

FOLDERS = ("app", "docs", "infra", "playbooks", "requirements", "scripts", "tests")
IN_CHECKOUT = re.compile(rf"(?<![\w./-])(?:{'|'.join(FOLDERS)})/[\w./*-]*")
OF_A_RUN = re.compile(r"(?<!\w)\.run/dev/([\w.-]+)")
LINK = re.compile(r"\]\(([^)#]*)(?:#([^)]*))?\)")
ROW = re.compile(r"^\| `([^`]+)`", re.MULTILINE)


def code(text: str) -> list[str]:
    """What stands in code blocks (line by line) and between backticks; not the examples, which are YAML and Python."""
    blocks = re.findall(r"^```(?:sh|text)?\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines()] + re.findall(r"`([^`]+)`", prose)


def sources(*patterns: str) -> str:
    """The text of tracked programs and playbooks."""
    files = (path for pattern in patterns for path in ROOT.glob(pattern) if path.is_file())
    return "\n".join(path.read_text() for path in files)


def lost_paths(text: str) -> list[str]:
    """Paths of the checkout that are not there; a pattern has to match something."""
    named = {found.rstrip(".") for words in code(text) for found in IN_CHECKOUT.findall(words)}
    return sorted(path for path in named if not any(ROOT.glob(path.rstrip("/"))))


def unknown_targets(text: str) -> list[str]:
    """Targets that the Makefile does not have, and variables on their lines that nobody reads."""
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    known = set(re.findall(r"\b[A-Z_]+\b", makefile + sources("scripts/*", "playbooks/roles/*/defaults/*")))
    faults = []
    for words in code(text):
        for found in re.finditer(r"(?<!\S)make((?: +[\w=./-]+)+)", words.partition("#")[0]):
            for word in found[1].split():
                name, assigned, _ = word.partition("=")
                if name not in (known if assigned else targets):
                    faults.append(f"make {word}")
    return faults


def dead_links(page: Path, text: str) -> list[str]:
    """Links within the repository without a file, or without the heading that they name."""
    faults = []
    for path, heading in LINK.findall(text):
        if "://" in path:
            continue
        target = page.parent / path if path else page
        if not target.exists():
            faults.append(path)
        elif heading and heading not in headings(target.read_text()):
            faults.append(f"{path}#{heading}")
    return faults


def headings(text: str) -> set[str]:
    """The anchors of a page's headings, as code hosts make them."""
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@each_page
def test_every_path_that_a_page_names_is_there(page: Path) -> None:
    assert lost_paths(page.read_text()) == []


@each_page
def test_every_target_and_variable_that_a_page_names_is_known(page: Path) -> None:
    assert unknown_targets(page.read_text()) == []


@each_page
def test_every_link_leads_somewhere(page: Path) -> None:
    assert dead_links(page, page.read_text()) == []


@each_page
def test_every_file_of_an_environment_that_a_page_names_is_one_that_is_written(page: Path) -> None:
    written = sources("playbooks/plugins/module_utils/rollout/*.py")
    named = {name.rstrip(".") for words in code(page.read_text()) for name in OF_A_RUN.findall(words)}
    assert [name for name in sorted(named) if f'"{name}"' not in written and f"{name}/" not in written] == []


def test_what_is_not_there_is_found(tmp_path: Path) -> None:
    text = "# A page\n`scripts/nothing`, `make coffee PROT=1`, [a](nowhere.md), [b](#another-page)\n"
    assert lost_paths(text) == ["scripts/nothing"]
    assert unknown_targets(text) == ["make coffee", "make PROT=1"]
    page = tmp_path / "page.md"
    page.write_text(text)
    assert dead_links(page, text) == ["nowhere.md", "#another-page"]


def test_the_readme_names_every_page() -> None:
    linked = {path for path, _ in LINK.findall((ROOT / "README.md").read_text())}
    pages = {str(page.relative_to(ROOT)) for page in PAGES} - {"README.md"}
    reached = linked | {
        f"docs/{path}" for path, _ in LINK.findall((ROOT / "docs/architecture.md").read_text())
    }
    assert pages - reached == set()


@pytest.mark.parametrize(
    ("kind", "table"),
    [(service.Service, 0), (service.Process, 1), (service.Health, 2)],
    ids=["service", "process", "health"],
)
def test_the_service_file_s_page_has_each_key_and_says_which_are_required(kind: type, table: int) -> None:
    section = (ROOT / "docs/service-file.md").read_text().partition("## Keys")[2].partition("\n## ")[0]
    rows = re.findall(r"(?:^\|.*\n)+", section, re.MULTILINE)[table].splitlines()[2:]
    documented = {row.split("|")[1].strip(" `"): row.split("|")[3].strip() == "error" for row in rows}
    real = {each.name: each.default is MISSING and each.default_factory is MISSING for each in fields(kind)}
    assert documented == real


def test_the_example_of_a_service_file_is_one(tmp_path: Path) -> None:
    page = (ROOT / "docs/service-file.md").read_text()
    example = tmp_path / "service.yml"
    example.write_text(re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)[0])
    assert service.load(example).name == "shop"


def test_the_steps_of_the_page_are_those_of_the_playbook() -> None:
    page = (ROOT / "docs/rollout.md").read_text()
    told = re.findall(r"^\| (\w+) \|.*\| `playbooks/.*/(\w+)\.yml` \|$", page, re.MULTILINE)
    assert [step for step, _ in told] == [file for _, file in told]
    playbook = (ROOT / "playbooks/deploy.yml").read_text()
    before = re.findall(r"'(\w+)'", str(yaml.safe_load(playbook)[0]["tasks"][0]["loop"]))
    assert [step for step, _ in told] == [*before, "switch", "verify", "record"]


def test_the_defaults_of_the_page_are_those_of_the_role() -> None:
    page = (ROOT / "docs/rollout.md").read_text()
    told = re.findall(r"^\| `(ROLLOUT_\w+_SECONDS|KEEP)` \|.*\| (\d+) \|$", page, re.MULTILINE)
    role = (ROOT / "playbooks/roles/rollout/defaults/main.yml").read_text()
    read = re.findall(r"lookup\('env', '(\w+)'\) \| default\('(\d+)'", role)
    assert sorted(told) == sorted(read)


def test_every_line_of_failure_on_the_page_is_one_that_can_be_said() -> None:
    section = (ROOT / "docs/rollout.md").read_text().partition("## What each failure means")[2]
    said = sources("playbooks/plugins/**/*.py", "scripts/*")
    fragments = re.findall(r"^\| [\w, ]+ \| `([^`]+)` \|", section, re.MULTILINE)
    assert len(fragments) > 20
    assert [fragment for fragment in fragments if fragment not in said] == []
