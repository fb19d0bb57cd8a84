"""The folder that all who roll out share: a release's bundle is put there once, and everybody takes that one."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from . import bundle as bundles
from .errors import RolloutError
from .files import sha256

SUFFIXES = (".tar.sha256", ".tar.sig", ".tar")
"""A bundle appears last: whoever sees it has its checksum."""


def fetch(folder: Path, bundle: Path) -> bool:
    """Take a bundle, or only its signature, from the folder where the store has none. Returns whether it is there.

    :raises RolloutError: there is no such folder, its bundle is corrupt, or the store has another of that name.
    """
    if not folder.is_dir():
        raise RolloutError(
            f"{folder}, where releases are published, is no folder here",
            "mount it, make it, or name another (rollout_published in the inventory)",
        )
    there = folder / bundle.name
    if not there.exists():
        return False
    bundles.verify(there)
    if bundle.exists() and sha256(bundle) != sha256(there):
        raise RolloutError(
            f"{bundle} is not the one that {folder} has",
            "delete it and run the command again, which takes the published one",
        )
    _complete(there, bundle)
    return True


def publish(folder: Path, bundle: Path) -> None:
    """Put a bundle into the folder, or its signature where only that is missing there.

    :raises RolloutError: as `fetch` does.
    """
    fetch(folder, bundle)
    _complete(bundle, folder / bundle.name)
    fetch(folder, bundle)  # somebody who was faster may have put another


def _complete(source: Path, target: Path) -> None:
    """Copy what is missing of a bundle: each file whole or not at all, and never in the place of another."""
    target.parent.mkdir(parents=True, exist_ok=True)
    for suffix in SUFFIXES:
        missing, made = target.with_suffix(suffix), source.with_suffix(suffix)
        if missing.exists() or not made.exists():
            continue
        partial = missing.with_name(f".{missing.name}.{os.uname().nodename}.{os.getpid()}")
        try:
            shutil.copy(made, partial)
            os.link(partial, missing)
        except FileExistsError:
            continue  # somebody was faster
        finally:
            partial.unlink(missing_ok=True)
