"""A release for hosts: one plain tar whose bytes depend on the commit alone.

It holds the application, wheels for every Python that the service supports, the collected static files, the
service file and a manifest with a checksum for each of them. Nothing in it is compressed again: zlib's output
differs between builds of Python, and wheels are compressed already.
"""

from __future__ import annotations

import io
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import contents, service
from .errors import RolloutError
from .files import read_env, read_json, sha256, write_atomically

MANIFEST = "manifest.json"
CACHED_WHEELS = ".cache/wheels"
# Named, so that the choice of wheels does not depend on the machine that builds.
PLATFORMS = ("manylinux_2_28", "manylinux_2_17", "manylinux2014")
BUILD_SETTINGS = "infra/environments/dev.env"


def path_of(store: Path, name: str, version: str) -> Path:
    """Where the bundle of a release stands in a store."""
    return store / f"{name}-{version}.tar"


def stored(store: Path, name: str) -> list[str]:
    """The versions that a store keeps, oldest first (a version begins with its commit's date)."""
    bundles = store.glob(f"{name}-[0-9]*.tar")  # not those of a service whose name goes on after a dash
    return sorted(path.name.removeprefix(f"{name}-").removesuffix(".tar") for path in bundles)


def verify(bundle: Path) -> None:
    """Compare a bundle with the checksum that was written beside it."""
    if not bundle.exists():
        raise RolloutError(
            f"there is no bundle {bundle}",
            "`make releases` lists what is kept; `make build` makes this commit's",
        )
    try:
        expected = bundle.with_suffix(".tar.sha256").read_text().split()[0]
    except (OSError, IndexError) as error:
        raise RolloutError(f"{bundle} has no checksum beside it", "delete it and run `make build`") from error
    if sha256(bundle) != expected:
        raise RolloutError(
            f"{bundle} is corrupt: its checksum is not the one written beside it",
            "delete it and run `make build`, or fetch it again",
        )


def named(bundle: Path) -> None:
    """Compare a bundle's name with the release that it says it holds: an older one under its name is signed as well."""
    try:
        told = json.loads(_member(bundle, MANIFEST))
        name, version = told["name"], told["version"]
    except (KeyError, TypeError, ValueError) as error:
        raise RolloutError(
            f"{bundle} does not say what it holds: {error!r}", "delete it and run `make build`"
        ) from error
    if bundle != path_of(bundle.parent, name, version):
        raise _misnamed(bundle, version)


def _misnamed(bundle: Path, version: str) -> RolloutError:
    return RolloutError(
        f"{bundle} holds release {version}",
        "give it its name back, or delete it and run `make build`",
    )


def lock(bundle: Path) -> str:
    """What a bundle's wheels were locked to."""
    return _member(bundle, "requirements.txt")


def _member(bundle: Path, name: str) -> str:
    try:
        with tarfile.open(bundle) as tar:
            return tar.extractfile(name).read().decode()  # type: ignore[union-attr]  # a regular file
    except (OSError, KeyError, tarfile.TarError) as error:
        raise RolloutError(f"{bundle} cannot be read: {error}", "delete it and run `make build`") from error


