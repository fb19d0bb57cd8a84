"""Starts every process of the slot that ROOT/current.json names: at boot, and when a request finds no web.

start.py ROOT NAME
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def main() -> None:
    root, name = Path(sys.argv[1]), sys.argv[2]
    try:
        slot = json.loads((root / "current.json").read_text())["slot"]
    except FileNotFoundError:
        print("no release serves here yet")
        return
    processes = json.loads((root / "slots" / slot / "slot.json").read_text())["processes"]
    units = [f"{name}-{process}@{slot}.service" for process in processes]
    print(f"starting {' '.join(units)}")
    # Without waiting: readiness may take longer than whoever started us, a boot or a request, should wait.
    subprocess.run(["systemctl", "start", "--no-block", *units], check=True)


if __name__ == "__main__":
    main()
