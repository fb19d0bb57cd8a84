"""Keys that sign bundles, made for one test, and the lines that allow them to."""

import subprocess
from pathlib import Path


def made(folder: Path, who: str = "abebe", passphrase: str = "") -> Path:
    """A new key's file; the public one is beside it."""
    file = folder / who
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", who, "-f", str(file)], check=True
    )
    return file


def line(key: Path, options: str = "") -> str:
    """The line that lets a key sign."""
    kind, public, who = key.with_name(f"{key.name}.pub").read_text().split()
    return f"{who} {options} {kind} {public}\n"
