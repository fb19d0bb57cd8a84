"""A release for containers: an image of what its bundle holds, and a list (SBOM) of what was put into it.

Its context is the unpacked bundle, so a host and a container run the same bytes. https://github.com/opencontainers/image-spec
says what its labels mean, https://cyclonedx.org/docs/1.6/json/ what the SBOM does.
"""

from __future__ import annotations

import json
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from . import bundle, service
from .errors import RolloutError
from .files import write_atomically

DOCKERFILE = "infra/docker/Dockerfile"
START = "infra/docker/start.py"
NAMES_OF_PACKAGES = (
    "import importlib.metadata as m; "
    "print(*sorted({f'{d.name.lower()}=={d.version}' for d in m.distributions(path=__import__('sys').path[-1:])}), sep='\\n')"
)


@dataclass(frozen=True)
class Image:
    """What was built. `digest` is the registry's (its own id while it is in no registry), `size` in bytes."""

    name: str
    digest: str
    size: int
    sbom: Path


def name_of(facts: service.Service, version: str, registry: str) -> str:
    """The name under which engines know the image of a release."""
    return f"{registry.rstrip('/')}/{facts.name}:{version}".removeprefix("/")


def without_credentials(url: str) -> str:
    """The address of a repository as everybody may read it: no user, password, query or fragment."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", "")) if parts.netloc else url


def build(packed: Path, tree: Path, registry: str, source: str) -> Image:
    """Make the image of a bundle, push it where a registry is named, and write its SBOM beside the bundle.

    :param tree: a folder with the commit's `infra/docker`.
    :param source: the repository's address, for the image's label.
    """
    bundle.verify(packed)
    # Beside the bundle: the temporary folder of a machine may be small.
    with tempfile.TemporaryDirectory(prefix=".image-", dir=packed.parent) as folder:
        context = Path(folder)
        with tarfile.open(packed) as tar:
            bundle.extract(tar, context)
        manifest = json.loads((context / bundle.MANIFEST).read_text())
        facts = service.load(context / "service.yml")
        (context / "service.json").write_text(json.dumps(asdict(facts), sort_keys=True))
        (context / "static").mkdir(exist_ok=True)
        shutil.copy(bundle.uv(), context / "uv")
        (context / START).parent.mkdir(parents=True)
        for name in (DOCKERFILE, f"{DOCKERFILE}.dockerignore", START):
            shutil.copy(tree / name, context / name)
        name = name_of(facts, manifest["version"], registry)
        _docker_build(context, name, {
            "SETTINGS_MODULE": facts.settings_module,
            "PORT": str(facts.port),
            "VERSION": manifest["version"],
            "REVISION": manifest["commit"],
            "SOURCE": without_credentials(source),
        })  # fmt: skip
    digest = push(name) if registry else docker("image", "inspect", "--format", "{{.Id}}", name).strip()
    size = int(docker("image", "inspect", "--format", "{{.Size}}", name))
    sbom = packed.with_suffix(".cdx.json")
    write_atomically(sbom, components(name))
    return Image(name, digest, size, sbom)


def _docker_build(context: Path, name: str, told: Mapping[str, str]) -> None:
    words = ["build", "--quiet", "--file", str(context / DOCKERFILE), "--tag", name]
    words += [word for key, value in told.items() for word in ("--build-arg", f"{key}={value}")]
    docker(*words, str(context), remedy=f"mend {DOCKERFILE}, or see more: docker build --progress plain")


def push(name: str) -> str:
    """Push an image; the digest that the registry knows it by."""
    registry = name.partition("/")[0]
    docker("push", "--quiet", name, remedy=f"see that the registry {registry} answers and that you may write there")
    known: list[str] = json.loads(docker("image", "inspect", "--format", "{{json .RepoDigests}}", name))
    repository = name.rpartition(":")[0]
    return next(each.partition("@")[2] for each in known if each.partition("@")[0] == repository)


def components(name: str) -> str:
    """A CycloneDX document of the packages that are in an image, as its own Python finds them."""
    options = ["--rm", "--network", "none", "--entrypoint", "python"]
    installed = docker("run", *options, name, "-c", NAMES_OF_PACKAGES)
    tool = [str(Path(sys.executable).with_name("cyclonedx-py")), "requirements", "--output-reproducible"]
    return bundle.run([*tool, "--output-format", "JSON", "-"], "run `scripts/venv ops`", "the SBOM", input=installed)


def docker(*words: str, remedy: str = "") -> str:
    """Run the engine's client. Its last line of complaint becomes the error."""
    try:
        return bundle.run(["docker", *words], remedy, f"docker {words[0]}")
    except FileNotFoundError as error:
        raise RolloutError("there is no docker here", "install an engine's client, or set PATH") from error
    except RolloutError as error:
        if "Cannot connect to the Docker daemon" in str(error) or "failed to connect" in str(error):
            raise RolloutError("no Docker engine answers", "start one, or name another: DOCKER_HOST=...") from error
        raise
