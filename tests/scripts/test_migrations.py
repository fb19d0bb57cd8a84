"""`make migrations` loads the application with the packages of its own lock, not with those of the tools."""

import hashlib
import zipfile
from pathlib import Path

import pytest

from tests.playbooks.untouched import refusal
from tests.rollout.another import become_the_guestbook
from tests.rollout.changes import append
from tests.rollout.checkout import Checkout

PACKAGE = "inkwell"


def wheel(folder: Path) -> Path:
    """A package that nobody but the guestbook has heard of."""
    folder.mkdir()
    path = folder / f"{PACKAGE}-1.0-py3-none-any.whl"
    about = f"{PACKAGE}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr(f"{PACKAGE}.py", "COLOUR = 'blue'\n")
        packed.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: 1.0\n")
        packed.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        packed.writestr(f"{about}/RECORD", "")
    return path


@pytest.mark.verify
def test_an_application_is_judged_with_its_own_packages_which_the_tools_may_lack(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path, port=1)
    package = wheel(tmp_path / "packages")
    become_the_guestbook(checkout.path)
    append(checkout.path / "src/guests/settings.py", f"import {PACKAGE}\n")
    checkout.environment["PIP_FIND_LINKS"] = str(package.parent)

    line = refusal(checkout.make("migrations", check=False))
    assert line.startswith("the migrations cannot be judged: ")
    assert f"No module named '{PACKAGE}'" in line

    digest = hashlib.sha256(package.read_bytes()).hexdigest()
    append(checkout.path / "locks/guestbook.txt", f"{PACKAGE}==1.0 \\\n    --hash=sha256:{digest}\n")
    assert checkout.make("migrations").output == (
        "migrations are complete: no release runs in dev to judge them by\n"
    )
