#!/usr/bin/env python3
"""Releases: what one commit builds, and those that are kept. `make build` and `make releases` call this."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import yaml

CHECKOUT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(CHECKOUT / "playbooks/plugins/module_utils"))

from rollout import bundle, image, published, sbom, service, signature  # noqa: E402
from rollout.errors import RolloutError, line_of  # noqa: E402
from rollout.place import Place  # noqa: E402


@dataclass(frozen=True)
class Source:
    """What a release is made from. `epoch` is the commit's time in seconds since 1970."""

    version: str
    commit: str
    epoch: int
    files: list[str]


def git(*arguments: str, index: str | None = None) -> str:
    """Run git in the checkout and return what it says."""
    environment = os.environ | ({"GIT_INDEX_FILE": index} if index else {}) | {"TZ": "UTC"}
    try:
        return subprocess.run(
            ["git", *arguments], cwd=CHECKOUT, env=environment, check=True, text=True, capture_output=True
        ).stdout
    except FileNotFoundError as error:
        raise RolloutError("git is not installed", "install it and run the command again") from error
    except subprocess.CalledProcessError as error:
        words = error.stderr.strip().splitlines()[:1]
        raise RolloutError(
            f"{CHECKOUT} is not a usable git checkout ({words[0] if words else 'git failed'})",
            "a release is made from a commit: git clone the repository and work there",
        ) from error


def source() -> Source:
    """The release of the checkout as it stands: of its commit, or of that with uncommitted changes, which it says."""
    if git("rev-parse", "--show-toplevel").strip() != str(CHECKOUT):
        raise RolloutError(f"{CHECKOUT} is not a git checkout", "git clone the repository and work there")
    commit, epoch, date = git(
        "show", "-s", "--format=%H %ct %cd", "--date=format-local:%Y%m%d-%H%M%S", "HEAD"
    ).split()
    version = f"{date}-{commit[:12]}"
    if not git("status", "--porcelain"):
        return Source(
            version, commit, int(epoch), git("ls-tree", "-r", "--name-only", "-z", "HEAD").split("\0")[:-1]
        )
    with tempfile.TemporaryDirectory() as folder:
        index = f"{folder}/index"
        git("read-tree", "HEAD", index=index)
        git("add", "--all", index=index)
        tree = git("write-tree", index=index).strip()
        files = git("ls-files", "-z", index=index).split("\0")[:-1]
    return Source(f"{version}-dirty-{tree[:8]}", commit, int(epoch), files)


def build(store: Path) -> str:
    """Build the checkout's bundle, and its image where a registry is named."""
    made = build_bundle(store)
    return f"{made}\n{build_image(store)}" if registry() else made


def registry() -> str:
    """Where images are pushed to: REGISTRY, or what the environment's inventory names; "" for nowhere."""
    return os.environ.get("REGISTRY") or named("rollout_registry")


def named(variable: str) -> str:
    """What the environment's inventory says for all hosts; "" where it says nothing."""
    default = f"infra/inventories/{os.environ.get('ENV') or 'dev'}/hosts.yml"
    files = [CHECKOUT / name for name in (os.environ.get("INVENTORY") or default).split(",")]
    said = ""
    for file in files:  # a later one overrides what an earlier one says
        if file.suffix in (".yml", ".yaml") and file.exists():
            groups = yaml.safe_load(file.read_text()) or {}
            said = ((groups.get("all") or {}).get("vars") or {}).get(variable, said)
    return said


def build_bundle(store: Path) -> str:
    """Build the checkout's bundle, and sign it where SIGNING_KEY says with what, unless the store has that already.

    Where it was published it is not built but taken from there: every environment runs the same bytes.
    What is kept without a signature is built again before it is signed, to the same bytes where nobody touched it.
    """
    made_from, facts = source(), service.load(CHECKOUT / service.FILE)
    path, key = bundle.path_of(store, facts.name, made_from.version), os.environ.get("SIGNING_KEY", "")
    if folder := named("rollout_published"):
        published.fetch(Path(folder), path)
    if path.exists():
        bundle.verify(path)
        bundle.named(path)
        if not key or signature.path_of(path).exists():
            return f"{path} is there already"
    bundle.build(CHECKOUT, store, made_from.version, made_from.commit, made_from.epoch, made_from.files)
    if key:
        signature.sign(path, key, facts.name)
    return f"{path} ({path.stat().st_size / 1e6:.0f} MB{', signed' if key else ''})"