def unpack(bundle: Path, into: Path) -> dict[str, Any]:
    """Verify a bundle and unpack it. `into` appears complete or not at all. Returns the manifest."""
    verify(bundle)
    partial = into.with_name(f".{into.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        with tarfile.open(bundle) as tar:
            _extract(tar, partial)
        manifest: dict[str, Any] = read_json(partial / MANIFEST)
        written = {str(path.relative_to(partial)) for path in _files(partial)} - {MANIFEST}
        for name in sorted(written | manifest["files"].keys()):
            if name not in written or sha256(partial / name) != manifest["files"].get(name):
                raise RolloutError(
                    f"{bundle}: {name} is not what the manifest says",
                    "delete the bundle and run `make build`",
                )
        if manifest["version"] != into.name:
            raise _misnamed(bundle, manifest["version"])
        install(partial, manifest)
        shutil.rmtree(partial / "wheels")  # installed; the bundle has them for another time
        (partial / "static").mkdir(exist_ok=True)  # a service may have none
        contents.note(partial)
        partial.rename(into)
    except (OSError, tarfile.TarError) as error:
        raise RolloutError(
            f"{bundle} cannot be unpacked: {error}", "free space on the disk and run the command again"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return manifest


def _extract(tar: tarfile.TarFile, into: Path) -> None:
    """Plain files below `into` only (Python 3.11.2 has no extraction filters yet)."""
    for entry in tar:
        target = into / entry.name
        if not entry.isreg() or ".." in target.parts or Path(entry.name).is_absolute():
            raise RolloutError(f"the bundle holds {entry.name}, which is not a plain file", "build it again")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(tar.extractfile(entry).read())  # type: ignore[union-attr]  # it is a regular file
        target.chmod(entry.mode & 0o755)


def install(release: Path, manifest: dict[str, Any], *, compiled: bool = True) -> None:
    """Make the release's virtual environment from its own wheels, without a network.

    :param compiled: with the byte code of everything, which takes most of the time and pays where it runs for long.
    """
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    if python not in manifest["pythons"]:
        raise RolloutError(
            f"release {manifest['version']} is built for Python {', '.join(manifest['pythons'])}, this is {python}",
            "use one of these, or add this one to `pythons` in the service file",
        )
    # Its cache would keep a copy of each release's packages for ever.
    quiet = ["--quiet", "--offline", "--no-config", "--no-cache"]
    run([uv(), "venv", *quiet, "--relocatable", "--python", base_python(), "venv"], cwd=release)
    # Relative, for any character may be in the path of a release: uv takes a comma for the end of a folder.
    options = ["--python", "venv/bin/python", "--no-index", "--require-hashes"]
    options += ["--compile-bytecode"] if compiled else []
    files = ["--find-links", "wheels", "--requirement", "requirements.txt"]
    run([uv(), "pip", "install", *quiet, *options, *files], cwd=release)


def uv() -> str:
    """The installer: of this virtual environment, or the one that a host was given."""
    found = shutil.which("uv", path=f"{sys.prefix}/bin:/usr/local/bin")
    if not found:
        raise RolloutError("there is no uv in /usr/local/bin", "run `make site` first")
    return found


def base_python() -> str:
    """This Python outside of any virtual environment."""
    return str(Path(sys.base_exec_prefix) / f"bin/python{sys.version_info.major}.{sys.version_info.minor}")


def run(command: list[str], remedy: str = "", name: str = "", **options: Any) -> str:
    """Run a command; its last line of complaint becomes the error, which calls it by its first words or `name`."""
    done: subprocess.CompletedProcess[str] = subprocess.run(
        command, capture_output=True, text=True, check=False, **options
    )
    if done.returncode:
        words = (done.stderr.strip() or done.stdout.strip() or f"status {done.returncode}").splitlines()[-1]
        raise RolloutError(
            f"{name or f'{Path(command[0]).name} {command[1]}'}: {words}",
            remedy or "run it by hand to see more: " + " ".join(command),
        )
    return done.stdout


def build(checkout: Path, store: Path, version: str, commit: str, epoch: int, files: list[str]) -> Path:
    """Write the bundle of a release into a store.

    :param epoch: the commit's time in seconds since 1970: the time of everything in the bundle.
    :param files: the paths that belong to the commit, relative to `checkout`.
    """
    facts = service.load(checkout / service.FILE)
    bundle = path_of(store, facts.name, version)
    work = checkout / ".cache" / f"build-{os.getpid()}"
    shutil.rmtree(work, ignore_errors=True)
    try:
        work.mkdir(parents=True)
        shutil.copy(checkout / service.FILE, work / "service.yml")
        shutil.copy(checkout / facts.requirements, work / "requirements.txt")
        for name in files:
            if name.startswith(f"{facts.app}/"):
                target = work / "app" / name.removeprefix(f"{facts.app}/")
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(checkout / name, target)
        download_wheels(checkout, facts, work / "wheels")
        collect_static(facts, work, read_env(checkout / BUILD_SETTINGS))
        write_manifest(work, facts, version, commit)
        pack(work, bundle, epoch)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return bundle


def download_wheels(checkout: Path, facts: service.Service, into: Path) -> None:
    """Put the locked wheels for every supported Python into a folder, from the cache when they are there.

    pip checks each file against the lock's hashes, cached ones too.
    """
    lock = checkout / facts.requirements
    cache = checkout / CACHED_WHEELS / sha256(lock)[:16]
    done = cache / ".complete"
    if not done.exists():
        shutil.rmtree(cache, ignore_errors=True)
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps"]
        pip += [
            "--require-hashes",
            "--only-binary",
            ":all:",
            "--requirement",
            str(lock),
            "--implementation",
            "cp",
        ]
        pip += [word for tag in PLATFORMS for word in ("--platform", f"{tag}_{platform.machine()}")]
        running = [
            subprocess.Popen(
                [*pip, "--python-version", python, "--dest", str(cache / python)],
                stderr=subprocess.PIPE,
                text=True,
            )
            for python in facts.pythons
        ]
        for python, process in zip(facts.pythons, running, strict=True):
            complaint = process.communicate()[1]
            if process.returncode:
                words = [
                    line for line in complaint.splitlines() if "ERROR" in line
                ] or complaint.splitlines()[-1:]
                raise RolloutError(
                    f"wheels for Python {python}: {words[0] if words else 'pip failed'}",
                    "check the network, or lock a version that has a wheel for it",
                )
        for wheel in cache.glob("*/*.whl"):
            wheel.replace(cache / wheel.name)
        for python in facts.pythons:
            (cache / python).rmdir()
        done.touch()
    shutil.copytree(cache, into, ignore=shutil.ignore_patterns(".complete"))


def unserved(facts: service.Service, told: dict[str, str], programs: Path, scratch: Path) -> dict[str, str]:
    """What a command of the service's is told when nobody is served: at build, and when only looking."""
    return told | {
        "PATH": f"{programs}:/usr/bin:/bin",
        "HOME": str(scratch),
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        "DJANGO_SETTINGS_MODULE": facts.settings_module,
        "STATIC_ROOT": str(scratch),
        "STATIC_SHARED": str(scratch),
        "DATA_DIR": str(scratch),
        "RUN_DIR": str(scratch),
        "ENVIRONMENT": "dev",
        "RELEASE_VERSION": "none",
        "RELEASE_COMMIT": "none",
        "SECRET_KEY": "nobody is served with this key " * 2,
    }


def collect_static(facts: service.Service, work: Path, told: dict[str, str]) -> None:
    """Run the service's `static` command in the unpacked application."""
    (work / "static").mkdir()
    if not facts.static:
        return
    scratch = work / "scratch"
    scratch.mkdir()
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    manifest = {"version": "build", "pythons": [python]}
    install(work, manifest, compiled=False)
    told = unserved(facts, told, work / "venv/bin", scratch) | {"STATIC_ROOT": str(work / "static")}
    remedy = f"mend the application or {BUILD_SETTINGS}, with which static files are collected"
    run(["/bin/sh", "-c", facts.static], remedy, "the service's `static` command", cwd=work / "app", env=told)
    shutil.rmtree(scratch)
    shutil.rmtree(work / "venv")


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path


def write_manifest(work: Path, facts: service.Service, version: str, commit: str) -> None:
    """Say what the bundle is and which bytes belong to it."""
    manifest = {
        "name": facts.name,
        "version": version,
        "commit": commit,
        "pythons": list(facts.pythons),
        "files": {str(path.relative_to(work)): sha256(path) for path in _files(work)},
    }
    (work / MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n")


def pack(work: Path, bundle: Path, epoch: int) -> None:
    """Write the tar and its checksum; names sorted, one owner, one time, two modes."""
    bundle.parent.mkdir(parents=True, exist_ok=True)
    partial = bundle.with_name(f".{bundle.name}.{os.getpid()}")
    try:
        with (
            partial.open("wb") as file,
            tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar,
        ):
            for path in _files(work):
                entry = tarfile.TarInfo(str(path.relative_to(work)))
                content = path.read_bytes()
                entry.size, entry.mtime = len(content), epoch
                entry.mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
                tar.addfile(entry, io.BytesIO(content))
        write_atomically(bundle.with_suffix(".tar.sha256"), f"{sha256(partial)}  {bundle.name}\n")
        partial.replace(bundle)
    finally:
        partial.unlink(missing_ok=True)


def delete(store: Path, name: str, version: str) -> None:
    """Delete a release's bundle with what stands beside it: checksum, signature, the list of its image's packages."""
    for suffix in (".tar", ".tar.sha256", ".tar.sig", ".cdx.json"):
        path_of(store, name, version).with_suffix(suffix).unlink(missing_ok=True)
