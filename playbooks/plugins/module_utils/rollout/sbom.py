"""What was put into an image, as a CycloneDX document beside the release's bundle; and whether it is what was locked.

Its form: https://cyclonedx.org/docs/1.6/json/
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from . import bundle
from .errors import RolloutError
from .files import read_json, write_atomically
from .pins import Pin, pinned

PYTHON = "python_full_version"
"""The document's property with the version of the image's Python, on which it depends what a lock asks for."""
INSTALLED = """
import platform
from importlib.metadata import distributions
print(platform.python_version())
print(*sorted(f"{each.name}=={each.version}" for each in distributions()), sep="\\n")
"""


def path_of(store: Path, name: str, version: str) -> Path:
    """Where the document of a release stands in a store."""
    return bundle.path_of(store, name, version).with_suffix(".cdx.json")


def write(store: Path, name: str, version: str, image: str, lock: str) -> Path:
    """Ask the image's own Python for its packages, and write them down. The base's are its publisher's to tell.

    :param lock: what they were installed from, with a check of the hashes.
    """
    asked = ["docker", "run", "--rm", "--network", "none", image, "python", "-c", INSTALLED]
    python, *installed = bundle.run(asked, "run `docker info`: the engine has to run what it built").split()
    hashes = {f"{pin.name}=={pin.version}": sorted(pin.hashes) for pin in pinned(lock)}
    listed = [
        " ".join([each, *(f"--hash=sha256:{one}" for one in hashes.get(_normal(*each.split("==")), []))])
        for each in installed
    ]
    tool = [str(Path(sys.executable).with_name("cyclonedx-py")), "requirements", "--output-reproducible", "-"]
    document = json.loads(bundle.run(tool, "run `scripts/venv ops`", input="\n".join(listed)))
    about = {"bom-ref": image, "type": "container", "name": name, "version": version}
    document["metadata"]["component"] = about
    document["metadata"]["properties"].append({"name": PYTHON, "value": python})
    path = path_of(store, name, version)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(document, indent=2) + "\n")
    return path


def _normal(name: str, version: str) -> str:
    return f"{canonicalize_name(name)}=={version}"


def verify(path: Path, name: str, version: str, lock: str) -> None:
    """Compare a document with the lock of its release. :raises RolloutError: it differs, and in what."""
    document = read_json(path)
    try:
        differences = list(_differences(document, name, version, lock))
    except (KeyError, TypeError, ValueError) as error:
        differences = [f"it is no list of an image's packages: {error!r}"]
    if differences:
        raise RolloutError(f"{path.name}: {', '.join(differences)}", "delete it and run `make image`")


def _differences(document: dict[str, Any], service: str, version: str, lock: str) -> Iterator[str]:
    metadata = document["metadata"]
    if metadata["component"]["name"] != service:
        yield f"it is of {metadata['component']['name']}"
    if metadata["component"]["version"] != version:
        yield f"it is of release {metadata['component']['version']}"
    properties = {each["name"]: each["value"] for each in metadata["properties"]}
    locked = {pin.name: pin for pin in pinned(lock) if _asked(pin, properties[PYTHON])}
    listed: dict[str, Any] = {canonicalize_name(each["name"]): each for each in document["components"]}
    names = Counter(canonicalize_name(each["name"]) for each in document["components"])
    yield from (f"{name} stands in it {often} times" for name, often in sorted(names.items()) if often > 1)
    for name in sorted(locked.keys() | listed.keys()):
        if name not in listed:
            yield f"{name} {locked[name].version} is missing"
        elif name not in locked:
            yield f"{name} {listed[name]['version']} is not locked"
        elif listed[name]["version"] != locked[name].version:
            yield f"{name} is {listed[name]['version']} and locked is {locked[name].version}"
        elif _hashes(listed[name]) != locked[name].hashes:
            yield f"{name} {locked[name].version} has other hashes than are locked"


def _asked(pin: Pin, python: str) -> bool:
    """Whether an image with this Python gets it."""
    linux = {"os_name": "posix", "platform_system": "Linux", "sys_platform": "linux"}
    told = {PYTHON: python, "python_version": ".".join(python.split(".")[:2]), **linux}
    return pin.marker is None or pin.marker.evaluate(told)


def _hashes(component: dict[str, Any]) -> set[str]:
    told = [each for reference in component["externalReferences"] for each in reference.get("hashes", [])]
    return {each["content"] for each in told if each["alg"] == "SHA-256"}
