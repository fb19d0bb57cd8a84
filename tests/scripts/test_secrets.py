"""scripts/secrets: invented once, encrypted on the disk, rotated without a moment in which none works."""

from __future__ import annotations

import hashlib
import os
import pty
import re
import sys
from pathlib import Path

import pytest
import yaml

from tests.scripts.project import Project

WANTED = ["BACKUP_PASSWORD", "BROKER_PASSWORD", "PGPASSWORD", "PGUSER", "SECRET_KEY"]
PLAIN = re.compile(r"[A-Za-z0-9_-]{40,}")


@pytest.fixture
def shop(project: Project, tmp_path: Path) -> Project:
    """A checkout with an environment `staging`, a vault password, and a virtual environment that is installed."""
    project.write(
        {
            "infra/service.yml": "name: shop\n",
            "infra/inventories/staging/hosts.yml": "all: {}\n",
            "requirements/ops.txt": "none\n",
        }
    )
    password = tmp_path / "password"
    password.write_text("open sesame\n")
    lock = hashlib.sha256(b"none\n").hexdigest()
    project.write(
        {
            ".venv/.installed": f"ops {lock}  requirements/ops.txt\n",
            ".venv/bin/python": f'#!/bin/sh\nexec {sys.executable} "$@"\n',
        }
    )
    (project.path / ".venv/bin/python").chmod(0o755)
    project.environment |= {"ENV": "staging", "ANSIBLE_VAULT_PASSWORD_FILE": str(password)}
    return project


def tell(shop: Project, *arguments: str, status: int = 0, given: str | None = None, **more: str) -> str:
    """What it says; a failure is one line."""
    done = shop.run("scripts/secrets", *arguments, status=status, given=given, **more)
    if status:
        assert (done.stdout, done.stderr.count("\n")) == ("", 1)
        return done.stderr
    return done.stdout


def values(shop: Project) -> dict[str, str]:
    lines = tell(shop, "show", "--values").splitlines()
    return dict(line.split(" ")[0].split("=", 1) for line in lines)


def file(shop: Project) -> Path:
    return shop.path / "infra/secrets/staging.yml"


def test_every_secret_that_the_roles_want_is_invented(shop: Project) -> None:
    assert "invented SECRET_KEY, PGPASSWORD" in tell(shop)
    made = values(shop)
    assert sorted(made) == WANTED
    assert made.pop("PGUSER") == "shop_a"
    assert all(PLAIN.fullmatch(value) for value in made.values())
    assert len(set(made.values())) == len(made)


def test_what_is_there_survives_and_what_is_missing_is_added(shop: Project) -> None:
    tell(shop, "create", "SECRET_KEY")
    first = values(shop)
    assert list(first) == ["SECRET_KEY"]
    tell(shop)
    assert values(shop)["SECRET_KEY"] == first["SECRET_KEY"]
    before = file(shop).read_bytes()
    assert "nothing was missing" in tell(shop, "create", "SECRET_KEY")
    assert file(shop).read_bytes() == before


def test_a_secret_that_somebody_else_made_is_read_and_replaced(shop: Project) -> None:
    for value in ("CHASECK_TEST-a1", "CHASECK_TEST-b2"):
        assert "CHAPA_KEY is what you gave" in tell(shop, "put", "CHAPA_KEY", given=f"{value}\n")
        assert values(shop) == {"CHAPA_KEY": value}


@pytest.mark.parametrize("value", ["", "two words", "'quoted'", "$HOME", "\\", "`date`", "ገንዘብ"])
def test_a_value_that_some_reader_gets_wrong_is_refused(shop: Project, value: str) -> None:
    assert "no value of CHAPA_KEY" in tell(shop, "put", "CHAPA_KEY", given=f"{value}\n", status=1)
    assert not file(shop).exists()


def test_the_file_is_encrypted_and_its_owners_alone(shop: Project) -> None:
    tell(shop)
    text = file(shop).read_text()
    assert text.startswith("$ANSIBLE_VAULT;1.1;AES256\n")
    assert not any(value in text for value in values(shop).values())
    assert file(shop).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in file(shop).parent.iterdir()] == ["staging.yml"]


def test_show_tells_names_and_no_value(shop: Project) -> None:
    assert "no secrets yet" in tell(shop, "show")
    tell(shop)
    said = tell(shop, "show")
    assert said.split() == WANTED
    assert not any(value in said for value in values(shop).values())


def test_after_a_rotation_old_and_new_are_known_until_the_old_is_retired(shop: Project) -> None:
    tell(shop)
    before = values(shop)
    tell(shop, "rotate", "PGPASSWORD")
    after = values(shop)
    assert (before["PGUSER"], after["PGUSER"]) == ("shop_a", "shop_b")
    assert after["PGPASSWORD"] != before["PGPASSWORD"]
    assert {k: v for k, v in before.items() if k[:2] != "PG"} == {
        k: v for k, v in after.items() if k[:2] != "PG"
    }
    assert f"(before: {before['PGPASSWORD']})" in tell(shop, "show", "--values")
    assert "PGPASSWORD (the one before it works, too)" in tell(shop, "show")
    assert "still works; deploy, then" in tell(shop, "rotate", "PGPASSWORD", status=1)
    assert "is forgotten; run site" in tell(shop, "retire", "PGPASSWORD")
    assert "works, too" not in tell(shop, "show")
    assert "no PGPASSWORD before this one works" in tell(shop, "retire", "PGPASSWORD")
    tell(shop, "rotate", "PGPASSWORD")
    assert values(shop)["PGUSER"] == "shop_a"


