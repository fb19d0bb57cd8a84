"""Preflight of a release on a host: unpacked, installable, its settings complete. Nothing that a user could notice."""

from __future__ import annotations

import hashlib
import secrets
import shutil
from pathlib import Path

from . import bundle, contents
from .database import complaint, in_release
from .errors import RolloutError, counted
from .files import env_text, read_env, write_atomically
from .place import Place

UNPACKED_TIMES_BUNDLE = 5
SPARE_BYTES = 100_000_000


def fit_for(version: str, environment: str) -> None:
    """A release of uncommitted changes goes to dev only."""
    if "-dirty-" in version and environment != "dev":
        raise RolloutError(
            f"{version} holds uncommitted changes and may be rolled out to dev only",
            "commit them, then `make build` and deploy that",
        )


def keep_secrets(place: Place, given: dict[str, str], generate: list[str]) -> None:
    """Have the environment's secrets on this host: those given in place of what was there, or else invented ones.

    :param generate: names of secrets that nobody else needs to know (dev); those that are there stay.
    """
    file = place.root / "secrets.env"
    known = read_env(file) if file.exists() else {}
    missing = {name: secrets.token_urlsafe(48) for name in generate if name not in known}
    wanted = given or known | missing
    if wanted != known:
        write_atomically(file, env_text(wanted), 0o600)


def tell(place: Place, version: str, given: str, kind: str) -> None:
    """Write down the settings of the rollout under way.

    A deploy takes the environment's; a rollback those with which the release served last. Secrets are always today's.
    """
    kept, file = place.settings_file(version), place.settings_file("next")
    file.parent.mkdir(exist_ok=True)
    write_atomically(file, kept.read_text() if kind == "rollback" and kept.exists() else given)


def digest_of(settings: dict[str, str]) -> str:
    """What identifies a set of settings without telling them."""
    return hashlib.sha256(env_text(settings).encode()).hexdigest()[:16]


def unpack(place: Place, store: Path, name: str, version: str, *, mend: bool = True) -> str:
    """Have the release unpacked here, as it was built. Returns what was done, or has to be done unless `mend`."""
    into, source = place.release(version), bundle.path_of(store, name, version)
    if source.exists() or not into.exists():
        bundle.verify(source)
    wrong = contents.differing(into, every_byte=True) if into.exists() else None
    if wrong is None:
        _require_room(source, into.parent)
        bundle.unpack(source, into)
        return "unpacked"
    if not wrong:
        return "is here"
    files = f"{counted(len(wrong), 'changed file')} ({min(wrong)}{', ...' if len(wrong) > 1 else ''})"
    if not mend:
        return f"is here with {files}, which a deploy mends"
    fresh = into.with_name(f".{version}.partial") / version
    try:
        if set(wrong.values()) != {contents.STRAY}:
            bundle.verify(source)
            _require_room(source, into.parent)
            bundle.unpack(source, fresh)
        contents.mend(into, wrong, fresh if fresh.exists() else None)
    finally:
        shutil.rmtree(fresh.parent, ignore_errors=True)
    return f"is here, {files} mended"


def _require_room(source: Path, folder: Path) -> None:
    """Fail when the disk cannot take the bundle unpacked."""
    folder.mkdir(parents=True, exist_ok=True)
    needed = source.stat().st_size * UNPACKED_TIMES_BUNDLE + SPARE_BYTES
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise RolloutError(
            f"{folder} has {free // 10**6} MB free, the release needs {needed // 10**6}",
            "free space on that disk and run the command again",
        )


def check(place: Place, version: str, told: dict[str, str]) -> None:
    """Run the service's own check with the settings that it is going to get."""
    command = place.service(version).check
    done = in_release(place, version, ["/bin/sh", "-c", command], told, seconds=120)
    if done.returncode:
        raise RolloutError(
            f"the check of {version} failed: {complaint(done)}",
            "mend the settings or the release and deploy again",
        )
