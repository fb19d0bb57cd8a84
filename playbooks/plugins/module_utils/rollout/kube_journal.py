"""What is written on a cluster about its rollouts: ConfigMaps in the service's namespace, labelled `rollout/kind`.

rollout          `current`: the release that serves; `rollout`: the one under way (a lease without an owner: it was
                 killed); `history`: a line for each that ended
release-NUMBER   all objects of a rollout as they were applied, gzipped: what undo and rollback go back to. Secrets are
                 in none of them: they name one, whose name tells its content
said-NUMBER      what the pods of a rollout said that was undone (kube_said)
"""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

from .kube import Cluster, Thing, uncontested

NAME = "rollout"
HISTORY_LINES = 500
KIND = "rollout/kind"


class Journal:
    """Of one namespace. Whoever writes holds the lease; writes are compare and swap all the same."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    @property
    def current(self) -> dict[str, Any] | None:
        """{"version", "number", "previous", "since", "settings", "image"}."""
        return self._read("current")  # type: ignore[no-any-return]

    @property
    def rollout(self) -> dict[str, Any] | None:
        return self._read("rollout")  # type: ignore[no-any-return]

    @property
    def history(self) -> list[dict[str, Any]]:
        """Every rollout that ended, oldest first."""
        return [json.loads(line) for line in self._data().get("history", "").splitlines()]

    def begin(self, rollout: dict[str, Any]) -> None:
        self._write(rollout=json.dumps(rollout))

    def note(self, **changes: Any) -> None:
        """Add to what is written about the rollout under way."""
        self.begin((self.rollout or {}) | changes)

    def forget_rollout(self) -> None:
        self._write(rollout="")

    def settle(self, current: dict[str, Any], line: dict[str, Any]) -> None:
        """Make a release the one that serves, and tell so: from here on nothing is undone any more."""
        self._write(current=json.dumps(current), history=self._with(line))

    def recall(self, current: dict[str, Any]) -> None:
        """Write down anew what serves."""
        self._write(current=json.dumps(current))

    def remember(self, line: dict[str, Any]) -> None:
        self._write(history=self._with(line))

    def keep(self, number: int, version: str, objects: list[Thing]) -> None:
        """Keep the objects of a rollout."""
        packed = base64.b64encode(gzip.compress(json.dumps(objects).encode(), mtime=0)).decode()
        self._cluster.apply(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {
                    "name": f"release-{number}",
                    "labels": {KIND: "record"},
                    "annotations": {"rollout/version": version},
                },
                "data": {"objects": packed},
            }
        )

    def objects(self, number: int) -> list[Thing] | None:
        """The objects of a rollout, or None when they are not kept any more."""
        kept = self._cluster.get("ConfigMap", f"release-{number}")
        return json.loads(gzip.decompress(base64.b64decode(kept["data"]["objects"]))) if kept else None

    def forget(self, numbers: set[int]) -> None:
        for number in numbers:
            self._cluster.delete("ConfigMap", f"release-{number}")

    def kept(self) -> dict[int, str]:
        """The versions whose objects are kept, by the number of their rollout."""
        return {
            int(each["metadata"]["name"].removeprefix("release-")): each["metadata"]["annotations"][
                "rollout/version"
            ]
            for each in self._cluster.every("ConfigMap", f"{KIND}=record")
            if each["metadata"]["name"].startswith("release-")
        }

    def served(self) -> dict[str, int]:
        """The rollout with which each version served last, of those that are kept."""
        kept, current = self.kept(), self.current
        done = [line["number"] for line in self.history if line["outcome"] == "done"]
        done += [current["number"]] if current else []
        return {kept[number]: number for number in sorted(done) if number in kept}

    def last(self) -> int:
        """The highest number that anything here is of."""
        said = [each for each in (self.current, self.rollout, *self.history) if each]
        known: list[int] = [0, *self.kept(), *(each["number"] for each in said)]
        return max(known)

    def _with(self, line: dict[str, Any]) -> str:
        """The history with one more line."""
        lines = [*self._data().get("history", "").splitlines(), json.dumps(line)]
        return "\n".join(lines[-HISTORY_LINES:]) + "\n"

    def _data(self) -> dict[str, str]:
        return (self._cluster.get("ConfigMap", NAME) or {}).get("data") or {}

    def _read(self, key: str) -> Any:
        text = self._data().get(key)
        return json.loads(text) if text else None

    def _write(self, **data: str) -> None:
        def write() -> None:
            if there := self._cluster.get("ConfigMap", NAME):
                self._cluster.replace(there | {"data": (there.get("data") or {}) | data})
            else:
                about = {"name": NAME, "labels": {KIND: "record"}}
                self._cluster.create(
                    {"apiVersion": "v1", "kind": "ConfigMap", "metadata": about, "data": data}
                )

        uncontested(write)
