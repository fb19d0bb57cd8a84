#!/usr/bin/env python3
"""Secrets in the tracked files, and in what earlier commits held, as detect-secrets finds them.

usage: scripts/leaks.py tree|history

The secrets of .secrets.baseline are let pass. In the tree each of its files needs an exception; in the history their
values may stand anywhere, and an exception names a commit and a file. A line with the tool's own mark (PRAGMA) is
passed over; how many a file of the tree has stands in an exception.
"""

from __future__ import annotations

import argparse
import codecs
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from detect_secrets.core.secrets_collection import SecretsCollection
from detect_secrets.settings import transient_settings
from exceptions import Finding, left, report

BASELINE = Path(".secrets.baseline")
HUNK = re.compile(r"@@ -\S+ \+\d+(?:,(\d+))? @@")
LOG = [
    "log", "--patch", "--reverse", "--topo-order", "--diff-merges=separate", "--no-renames", "--text",
    "--no-ext-diff", "--no-textconv", "--no-color", "--src-prefix=a/", "--dst-prefix=b/", "--format=commit %H",
]  # fmt: skip
YAML = ("*.yml", "*.yaml")
ESCAPED = "surrogateescape"
PRAGMA = re.compile(r"pragma: ?(?:allow|white)list[ -](?:nextline[ -])?secret")
HASHES = re.compile(r'("hashed_secret": )"[0-9a-f]{40}"')
"""What the baseline holds of secrets; everything else in it is looked at like any other file."""
IS_BASELINE = "detect_secrets.filters.common.is_baseline_file"
MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""How a text begins that is not UTF-8; the longer first, for one begins as another does."""


def git(*arguments: str) -> str:
    """What git says in the checkout; bytes that are no text are ESCAPED."""
    settings = ("-c", "core.quotePath=false", "-c", "diff.suppressBlankEmpty=false")
    done = subprocess.run(["git", *settings, *arguments], capture_output=True, check=False)
    if done.returncode:
        raise ValueError(f"git {arguments[0]}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout.decode(errors=ESCAPED)


def tracked() -> list[str]:
    return [name for name in git("ls-files", "-z").split("\0")[:-1] if Path(name).is_file()]


def text_of(content: bytes) -> str:
    """Bytes as a text in which nothing hides: by the mark that they begin with, as UTF-8, or a character a byte.

    A NUL may stand between two texts, or beside each character of one: they are read as both.
    """
    for mark, encoding in MARKS.items():
        if content.startswith(mark):
            return content.decode(encoding, errors="replace")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    return text if "\0" not in text else text.replace("\0", "") + "\n" + text.replace("\0", "\n")


def texts(files: list[str]) -> Iterator[tuple[str, str, bool]]:
    """Each file, its text without the hashes of the baseline, and whether that is what the tool itself would read."""
    for name in files:
        content = Path(name).read_bytes()
        text = text_of(content)
        text = HASHES.sub(r'\1""', text) if name == str(BASELINE) else text
        yield name, text, text.encode() == content


def reviewed() -> dict[str, Any]:
    """:raises ValueError: there is no baseline, or it cannot be read."""
    try:
        told: dict[str, Any] = json.loads(BASELINE.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise ValueError(f"{BASELINE} cannot be read; make one: detect-secrets scan >{BASELINE}") from error
    return told


def scanned(told: dict[str, Any], files: list[str], root: str = "") -> SecretsCollection:
    """Have the tool look at files, set up as the baseline was."""
    found = SecretsCollection(root=root)
    filters = [each for each in told["filters_used"] if each["path"] != IS_BASELINE]
    with transient_settings(told | {"filters_used": filters}):
        if files:
            found.scan_files(*files)
    return found


def written(folder: str, parts: Iterable[tuple[str, str]]) -> list[str]:
    """Put texts below a folder, those of the same name one after the other; the names."""
    names = dict[str, None]()
    for name, text in parts:
        Path(folder, name).parent.mkdir(parents=True, exist_ok=True)
        with Path(folder, name).open("a", encoding="utf-8") as file:
            file.write(f"{text}\n")
        names[name] = None
    return list(names)


def tree() -> list[str]:
    """What is refused of the tracked files, and of the baseline."""
    told, read = reviewed(), list(texts(tracked()))
    known, found = (
        SecretsCollection.load_from_baseline(told),
        scanned(told, [name for name, _, plain in read if plain]),
    )
    remedy = "take it out and change it, or review it into .secrets.baseline"
    lines = [f"{file}:{one.line_number} {one.type}; {remedy}" for file, one in found - known]
    gone = "is there no more; take it out: detect-secrets scan --baseline .secrets.baseline"
    lines += [f"{BASELINE}: {one.type} of {file}:{one.line_number} {gone}" for file, one in known - found]
    why = "without an exception; say why it may: infra/exceptions.yml"
    findings = [Finding([file], f"{file} stands in {BASELINE} {why}") for file in sorted(told["results"])]
    with tempfile.TemporaryDirectory() as folder:
        parts = written(folder, [(name, text) for name, text, plain in read if not plain])
        for file, one in scanned(told, parts, folder):
            findings.append(
                Finding([file], f"{file}:{one.line_number} {one.type}; take it out and change it")
            )
    marked = {name: sum(map(bool, map(PRAGMA.search, text.split("\n")))) for name, text, _ in read}
    passed_over = [
        Finding([f"{name} {count}"], f"{name} {count}: lines that a pragma lets pass, {why}")
        for name, count in marked.items()
        if count
    ]
    return lines + left("secrets", findings) + left("pragmas", passed_over)


def added(said: str) -> Iterator[tuple[str, str, list[str]]]:
    """The commits and files of a log with patches, and the lines that stand in each patch's new side."""
    commit, path, missing, lines = "", "", 0, list[str]()
    for line in said.split("\n"):
        if missing:
            if line[:1] in ("+", " "):
                lines.append(line[1:])
                missing -= 1
        elif line.startswith("commit "):
            yield commit, path, lines
            commit, path, lines = line.removeprefix("commit "), "", []
        elif line.startswith("+++ "):
            yield commit, path, lines
            path, lines = line[4:].rstrip("\t").strip('"').removeprefix("b/"), []
        elif hunk := HUNK.match(line):
            missing = int(hunk[1] or 1)
    yield commit, path, lines