def build_image(store: Path) -> str:
    """Build the image of the checkout's release, list its packages, and push it where a registry is named.

    What the registry has already stays as it is: every environment runs the same bytes. Its list is made where the
    store has none.
    """
    made_from, facts, to = source(), service.load(CHECKOUT / service.FILE), registry()
    version = made_from.version
    there = bool(to and image.known(to, facts.name, version))
    if there:
        name = image.reference(to, facts.name, version)
    else:
        origin = git("config", "--default", "", "--get", "remote.origin.url").strip()
        name = image.build(CHECKOUT, version, made_from.commit, made_from.files, to, origin)
    if not (there and sbom.path_of(store, facts.name, version).exists()):
        sbom.write(store, facts.name, version, name, (CHECKOUT / facts.requirements).read_text())
    if to and not there:
        image.push(name)
    return f"{name} is there already" if there else name


def listing(store: Path, place: Place) -> list[str]:
    """A line for each release that can be rolled out or back to."""
    facts, current = service.load(CHECKOUT / service.FILE), place.current or {}
    marks = {current.get("previous"): "  previous", current.get("version"): "  running"}
    kept = bundle.stored(store, facts.name)
    return [f"{version}{marks.get(version, '')}" for version in kept] or [f"{store} keeps no release yet"]


def verify(store: Path) -> str:
    """Compare every kept bundle with its checksum and its name, and verify its signature where ENV has signers."""
    name, environment = service.load(CHECKOUT / service.FILE).name, os.environ.get("ENV") or "dev"
    kept, signers = bundle.stored(store, name), signature.signers(CHECKOUT, environment)
    for version in kept:
        path = bundle.path_of(store, name, version)
        bundle.verify(path)
        bundle.named(path)
        if signers is not None:
            signature.verify(path, signers, name, environment)
    signed = f", each signed by who may sign for {environment}" if signers is not None else ""
    return f"{len(kept)} bundles are as they were built{signed}"


def signer() -> str:
    """Let the key that SIGNING_KEY names sign for ENV."""
    environment, key = os.environ.get("ENV") or "dev", os.environ.get("SIGNING_KEY", "")
    if environment == "dev" or not (CHECKOUT / "infra/inventories" / environment).is_dir():
        raise RolloutError(
            f"nobody signs for {environment}", "name an environment: make signer ENV=staging SIGNING_KEY=FILE"
        )
    return signature.allow(CHECKOUT, environment, key, service.load(CHECKOUT / service.FILE).name)


def verify_lists(store: Path) -> str:
    """Compare every kept list of an image's packages with the lock that the image was made from."""
    facts = service.load(CHECKOUT / service.FILE)
    prefix, suffix = f"{facts.name}-", ".cdx.json"
    documents = sorted(store.glob(f"{prefix}[0-9]*{suffix}"))
    for document in documents:
        version = document.name.removeprefix(prefix).removesuffix(suffix)
        sbom.verify(document, facts.name, version, lock_of(store, facts, version))
    return f"{len(documents)} lists of packages are as their locks say"


def lock_of(store: Path, facts: service.Service, version: str) -> str:
    """What a release was locked to: as its bundle says, or its commit."""
    kept = bundle.path_of(store, facts.name, version)
    return (
        bundle.lock(kept) if kept.exists() else git("show", f"{version.split('-')[2]}:{facts.requirements}")
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "act",
        choices=["version", "build", "bundle", "image", "list", "verify", "sbom", "signer"],
        help=(
            "version: of this checkout; bundle: for hosts; image: for clusters, with the list of its packages, pushed "
            "to REGISTRY or where the environment's inventory says (rollout_registry); build: the bundle, and the "
            "image where there is such a registry; list: the kept ones; verify: the kept bundles' checksums, and their "
            "signatures where ENV has signers; sbom: the kept lists of packages, against the locks; signer: let "
            "SIGNING_KEY sign for ENV"
        ),
    )
    parser.add_argument(
        "--store",
        type=Path,
        default=Path(os.environ.get("RELEASES", CHECKOUT / ".run/releases")),
        help="the folder that keeps bundles (RELEASES)",
    )
    parser.add_argument(
        "--root",
        type=Path,
        default=Path(os.environ.get("ROLLOUT_ROOT", CHECKOUT / ".run/dev")),
        help="the environment whose running release is marked (ROLLOUT_ROOT)",
    )
    options = parser.parse_args()
    try:
        if options.act == "version":
            print(source().version)
        elif options.act == "build":
            print(build(options.store))
        elif options.act == "bundle":
            print(build_bundle(options.store))
        elif options.act == "image":
            print(build_image(options.store))
        elif options.act == "verify":
            print(verify(options.store))
        elif options.act == "signer":
            print(signer())
        elif options.act == "sbom":
            print(verify_lists(options.store))
        else:
            print("\n".join(listing(options.store, Place(options.root))))
    except (RolloutError, OSError) as error:
        print(f"error: {line_of(error, options.store)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("error: interrupted; run the command again when you like", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
