"""`make build` signs with the key that SIGNING_KEY names, `make signer` says who may, `make scan` verifies that."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.parts import keys
from tests.scripts.project import ROOT, Project
from tests.scripts.shop import keep, release


@pytest.fixture
def built(shop: Project) -> Path:
    """The bundle of a shop that needs no wheel, kept and not signed."""
    shop.write({"requirements/service.txt": "", "app/manage.py": "", "infra/environments/dev.env": ""})
    shop.commit("needs no wheel")
    return Path(release(shop, "build").partition(" (")[0])


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return keys.made(tmp_path)


def signature(path: Path) -> Path:
    return path.with_suffix(".tar.sig")


@contextmanager
def agent(folder: Path) -> Iterator[dict[str, Any]]:
    """What programs are told of an agent that is there meanwhile."""
    socket = {"SSH_AUTH_SOCK": str(folder / "agent")}
    with subprocess.Popen(
        ["ssh-agent", "-D", "-a", socket["SSH_AUTH_SOCK"]], stdout=subprocess.DEVNULL
    ) as process:
        try:
            yield socket
        finally:
            process.terminate()


def wait_for(file: Path) -> None:
    subprocess.run(
        ["timeout", "20", "sh", "-c", 'until [ -e "$1" ]; do sleep 0.05; done', "-", file], check=True
    )


def test_a_build_with_a_key_signs_and_who_may_sign_is_one_command(
    shop: Project, built: Path, key: Path
) -> None:
    staging: dict[str, Any] = {"ENV": "staging", "SIGNING_KEY": str(key)}
    assert release(shop, "verify", ENV="staging") == "1 bundles are as they were built"
    said = release(shop, "signer", **staging)
    file = shop.path / "infra/signers/staging"
    assert said == f"{file}: abebe may sign, and hosts take no bundle that nobody in it signed; commit it"
    assert release(shop, "signer", **staging) == f"{file} has this key already"
    assert file.read_text().startswith("# Who may sign")
    assert file.read_text().splitlines()[1:] == [keys.line(key, 'namespaces="release@shop"').strip()]
    assert f"{built} has no signature beside it" in release(shop, "verify", status=1, ENV="staging")
    assert release(shop, "verify") == "1 bundles are as they were built", "nobody has to sign for dev"
    file.unlink()  # the checkout is that of the commit again
    before = built.read_bytes()
    assert re.fullmatch(rf"{built} \(\d+ MB, signed\)", release(shop, "build", SIGNING_KEY=str(key)))
    assert built.read_bytes() == before
    assert release(shop, "build", SIGNING_KEY=str(key)) == f"{built} is there already"
    release(shop, "signer", **staging)
    assert release(shop, "verify", ENV="staging") == (
        "1 bundles are as they were built, each signed by who may sign for staging"
    )
    assert set(built.parent.iterdir()) == {built, built.with_suffix(".tar.sha256"), signature(built)}


def test_what_somebody_put_in_the_place_of_a_kept_bundle_is_not_what_gets_signed(
    shop: Project, built: Path, key: Path
) -> None:
    before = built.read_bytes()
    keep(shop, built.name.removeprefix("shop-").removesuffix(".tar"))
    assert built.read_bytes() != before
    release(shop, "build", SIGNING_KEY=str(key))
    assert built.read_bytes() == before


def test_a_signed_bundle_under_another_releases_name_is_refused(
    shop: Project, built: Path, key: Path
) -> None:
    release(shop, "build", SIGNING_KEY=str(key))
    release(shop, "signer", ENV="staging", SIGNING_KEY=str(key))
    other = built.with_name("shop-20990101-000000-0123456789ab.tar")
    for suffix in (".tar", ".tar.sig", ".tar.sha256"):
        shutil.copy(built.with_suffix(suffix), other.with_suffix(suffix))
    line = release(shop, "verify", status=1, ENV="staging")
    assert line.startswith(f"error: {other} holds release ")


def test_a_key_that_an_agent_holds_signs_by_the_name_of_its_public_half(
    shop: Project, built: Path, key: Path, tmp_path: Path
) -> None:
    public = f"{key}.pub"
    with agent(tmp_path) as told:
        wait_for(tmp_path / "agent")
        subprocess.run(["ssh-add", "-q", key], env=os.environ | told, check=True)
        key.unlink()
        assert "signed" in release(shop, "build", SIGNING_KEY=public, **told)
    release(shop, "signer", ENV="staging", SIGNING_KEY=public)
    assert "each signed by" in release(shop, "verify", ENV="staging")


def test_a_key_in_the_place_of_its_files_name_is_told_to_nobody(
    shop: Project, built: Path, key: Path
) -> None:
    for told in (key.read_text(), key.read_text().replace("\n", "")):
        assert release(shop, "build", status=1, SIGNING_KEY=told) == (
            "error: SIGNING_KEY names no file; "
            "give the path of a private key; `ssh-keygen -t ed25519 -f FILE` makes one\n"
        )
    assert not signature(built).exists()


@pytest.mark.parametrize("told", ["", "/nowhere", "nonsense"])
def test_a_signer_without_a_public_key_is_one_line(shop: Project, told: str) -> None:
    shop.write({"nonsense.pub": "-----BEGIN nonsense"})
    line = release(shop, "signer", status=1, ENV="staging", SIGNING_KEY=told)
    assert line == (
        "error: SIGNING_KEY has no public key beside it; "
        "`ssh-keygen -y -f FILE >FILE.pub` makes it, then name FILE\n"
    )


@pytest.mark.parametrize("environment", ["dev", "nowhere"])
def test_nobody_signs_for_dev_or_for_what_is_no_environment(
    shop: Project, key: Path, environment: str
) -> None:
    line = release(shop, "signer", status=1, ENV=environment, SIGNING_KEY=str(key))
    assert line == (
        f"error: nobody signs for {environment}; name an environment: make signer ENV=staging SIGNING_KEY=FILE\n"
    )
    assert not (shop.path / "infra/signers").exists()


def test_make_tells_its_stages_which_key_signs(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text((ROOT / "Makefile").read_text() + "told: ; @env\n")
    told = subprocess.check_output(["make", "-C", tmp_path, "told", "SIGNING_KEY=/a/key"], text=True)
    assert "SIGNING_KEY=/a/key\n" in told