def former(files: list[str]) -> Iterator[tuple[str, str, str]]:
    """The commits, files and texts that are in the history and not in the tree, each once and where it came in.

    By the line, which is quick; of YAML by the whole file, which the tool has to read as such.
    """
    there = [(Path(name).suffix, Path(name).read_bytes().decode(errors=ESCAPED)) for name in files]
    known = {(suffix, line.strip()) for suffix, text in there for line in text.split("\n")}
    for commit, path, lines in added(git(*LOG, "--unified=0", "HEAD", "--", *map(":!{}".format, YAML))):
        suffix = Path(path).suffix
        new = [line for line in lines if (suffix, line.strip()) not in known]
        known.update((suffix, line.strip()) for line in new)
        if path == str(BASELINE):
            new = [HASHES.sub(r'\1""', line) for line in new]
        if new:
            yield commit, path, "\n".join(text_of(line.encode(errors=ESCAPED)) for line in new)
    whole = {text.rstrip("\n") for _, text in there}
    for commit, path, lines in added(git(*LOG, "--unified=1000000", "HEAD", "--", *YAML)):
        text = "\n".join(lines).rstrip("\n")
        if text and text not in whole:
            whole.add(text)
            yield commit, path, text_of(text.encode(errors=ESCAPED))


def leaked(told: dict[str, Any]) -> Iterator[tuple[str, str, set[str]]]:
    """The commits and files in which secrets came in that are not there any more, and of which types they are."""
    with tempfile.TemporaryDirectory() as folder:
        parts = written(
            folder,
            ((f"{commit}/{path.lstrip('/')}", text) for commit, path, text in former(tracked())),
        )
        found = scanned(told, parts, folder)
    values = {one["hashed_secret"] for each in told["results"].values() for one in each}
    seen = set[tuple[str, str]]()
    for part in parts:
        commit, _, path = part.partition("/")
        new = [
            one
            for one in found[part]
            if one.secret_hash not in values and (path, one.secret_hash) not in seen
        ]
        seen.update((path, one.secret_hash) for one in new)
        if new:
            yield commit[:12], path, {one.type for one in new}


def history() -> list[str]:
    """What is refused of the commits that lead to this one."""
    if git("rev-parse", "--is-shallow-repository").strip() == "true":
        raise ValueError("the clone is shallow, so its history cannot be seen; run `git fetch --unshallow`")
    remedy = "revoke what it opens, then except it: infra/exceptions.yml"
    findings = [
        Finding([f"{commit} {path}"], f"{commit} {path}: {', '.join(sorted(types))}; {remedy}")
        for commit, path, types in leaked(reviewed())
    ]
    return left("history", findings)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("where", choices=["tree", "history"])
    sys.exit(report({"tree": tree, "history": history}[parser.parse_args().where]))
