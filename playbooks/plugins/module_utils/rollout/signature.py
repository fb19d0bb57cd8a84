"""Who made a bundle: OpenSSH's detached signatures, made and verified by `ssh-keygen -Y`.

Who may sign for an environment stands in a file of the checkout, as ssh-keygen(1) says under ALLOWED SIGNERS. Where
there is none, nobody has to sign.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from . import bundle
from .errors import RolloutError
from .files import write_atomically

SIGNERS = "infra/signers"
HEAD = '# Who may sign bundles. A key that may not any more keeps its line, with an end: valid-before="20270101Z"\n'
KEY_TYPES = ("ssh-", "ecdsa-", "sk-")
REMEDIES = {
    "are too open": "take it from everybody else: chmod 600",
    "incorrect passphrase": "type the right one at a terminal, or `ssh-add` the key and name its .pub",
    "for public key": "give the key to the agent: ssh-add, or name the private key's own file",
}
"""What to do, by ssh-keygen's words."""


def path_of(path: Path) -> Path:
    """Where the signature of a bundle stands."""
    return path.with_suffix(".tar.sig")


def namespace(name: str) -> str:
    """What a signature of a service's bundles is for, so that none made for something else counts."""
    return f"release@{name}"


def signers(checkout: Path, environment: str) -> str | None:
    """The text that says who may sign for an environment; None where nobody has to."""
    file = checkout / SIGNERS / environment
    return file.read_text() if os.path.lexists(file) else None


def sign(path: Path, key: str, name: str) -> None:
    """Write the signature beside a bundle.

    :param key: the file of a private key, or of a public one whose other half an agent holds. It is told in no error
        before it is known to be a file's name: it may be the key itself.
    """
    file = os.path.expanduser(key)
    if not os.path.isfile(file):
        raise RolloutError(
            "SIGNING_KEY names no file",
            "give the path of a private key; `ssh-keygen -t ed25519 -f FILE` makes one",
        )
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        link = Path(folder) / path.name
        link.symlink_to(path.resolve())
        # A passphrase is asked for at a terminal, but never behind the back of a stage whose output is followed.
        away = not os.isatty(0)
        done = _keygen("sign", "-f", file, "-n", namespace(name), str(link), start_new_session=away)
        if done.returncode:
            lines = done.stderr.replace("Enter passphrase: ", "").splitlines() or ["no word why"]
            known = [(line, REMEDIES[words]) for line in lines for words in REMEDIES if words in line]
            why, remedy = known[0] if known else (lines[-1], "name a private key that ssh-keygen can read")
            raise RolloutError(f"{path.name} cannot be signed with {file}: {why}", remedy)
        path_of(link).replace(path_of(path))


def verify(path: Path, allowed: str, name: str, environment: str) -> str:
    """Verify a bundle's checksum, and that its signature is by who may sign now. Returns who that is.

    :param allowed: what `signers` returned.
    """
    bundle.verify(path)
    signature, said = path_of(path), f"{SIGNERS}/{environment}"
    lines = allowed.splitlines()
    if not any(line.strip() and not line.lstrip().startswith("#") for line in lines):
        raise RolloutError(
            f"{said} names nobody who may sign", f"add a key: make signer ENV={environment} SIGNING_KEY=FILE"
        )
    if not signature.exists():
        raise RolloutError(
            f"{path} has no signature beside it",
            "run `make build SIGNING_KEY=FILE` at its commit, or fetch that",
        )
    with tempfile.NamedTemporaryFile("w") as listed, path.open("rb") as content:
        listed.writelines(f"{line.strip() or '#'}\n" for line in lines)  # of an empty one it complains
        listed.flush()
        found = _keygen("find-principals", "-f", listed.name, "-s", str(signature))
        who = found.stdout.partition("\n")[0]
        act = ["verify", "-f", listed.name, "-I", who] if who else ["check-novalidate"]
        done = _keygen(*act, "-n", namespace(name), "-s", str(signature), stdin=content)
    if who and not done.returncode:
        return who
    words = done.stderr.splitlines()
    if not done.returncode:
        key = done.stdout.strip().rpartition(" with ")[2]
        words = [*found.stderr.splitlines()[:-1], f"nobody who may sign now has its {key}"]
    raise RolloutError(
        f"{path}: its signature for {namespace(name)} does not verify: "
        + ", ".join(words).replace(listed.name, said),
        "delete it with the .sig and run `make build SIGNING_KEY=FILE` at its commit, or fetch both again",
    )


def allow(checkout: Path, environment: str, key: str, name: str) -> str:
    """Add a key to those that may sign for an environment, under the name that its comment says."""
    public = f"{os.path.expanduser(key.removesuffix('.pub'))}.pub"
    words = Path(public).read_text().split() if os.path.isfile(public) else []
    if len(words) < 2 or not words[0].startswith(KEY_TYPES):
        raise RolloutError(
            "SIGNING_KEY has no public key beside it",
            "`ssh-keygen -y -f FILE >FILE.pub` makes it, then name FILE",
        )
    file, known = checkout / SIGNERS / environment, signers(checkout, environment) or HEAD
    who = words[2] if len(words) > 2 else "signer"
    if words[1] in known:
        return f"{file} has this key already"
    file.parent.mkdir(exist_ok=True)
    line = f'{who} namespaces="{namespace(name)}" {words[0]} {words[1]}'
    write_atomically(file, f"{known.rstrip()}\n{line}\n")
    return f"{file}: {who} may sign, and hosts take no bundle that nobody in it signed; commit it"


def _keygen(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["ssh-keygen", "-Y", *arguments], capture_output=True, text=True, check=False, **options
        )
    except FileNotFoundError as error:
        raise RolloutError(
            "there is no ssh-keygen here", "install OpenSSH's client (Debian: apt install openssh-client)"
        ) from error
