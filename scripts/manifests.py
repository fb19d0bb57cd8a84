#!/usr/bin/env python3
"""What the policy linter Checkov found in the manifests and infra/exceptions.yml does not let pass.

usage: scripts/manifests.py REPORT    its report, in JSON
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from exceptions import Finding, left, refused, report


def findings(said: Path) -> list[Finding]:
    """Each broken rule of an object once, with the overlays in which it is. :raises ValueError: it tells not all."""
    told = json.loads(said.read_text(encoding="utf-8"))
    if unread := told["results"]["parsing_errors"]:
        raise ValueError(f"the policy linter cannot read {', '.join(unread)}")
    if skipped := sorted({each["resource"] for each in told["results"]["skipped_checks"]}):
        raise ValueError(f"{', '.join(skipped)}: an annotation skips a rule; say it in infra/exceptions.yml")
    rules: dict[tuple[str, str], str] = {}
    overlays: dict[tuple[str, str], set[str]] = {}
    for each in told["results"]["failed_checks"]:
        kind, _, name = each["resource"].split(".", 2)
        key = (each["check_id"], f"{kind}/{name}")
        rules[key] = each["check_name"]
        overlays.setdefault(key, set()).add(Path(each["file_path"]).stem)
    return [
        Finding(
            [f"{rule} {thing}", rule], f"{rule} {thing} ({', '.join(sorted(overlays[rule, thing]))}): {name}"
        )
        for (rule, thing), name in rules.items()
    ]


if __name__ == "__main__":
    sys.exit(report(lambda: left("policy", findings(Path(sys.argv[1]))) + refused(["policy"])))
