"""Which shell commands the scripts hold, and which of them a test executed.

The commands come from shfmt's syntax tree, what was executed from bash's own trace (trace.sh). A line counts
as executed when every command that begins on it was, so `test || die` needs a test in which it dies.
Not measured: the text of a trap's action, and a redirection without a command.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from os.path import normpath
from pathlib import Path
from typing import Any

from tests.coverage.lines import Line

Trace = dict[int, set[str]]
PLAIN = re.compile(r"[\w@%+:./\[-]+")
TRACED = re.compile(r"\++\x1f(?P<path>[^\x1f]*)\x1f(?P<line>\d+)\x1f(?P<text>.*)")
HASHED = re.compile(r"(?P<digest>[0-9a-f]{64})  (?P<path>.+)")


@dataclass(frozen=True)
class Command:
    """A simple command: the lines that bash may report for it, and the words by which a trace is known."""

    line: int
    first: int
    last: int
    words: tuple[str, ...]

    def traced(self, trace: Trace, beside: list[Command]) -> bool:
        """Whether the trace shows it; if it begins with an expansion, as what no command beside explains."""
        seen = [text for number in range(self.first, self.last + 1) for text in trace[number]]
        if self.words:
            return any(self.begins(text) for text in seen)
        return any(not any(other.words and other.begins(text) for other in beside) for text in seen)

    def begins(self, traced: str) -> bool:
        """Whether a traced command begins with these words."""
        if self.words[0].endswith("="):
            return re.match(re.escape(self.words[0][:-1]) + r"(\[.*?\])?\+?=", traced) is not None
        try:
            words = shlex.split(traced)
        except ValueError:  # an argument of several lines, of which this is the first
            words = traced.split()
        known = self.words[: len(words)]
        return tuple(words[: len(known)]) == known


def lines(root: Path, recordings: Path) -> list[Line]:
    """A line per line of root/scripts on which commands begin."""
    scripts = {path: path.read_bytes() for path in sorted((root / "scripts").glob("*")) if _is_bash(path)}
    traces = executed(recordings)
    found = []
    for path, content in scripts.items():
        trace = traces[path.name, hashlib.sha256(content).hexdigest()]
        commands = list(parse(content))
        unexecuted = {one.line for one in commands if not one.traced(trace, _beside(one, commands))}
        text = content.decode().splitlines()
        for number in sorted({one.line for one in commands}):
            name = path.relative_to(root).as_posix()
            found.append(Line("shell", name, number, text[number - 1], number not in unexecuted))
    return found


def _beside(command: Command, commands: list[Command]) -> list[Command]:
    return [one for one in commands if one.first <= command.last and one.last >= command.first]


def _is_bash(path: Path) -> bool:
    if not path.is_file():
        return False
    return path.suffix == ".sh" or re.match(rb"#!.*bash", path.read_bytes()) is not None


def executed(recordings: Path) -> defaultdict[tuple[str, str], Trace]:
    """What ran on each line of each version of each script, by (name, hash): clones have other folders."""
    found: defaultdict[tuple[str, str], Trace] = defaultdict(lambda: defaultdict(set))
    for file in sorted(recordings.glob("shell-*.trace")):
        folder, digests = "", dict[str, str]()
        for row in file.read_text(encoding="utf-8", errors="replace").splitlines():
            if match := TRACED.match(row):
                path = match["path"]
                digest = digests.get(normpath(f"{folder}/{path}")) or digests.get(normpath(path))
                if digest:
                    found[Path(path).name, digest][int(match["line"])].add(match["text"])
            elif row.startswith("cwd "):
                folder = row.removeprefix("cwd ")
            elif match := HASHED.fullmatch(row):
                path = match["path"]
                digests[normpath(path if path.startswith("/") else f"{folder}/{path}")] = match["digest"]
    return found


def parse(script: bytes) -> Iterator[Command]:
    """The simple commands of a bash script."""
    shfmt = subprocess.run(["shfmt", "--to-json"], input=script, capture_output=True, check=True)
    yield from _commands(json.loads(shfmt.stdout), (0, 0), None)


def _commands(node: Any, statement: tuple[int, int], within: tuple[int, int] | None) -> Iterator[Command]:
    """Commands below a node. `within`: the statement around a substitution; bash reports its last line."""
    if isinstance(node, list):
        for child in node:
            yield from _commands(child, statement, within)
    if not isinstance(node, dict):
        return
    if "Cmd" in node:
        statement = (node["Pos"]["Line"], node["End"]["Line"])
    words = _words(node)
    if words is not None:
        own = (node["Pos"]["Line"], node["End"]["Line"])
        first, last = within or own
        yield Command(own[0], first, last, words)
    for key, child in node.items():
        inside = within
        if key == "Hdoc" or (isinstance(child, list) and node.get("Type") in {"CmdSubst", "ProcSubst"}):
            inside = within or (statement[0], max(statement[1], _last_line(child)))
        yield from _commands(child, statement, inside)


def _last_line(node: Any) -> int:
    children = node if isinstance(node, list) else node.values() if isinstance(node, dict) else []
    own = node["End"]["Line"] if isinstance(node, dict) and "End" in node else 0
    return max([own, *map(_last_line, children)])


def _words(node: dict[str, Any]) -> tuple[str, ...] | None:
    """How the trace of a simple command begins, as far as no expansion changes it; None for another node."""
    match node:
        case {"Type": "CallExpr", "Args": [_, *_] as arguments}:
            plain = []
            for argument in arguments:
                text = _literal(argument)
                if text is None or not PLAIN.fullmatch(text):
                    break
                plain.append(text)
            return tuple(plain)
        case {"Type": "CallExpr", "Assigns": [{"Name": {"Value": name}}, *_]}:
            return (f"{name}=",)
        case {"Type": "DeclClause", "Variant": {"Value": variant}}:
            return (variant,)
        case {"Type": "TestClause"}:
            return ("[[",)
        case {"Type": "ArithmCmd"}:
            return ("((",)
        case {"Type": "LetClause"}:
            return ("let",)
    return None


def _literal(word: dict[str, Any]) -> str | None:
    parts = word.get("Parts", [])
    if len(parts) != 1 or parts[0].get("Type") not in {"Lit", "SglQuoted"}:
        return None
    value = parts[0].get("Value")
    return value if isinstance(value, str) else None
