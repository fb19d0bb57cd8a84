"""Tells what the processes of all hosts said (`rollout_logs`, registered as `rollout_said`), by time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from ansible.plugins.action import ActionBase

Said = list[tuple[float, str, str]]


def merged(hosts: dict[str, Said]) -> list[str]:
    """A line each: when, where if there are several hosts, who, what."""
    lines = sorted(
        (
            (at, f"{host} {who}" if len(hosts) > 1 else who, text)
            for host, said in hosts.items()
            for at, who, text in said
        ),
        key=lambda line: line[0],
    )
    wide = max((len(who) for _, who, _ in lines), default=0)
    return [
        f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%SZ}  {who:<{wide}}  {text}"
        for at, who, text in lines
    ]


class ActionModule(ActionBase):
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        variables = task_vars or {}
        result: dict[str, Any] = super().run(tmp, variables)
        hosts = variables["groups"]["fleet"]
        said = {host: variables["hostvars"][host].get("rollout_said", {}).get("said", []) for host in hosts}
        return result | {"report": merged(said) or ["nothing was said; SINCE=1d looks further back"]}
