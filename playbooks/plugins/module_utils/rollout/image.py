"""The image of a release: built from the commit's files and the same lock as its bundle, pushed by its version."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path
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
    """Build the image, and push it where there is a registry. Returns what it is called.

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
        arguments = [word for key, value in told.items() for word in ("--build-arg", f"{key}={value}")]
        _docker(
            [
                "build",
                "--quiet",
                "--file",
                str(checkout / FOLDER / "Dockerfile"),
                "--tag",
                name,
                *arguments,
                folder,
            ],
            f"the image {name} cannot be built",
        )
    if registry:
        _docker(["push", "--quiet", name], f"{name} cannot be pushed")
    return name


def without_credentials(url: str) -> str:
    """An address without the user and password that a clone may have been made with."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])) if parts.scheme else url


def _docker(arguments: list[str], failed: str) -> None:
    try:
        done = subprocess.run(
            ["docker", *arguments],
            env=os.environ | {"DOCKER_BUILDKIT": "1"},
            capture_output=True,
            text=True,
            check=False,
            timeout=BUILD_SECONDS,
        )
    except FileNotFoundError as error:
        raise RolloutError("docker is not installed", "install it: images are built with it") from error
    if done.returncode:
        lines = [line for line in done.stderr.strip().splitlines() if line.strip()] or ["nothing was said"]
        told = next((line for line in reversed(lines) if "ERROR" in line or "error" in line), lines[-1])
        raise RolloutError(f"{failed}: {told[:400]}", "mend that and run the command again")
