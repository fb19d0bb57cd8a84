"""What was put into an image, as a CycloneDX document beside the release's bundle.

Its form: https://cyclonedx.org/docs/1.6/json/
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from . import bundle
from .files import write_atomically

INSTALLED = """
from importlib.metadata import distributions
print(*sorted(f"{each.name}=={each.version}" for each in distributions()), sep="\\n")
"""


def path_of(store: Path, name: str, version: str) -> Path:
    """Where the document of a release stands in a store."""
    return bundle.path_of(store, name, version).with_suffix(".cdx.json")


def write(store: Path, name: str, version: str, image: str) -> Path:
    """Ask the image's own Python for its packages, and write them down. The base's are its publisher's to tell."""
    asked = ["docker", "run", "--rm", "--network", "none", image, "python", "-c", INSTALLED]
    installed = bundle.run(asked, "run `docker info`: the engine has to run what it built")
    tool = [str(Path(sys.executable).with_name("cyclonedx-py")), "requirements", "--output-reproducible", "-"]
    document = json.loads(bundle.run(tool, "run `scripts/venv ops`", input=installed))
    about = {"bom-ref": image, "type": "container", "name": name, "version": version}
    document["metadata"]["component"] = about
    path = path_of(store, name, version)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(document, indent=2) + "\n")
    return path
