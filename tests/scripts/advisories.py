"""Databases of advisories in the OSV format, made when a test runs: so they are of today."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any


def stamp(days: float = 0) -> str:
    """The time so many days ago, as OSV writes it."""
    return (datetime.now(UTC) - timedelta(days=days)).isoformat().replace("+00:00", "Z")


def advisory(id: str = "GHSA-1", package: str = "Some.Thing", days: float = 0, **more: Any) -> dict[str, Any]:
    """An entry; `events` or `versions` of `more` are of what it affects, from the first to before 2 by default."""
    affected = {
        "package": {"ecosystem": "PyPI", "name": package},
        "ranges": [
            {"type": "ECOSYSTEM", "events": events}
            for events in more.pop("ranges", [[{"introduced": "0"}, {"fixed": "2"}]])
        ],
        "versions": more.pop("versions", []),
    }
    return {"id": id, "modified": stamp(days), "affected": [affected]} | more


def database(folder: Path, *entries: dict[str, Any]) -> Path:
    """Write a folder of these entries."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, entry in enumerate(entries):
        (folder / f"{number}.json").write_text(json.dumps(entry))
    return folder
