"""A checkout of another service than this repository's, and its releases."""

import io
import json
import shutil
import sys
import tarfile
from pathlib import Path

from rollout import bundle
from rollout.files import sha256
from tests.scripts.project import ROOT, Project

FACTS = {
    "name": "shop", "port": 1, "app": "app", "requirements": "requirements/service.txt", "pythons": ["3"],
    "settings_module": "s", "processes": {"web": {"command": "x"}}, "health": {"ready": "/"},
    "migrate": "true", "check": "true",
}  # fmt: skip


def made(project: Project) -> Project:
    """A checkout of another service with the part of the playbooks that release.py reads."""
    shared = "playbooks/plugins/module_utils/rollout"
    shutil.copytree(ROOT / shared, project.path / shared, ignore=shutil.ignore_patterns("__pycache__"))
    project.write({"infra/service.yml": json.dumps(FACTS), ".gitignore": "__pycache__/\n.cache/\n.run/\n"})
    project.write({"infra/inventories/staging/hosts.yml": ""})
    project.commit("a shop")
    return project


def release(shop: Project, *arguments: str, status: int = 0, **more: str) -> str:
    """What release.py says; where it fails that is one line, and nothing on the other stream."""
    done = shop.run(sys.executable, "scripts/release.py", *arguments, status=status, **more)
    if status:
        assert (done.stdout, done.stderr.count("\n")) == ("", 1)
        return done.stderr
    assert done.stderr == ""
    return done.stdout.rstrip("\n")


def keep(shop: Project, *versions: str) -> Path:
    """Put bundles with nothing but a manifest into the store."""
    store = Path(shop.environment["RELEASES"])
    store.mkdir(exist_ok=True)
    for version in versions:
        path = bundle.path_of(store, "shop", version)
        manifest = json.dumps({"name": "shop", "version": version}).encode()
        with tarfile.open(path, "w") as tar:
            entry = tarfile.TarInfo(bundle.MANIFEST)
            entry.size = len(manifest)
            tar.addfile(entry, io.BytesIO(manifest))
        path.with_suffix(".tar.sha256").write_text(sha256(path))
    return store
