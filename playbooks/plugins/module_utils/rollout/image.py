"""The image of a release: built from the commit's files and the same lock as its bundle, pushed by its version."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import yaml

from . import service
from .bundle import BUILD_SETTINGS, unserved
from .errors import RolloutError
from .files import env_text, read_env

FOLDER = "infra/docker"
BUILD_SECONDS = 1800


def reference(registry: str, name: str, version: str) -> str:
    """What an image is called; without a registry it stays on this machine."""
    return f"{registry}/{name}:{version}" if registry else f"{name}:{version}"


def build(checkout: Path, version: str, commit: str, files: Iterable[str], registry: str, source: str) -> str:
    """Build the image on this machine. Returns what it is called.

    :param registry: where it is to be pushed to, or "".
    :param source: where the repository is, or "".
    """
    facts = service.load(checkout / service.FILE)
    name = reference(registry, facts.name, version)
    told = {
        "REQUIREMENTS": facts.requirements,
        "APP": facts.app,
        "STATIC": facts.static,
        "VERSION": version,
        "COMMIT": commit,
        "SOURCE": without_credentials(source),
        "SETTINGS_MODULE": facts.settings_module,
        "NAME": facts.name,
    }
    with tempfile.TemporaryDirectory() as folder:
        context = Path(folder)
        for each in files:
            if each.startswith(f"{facts.app}/") or each == facts.requirements:
                (context / each).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(checkout / each, context / each)
        shutil.copy(checkout / FOLDER / "start.py", context)
        text = json.dumps(yaml.safe_load((checkout / service.FILE).read_text()))
        (context / "start.json").write_text(text)
        settings = unserved(
            facts, read_env(checkout / BUILD_SETTINGS), Path("/srv/venv/bin"), Path("/nowhere")
        )
        (context / "build.env").write_text(env_text(settings))
        # Whatever the umask: another user reads them in the image, and its bytes are the commit's alone.
        for path in context.rglob("*"):
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        arguments = [word for key, value in told.items() for word in ("--build-arg", f"{key}={value}")]
        _docker(
            [
                "build",
                "--progress=plain",
                "--file",
                str(checkout / FOLDER / "Dockerfile"),
                "--tag",
                name,
                *arguments,
                folder,
            ],
            f"the image {name} cannot be built",
        )
    return name


def push(name: str) -> None:
    """Bring an image to the registry of its name."""
    _docker(["push", "--quiet", name], f"{name} cannot be pushed")


def without_credentials(url: str) -> str:
    """An address without the user and password that a clone may have been made with."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])) if parts.scheme else url


def pushed(registry: str, name: str, version: str, architectures: set[str]) -> str:
    """The pushed image of a release, by its digest.

    :raises RolloutError: the registry does not answer, has no such image, or has it for other machines only.
    """
    found = known(registry, name, version)
    if not found:
        raise RolloutError(
            f"{registry} has no image {name}:{version}",
            "`make history` tells what was rolled out; without VERSION this commit's is built",
        )
    images = found["image"] if "architecture" not in found["image"] else {"": found["image"]}
    built = {each["architecture"] for each in images.values()}
    if not architectures <= built:
        raise RolloutError(
            f"{name}:{version} is built for {', '.join(sorted(built))}, nodes are {', '.join(sorted(architectures))}",
            "build it on, or for, such a machine",
        )
    return f"{registry}/{name}@{found['manifest']['digest']}"


def known(registry: str, name: str, version: str) -> dict[str, Any] | None:
    """What a registry says of the image of a release; None where it has none. :raises RolloutError: it says nothing."""
    done = _run(
        ["buildx", "imagetools", "inspect", "--format", "{{json .}}", reference(registry, name, version)], 60
    )
    if not done.returncode:
        return dict(json.loads(done.stdout))
    words = (done.stderr.strip().splitlines() or ["nothing was said"])[-1].removeprefix("ERROR: ")
    if "not found" in words:
        return None
    remedy = "write it as host:port or host/path, lower case, without http://"
    raise RolloutError(
        f"the registry {registry} cannot be asked for {name}:{version}: {words}",
        remedy if "invalid reference" in words else "start it, or log in",
    )


def _docker(arguments: list[str], failed: str) -> None:
    done = _run(arguments, BUILD_SECONDS)
    if done.returncode:
        raise RolloutError(f"{failed}: {_told(done.stderr)[:400]}", "mend that and run the command again")


def _told(output: str) -> str:
    """The line that says why: the last one of the build's step that failed, else the engine's own error."""
    step = re.search(r"^#(\d+) ERROR", output, re.MULTILINE)
    if step and (said := re.findall(rf"^#{step[1]} [\d.]+ (.*\S)", output, re.MULTILINE)):
        return str(said[-1])
    lines = [line for line in output.strip().splitlines() if line.strip()] or ["nothing was said"]
    return next((line for line in reversed(lines) if "ERROR" in line or "error" in line), lines[-1])


def _run(arguments: list[str], seconds: float) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["docker", *arguments],
            env=os.environ | {"DOCKER_BUILDKIT": "1"},
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )
    except FileNotFoundError as error:
        raise RolloutError(
            "docker is not installed", "install it: images are built and looked up with it"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise RolloutError(
            f"`docker {arguments[0]}` did not end in {seconds:.0f} s",
            "look at the engine and the registry, and run the command again",
        ) from error
