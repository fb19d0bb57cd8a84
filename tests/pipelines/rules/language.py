"""The language of the runners' files: what is not in language.yml may not be said, and what is has to be."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.pipelines.graph import loaded
from tests.pipelines.jenkinsfiles import Block, parsed

TABLE = Path(__file__).with_name("language.yml")
FOLDERS = (".github", "jenkins")
OF_ITS_PERSON = ("jenkins/.env", "jenkins/secrets/*")
"""Never committed."""
NAMES = ("uses", "run", "id", "name", "key", "package-ecosystem")
"""The key by which one of several is known."""
Tree = Mapping[str, Any]


def broken(root: Path) -> Iterator[str]:
    """A line for each word that a file may not have, or has not and needs."""
    table = loaded(TABLE)
    words, files = table["words"], table["files"]
    found = {
        str(file.relative_to(root)) for each in FOLDERS for file in (root / each).rglob("*") if file.is_file()
    }
    found -= {name for name in found for mine in OF_ITS_PERSON if Path(name).match(mine)}
    yield from (f"file: {name}: nobody knows what it does" for name in sorted(found - files.keys()))
    for name, may in files.items():
        if not (root / name).exists():
            yield f"missing: {name}"
            continue
        yield from _differ(Path(name).name, read(root / name), may, words)
    yield from _commits(root)


def _commits(root: Path) -> Iterator[str]:
    """An action is one commit, wherever it is used."""
    text = "\n".join(file.read_text() for file in sorted((root / ".github").rglob("*.yml")))
    used = Counter(uses.partition("@")[0] for uses in set(re.findall(r"uses: ([\w/-]+@\w+)", text)))
    yield from (f"unpinned: {action} is {number} commits" for action, number in used.items() if number > 1)


def _differ(where: str, told: Any, may: Any, words: Mapping[str, str]) -> list[str]:
    """A line for each difference between what a file says and what it may."""
    if isinstance(may, list):  # one of these
        tries = [_differ(where, told, each, words) for each in may]
        return min(tries, key=len)
    if not isinstance(may, dict):
        fits = _fits("" if told in (None, {}) else str(told), "" if may is None else str(may), words)
        return [] if fits else [f"value: {where}: {told}"]
    if not isinstance(told, dict):
        return [f"value: {where}: {told}"]
    lines = []
    for key, value in told.items():
        known = [word for word in may if _fits(key, word.removesuffix(" ?"), words)]
        if known:
            lines += _differ(f"{where} > {key}", value, may[known[0]], words)
        else:
            lines.append(f"unknown: {where}: {key}")
    for word in may:
        if not word.endswith(" ?") and not any(_fits(key, word, words) for key in told):
            lines.append(f"missing: {where}: {word}")
    return lines


def _fits(said: str, pattern: str, words: Mapping[str, str]) -> bool:
    """Whether words stand as a pattern has them, in which <word> is one of `words` and <a|b> either."""
    pieces = re.split(r"<([^<>]+)>", pattern)
    regex = "".join(
        f"(?:{words.get(piece, piece)})" if number % 2 else re.escape(piece)
        for number, piece in enumerate(pieces)
    )
    return re.fullmatch(regex, said) is not None


def read(file: Path) -> Tree:
    """A file as a tree of its words."""
    text = file.read_text()
    if file.name == "Makefile":
        return _targets(text)
    if file.suffix in (".yml", ".yaml"):
        return _keyed(loaded(file))  # type: ignore[no-any-return]
    if file.name.endswith("enkinsfile"):
        return _blocks(parsed(text))
    lines = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)).splitlines()
    return _counted((line, {}) for line in lines if line)


def _targets(text: str) -> Tree:
    """A Makefile's lines: below a target those of its recipe."""
    found: list[tuple[str, dict[str, Any]]] = []
    for line in text.splitlines():
        if line.startswith("\t"):
            found[-1][1][line[1:]] = {}
        elif line and not line.startswith("#"):
            found.append((re.sub(r" *##.*", "", line), {}))
    return _counted(iter(found))


def _keyed(told: Any) -> Any:
    """YAML in which a list is known by what its items are called; one of scalars is one value."""
    if isinstance(told, str) and re.search(r"\{$", told, re.MULTILINE):
        return _blocks(parsed(told))  # a script of jobs
    if isinstance(told, dict):
        return {"on" if key is True else str(key): _keyed(value) for key, value in told.items()}
    if not isinstance(told, list):
        return str(told).lower() if isinstance(told, bool) else told
    if not any(isinstance(each, dict) for each in told):
        return ", ".join(map(str, told))
    return _counted(map(_named, told))


def _named(item: Mapping[str, Any]) -> tuple[str, Any]:
    if name := next((name for name in NAMES if name in item), None):
        if "\n" not in str(item[name]):
            rest = {key: value for key, value in item.items() if key != name}
            return f"{name} {item[name]}", _keyed(rest)
        return name, _keyed(item)
    [(kind, value)] = item.items() if len(item) == 1 else [("", dict(item))]
    if isinstance(value, dict):
        name = next((name for name in NAMES if name in value), "")
        rest = {key: each for key, each in value.items() if key != name}
        return f"{kind} {value.get(name, '')}".strip(), _keyed(rest)
    if isinstance(value, list):
        return kind, _keyed(value)
    first = str(value).partition("\n")[0]
    return f"{kind} {first.rstrip('{ ')}", _keyed(value) if "\n" in str(value) else {}


def _blocks(block: Block) -> Tree:
    return _counted(
        (each.word + (each.said if each.said.startswith("(") else f" {each.said}").rstrip(), _blocks(each))
        for each in block.within
    )


def _counted(items: Iterator[tuple[str, Any]]) -> Tree:
    """What is said twice is two things."""
    found: dict[str, Any] = {}
    for name, value in items:
        while name in found:
            name += " again"
        found[name] = value
    return found