def test_a_playbook_reads_the_file_as_it_is(shop: Project) -> None:
    tell(shop)
    tell(shop, "rotate", "BROKER_PASSWORD")
    vault = Path(sys.executable).parent / "ansible-vault"
    kept = yaml.safe_load(shop.run(str(vault), "view", str(file(shop))).stdout)
    assert sorted(kept["secrets"]) == WANTED
    assert list(kept["secrets_previous"]) == ["BROKER_PASSWORD"]


def test_the_key_to_the_backups_is_never_rotated(shop: Project) -> None:
    tell(shop)
    assert "can be read with no other" in tell(shop, "rotate", "BACKUP_PASSWORD", status=1)


def test_a_wrong_vault_password_is_one_line_and_changes_nothing(shop: Project, tmp_path: Path) -> None:
    tell(shop)
    before = file(shop).read_bytes()
    wrong = tmp_path / "wrong"
    wrong.write_text("another\n")
    for command in (["create", "MORE"], ["rotate", "SECRET_KEY"], ["show"]):
        said = tell(shop, *command, status=1, ANSIBLE_VAULT_PASSWORD_FILE=str(wrong))
        assert "staging.yml cannot be opened with this vault password; is ANSIBLE_VAULT_PASSWORD_FILE" in said
    assert file(shop).read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "told", "words"),
    [
        (["rotate"], {}, "give one of"),
        (["rotate", "NOTHING"], {}, "give one of"),
        (["rotate", "PGUSER"], {}, "give one of"),
        (["create", "lower"], {}, "lower is no name of a secret"),
        (["put"], {}, "put takes one name"),
        (["put", "lower"], {}, "lower is no name of a secret"),
        (["put", "PGPASSWORD"], {}, "PGPASSWORD is invented here"),
        (["burn"], {}, "unknown command burn"),
        (["show", "--loud"], {}, "show does not know --loud"),
        (["--loud"], {}, "unknown option --loud"),
        (["show"], {"ENV": "moon"}, "there is no environment moon"),
        (
            ["show"],
            {"ANSIBLE_VAULT_PASSWORD_FILE": "/nowhere"},
            "the vault password in /nowhere cannot be read",
        ),
        (["show"], {"ANSIBLE_VAULT_PASSWORD_FILE": ""}, "nobody can be asked for the vault password"),
    ],
)
def test_bad_input_is_one_line(shop: Project, arguments: list[str], told: dict[str, str], words: str) -> None:
    tell(shop)
    assert words in tell(shop, *arguments, status=1, **told)


def test_nothing_can_be_rotated_before_it_was_created(shop: Project) -> None:
    assert "nothing was created yet" in tell(shop, "rotate", "SECRET_KEY", status=1)


def at_a_terminal(shop: Project, typed: list[str], *arguments: str, program: str = "scripts/secrets") -> str:
    """Run it at a terminal, and type a line at each question."""
    child, terminal = pty.fork()
    if not child:
        os.chdir(shop.path)
        environment = shop.environment | {"ANSIBLE_VAULT_PASSWORD_FILE": ""}
        os.execve(program, [program, *arguments], environment)  # noqa: S606 - a terminal of its own
    said = b""
    while True:
        try:
            said += os.read(terminal, 1024)
        except OSError:
            break
        if typed and said.endswith(b": "):
            said += b"\n"
            os.write(terminal, typed.pop(0).encode() + b"\n")
    os.waitpid(child, 0)
    os.close(terminal)
    return said.decode()


def test_a_person_is_asked_twice_for_a_new_password_and_once_for_a_known_one(shop: Project) -> None:
    assert "these two differ" in at_a_terminal(shop, ["one", "two"])
    assert not file(shop).exists()
    assert "invented" in at_a_terminal(shop, ["open sesame", "open sesame"])
    assert "SECRET_KEY" in at_a_terminal(shop, ["open sesame"], "show")
    assert len(values(shop)) == len(WANTED)


def test_a_play_asks_for_the_password_where_there_is_somebody_and_tries_it_first_where_there_is_nobody(
    shop: Project, tmp_path: Path
) -> None:
    tell(shop)
    shop.write({"playbooks/status.yml": "[]\n", ".venv/bin/ansible-playbook": '#!/bin/sh\necho "told $@"\n'})
    (shop.path / ".venv/bin/ansible-playbook").chmod(0o755)
    assert "--ask-vault-pass" in at_a_terminal(shop, [], "status", program="scripts/play")
    assert "--ask-vault-pass" not in shop.run("scripts/play", "status").stdout
    (tmp_path / "wrong").write_text("abracadabra\n")
    told = {"ANSIBLE_VAULT_PASSWORD_FILE": str(tmp_path / "wrong")}
    done = shop.run("scripts/play", "status", status=1, **told)
    assert "told" not in done.stdout
    assert done.stderr.count("\n") == 1
    assert "cannot be opened with this vault password" in done.stderr
