#!/usr/bin/env python3
"""Secrets in the tracked files, and in what earlier commits held, as detect-secrets finds them.

usage: scripts/leaks.py tree|history

The secrets of .secrets.baseline are let pass. In the tree each of its files needs an exception; in the history their
values may stand anywhere, and an exception names a commit and a file.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
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


def git(*arguments: str) -> str:
    """What git says in the checkout, bytes that are no text replaced."""
    settings = ("-c", "core.quotePath=false", "-c", "diff.suppressBlankEmpty=false")
    done = subprocess.run(["git", *settings, *arguments], capture_output=True, check=False)
    if done.returncode:
        raise ValueError(f"git {arguments[0]}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout.decode(errors="replace")


def tracked() -> list[str]:
    return [name for name in git("ls-files", "-z").split("\0")[:-1] if name != str(BASELINE)]


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
    with transient_settings(told):
        if files:
            found.scan_files(*files)
    return found


def tree() -> list[str]:
    """What is refused of the tracked files, and of the baseline."""
    told = reviewed()
    known, found = SecretsCollection.load_from_baseline(told), scanned(told, tracked())
    remedy = "take it out and change it, or review it into .secrets.baseline"
    lines = [f"{file}:{one.line_number} {one.type}; {remedy}" for file, one in found - known]
    gone = "is there no more; take it out: detect-secrets scan --baseline .secrets.baseline"
    lines += [f"{BASELINE}: {one.type} of {file}:{one.line_number} {gone}" for file, one in known - found]
    why = "without an exception; say why it may: infra/exceptions.yml"
    return lines + left(
        "secrets", [Finding([file], f"{file} stands in {BASELINE} {why}") for file in sorted(told["results"])]
    )


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
    texts = [(Path(name).suffix, Path(name).read_bytes().decode(errors="replace")) for name in files]
    known = {(suffix, line.strip()) for suffix, text in texts for line in text.split("\n")}
    for commit, path, lines in added(
        git(*LOG, "--unified=0", "HEAD", "--", f":!{BASELINE}", *map(":!{}".format, YAML))
    ):
        suffix = Path(path).suffix
        new = [
            line
            for line in lines
            if (suffix, line.strip()) not in known and "\0" not in line and "\ufffd" not in line
        ]
        known.update((suffix, line.strip()) for line in new)
        if new:
            yield commit, path, "\n".join(new)
    whole = {text.rstrip("\n") for _, text in texts}
    for commit, path, lines in added(git(*LOG, "--unified=1000000", "HEAD", "--", *YAML)):
        text = "\n".join(lines).rstrip("\n")
        if text and text not in whole:
            whole.add(text)
            yield commit, path, text


def leaked(told: dict[str, Any]) -> Iterator[tuple[str, str, set[str]]]:
    """The commits and files in which secrets came in that are not there any more, and of which types they are."""
    with tempfile.TemporaryDirectory() as folder:
        parts = dict[str, None]()
        for commit, path, text in former([name for name in tracked() if Path(name).is_file()]):
            part = f"{commit}/{path.lstrip('/')}"
            Path(folder, part).parent.mkdir(parents=True, exist_ok=True)
            with Path(folder, part).open("a", encoding="utf-8") as file:
                file.write(f"{text}\n")
            parts[part] = None
        found = scanned(told, list(parts), folder)
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
