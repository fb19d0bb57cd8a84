"""A signed bundle is taken when who may sign it did, and refused by name otherwise. Every key and signature is real."""

from __future__ import annotations

import base64
import os
import pty
import select
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rollout import bundle, signature
from rollout.errors import RolloutError
from rollout.files import sha256
from tests.parts import keys
from tests.rollout.checkout import REPOSITORY

VERSION = "20261123-052500-0123456789ab"
REMEDY = "delete it with the .sig and run `make build SIGNING_KEY=FILE` at its commit, or fetch both again"


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """The key of who may sign."""
    return keys.made(tmp_path)


def kept(folder: Path, version: str = VERSION) -> Path:
    """A bundle with its checksum."""
    path = bundle.path_of(folder / "store", "shop", version)
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"the bytes of {version}")
    return sealed(path)


def sealed(path: Path) -> Path:
    """Write the checksum of a bundle as it is now, as somebody would who may write to the store."""
    path.with_suffix(".tar.sha256").write_text(f"{sha256(path)}  {path.name}\n")
    return path


@pytest.fixture
def signed(tmp_path: Path, key: Path) -> Path:
    path = kept(tmp_path)
    signature.sign(path, str(key), "shop")
    return path


def refusal(path: Path, allowed: str) -> str:
    with pytest.raises(RolloutError) as refused:
        signature.verify(path, allowed, "shop", "staging")
    line = str(refused.value)
    assert "\n" not in line
    return line


def words(path: Path, allowed: str) -> str:
    """Why a signature does not verify."""
    before = f"{path}: its signature for release@shop does not verify: "
    line = refusal(path, allowed)
    assert line.startswith(before), line
    assert line.endswith(f"; {REMEDY}"), line
    return line.removeprefix(before).removesuffix(f"; {REMEDY}")


def fingerprint(key: Path) -> str:
    return subprocess.check_output(["ssh-keygen", "-l", "-f", key], text=True).split()[1]


def test_what_a_signer_signed_verifies_and_says_who_that_is(signed: Path, key: Path) -> None:
    allowed = "# who may\n\n" + keys.line(key, 'namespaces="release@shop"')
    assert signature.verify(signed, allowed, "shop", "staging") == "abebe"
    assert {path.name.partition(VERSION)[2] for path in signed.parent.iterdir()} == {
        ".tar",
        ".tar.sha256",
        ".tar.sig",
    }


def test_each_of_several_signers_may_sign_also_beside_one_who_may_not_any_more(
    signed: Path, tmp_path: Path, key: Path
) -> None:
    gone, other = keys.made(tmp_path, "gone"), keys.made(tmp_path, "other")
    allowed = keys.line(gone, 'valid-before="20200101Z"') + keys.line(other) + keys.line(key)
    assert signature.verify(signed, allowed, "shop", "staging") == "abebe"
    signature.sign(signed, str(other), "shop")
    assert signature.verify(signed, allowed, "shop", "staging") == "other"


def test_a_tampered_bundle_is_refused_although_its_checksum_fits(signed: Path, key: Path) -> None:
    signed.write_text("other bytes")
    sealed(signed)
    assert words(signed, keys.line(key)) == "Signature verification failed: incorrect signature"


def test_a_tampered_bundle_whose_checksum_does_not_fit_is_called_corrupt(signed: Path, key: Path) -> None:
    signed.write_text("other bytes")
    assert "is corrupt: its checksum is not the one written beside it" in refusal(signed, keys.line(key))


def flipped(file: Path) -> None:
    """Change one bit of the signature itself, in a file that stays well-formed."""
    head, *body, end = file.read_text().splitlines()
    raw = bytearray(base64.b64decode("".join(body)))
    raw[-1] ^= 1
    file.write_text(f"{head}\n{base64.b64encode(raw).decode()}\n{end}\n")


@pytest.mark.parametrize(
    ("tamper", "why"),
    [
        (flipped, "Signature verification failed: incorrect signature"),
        (lambda file: file.write_text("nonsense"), "Couldn't parse signature: missing header"),
        (lambda file: file.write_text(""), "Couldn't parse signature: missing header"),
        (lambda file: file.write_text(file.read_text()[:150]), "Couldn't parse signature: missing footer"),
    ],
    ids=["one bit", "nonsense", "empty", "cut off"],
)
def test_a_tampered_signature_is_refused(
    signed: Path, key: Path, tamper: Callable[[Path], None], why: str
) -> None:
    tamper(signature.path_of(signed))
    assert words(signed, keys.line(key)).startswith(why)


def test_a_bundle_without_a_signature_is_refused(tmp_path: Path, key: Path) -> None:
    path = kept(tmp_path)
    assert refusal(path, keys.line(key)) == (
        f"{path} has no signature beside it; run `make build SIGNING_KEY=FILE` at its commit, or fetch that"
    )


def test_the_signature_of_another_bundle_is_refused(signed: Path, tmp_path: Path, key: Path) -> None:
    other = kept(tmp_path, "20261124-052500-0123456789ab")
    shutil.copy(signature.path_of(signed), signature.path_of(other))
    assert words(other, keys.line(key)) == "Signature verification failed: incorrect signature"


def test_a_signature_by_another_key_is_refused_with_the_key_that_made_it(
    signed: Path, tmp_path: Path, key: Path
) -> None:
    other = keys.made(tmp_path, "other")
    why = f"nobody who may sign now has its ED25519 key {fingerprint(key)}"
    assert words(signed, keys.line(other)) == why


def test_a_signer_whose_time_is_over_is_refused_with_that_time(signed: Path, key: Path) -> None:
    why = words(signed, "# who may\n" + keys.line(key, 'valid-before="20200101Z"'))
    assert why.startswith("infra/signers/staging:2: key has expired: verify time ")
    assert why.endswith(f", nobody who may sign now has its ED25519 key {fingerprint(key)}")
    assert "valid-before 20" in why


def test_a_signature_for_something_else_is_refused(tmp_path: Path, key: Path) -> None:
    path = kept(tmp_path)
    signature.sign(path, str(key), "another")
    assert words(path, keys.line(key)) == "Couldn't verify signature: namespace does not match"


def test_a_key_that_may_sign_something_else_only_is_refused(signed: Path, key: Path) -> None:
    assert words(signed, keys.line(key, 'namespaces="git"')) == (
        'infra/signers/staging:1: key is not permitted for use in signature namespace "release@shop"'
    )


@pytest.mark.parametrize("allowed", ["", "\n", "# nobody yet\n  # nobody"])
def test_where_nobody_may_sign_every_bundle_is_refused_with_how_to_add_somebody(
    signed: Path, allowed: str
) -> None:
    assert refusal(signed, allowed) == (
        "infra/signers/staging names nobody who may sign; add a key: make signer ENV=staging SIGNING_KEY=FILE"
    )


def test_a_line_that_is_none_lets_nobody_sign_and_is_named(signed: Path) -> None:
    assert words(signed, "abebe ssh-ed25519 nonsense").startswith(
        "infra/signers/staging:1: invalid key, nobody who "
    )


def test_nobody_has_to_sign_where_no_file_says_who_and_an_unreadable_one_is_not_none(tmp_path: Path) -> None:
    assert signature.signers(tmp_path, "staging") is None
    (tmp_path / "infra/signers").mkdir(parents=True)
    (tmp_path / "infra/signers/staging").symlink_to("nowhere")
    with pytest.raises(OSError, match="No such file"):
        signature.signers(tmp_path, "staging")


def test_a_deleted_bundle_takes_its_signature_along(signed: Path) -> None:
    bundle.delete(signed.parent, "shop", VERSION)
    assert list(signed.parent.iterdir()) == []


def test_a_machine_without_ssh_keygen_is_told_to_install_it(
    signed: Path, tmp_path: Path, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = "there is no ssh-keygen here; install OpenSSH's client (Debian: apt install openssh-client)"
    allowed = keys.line(key)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert refusal(signed, allowed) == line
    assert unsigned(tmp_path, key) == line


def unsigned(folder: Path, key: Path) -> str:
    """Why a key does not sign; whatever the reason, no half of a signature stays."""
    path = kept(folder, "1")
    with pytest.raises(RolloutError) as refused:
        signature.sign(path, str(key), "shop")
    assert {each.name for each in path.parent.glob("*shop-1.*")} == {"shop-1.tar", "shop-1.tar.sha256"}
    return str(refused.value)


def test_a_key_that_is_not_there_is_one_line_that_does_not_repeat_it(tmp_path: Path) -> None:
    line = (
        "SIGNING_KEY names no file; give the path of a private key; `ssh-keygen -t ed25519 -f FILE` makes one"
    )
    assert unsigned(tmp_path, tmp_path / "nowhere") == line
    assert unsigned(tmp_path, tmp_path) == line


def test_a_key_that_others_may_read_is_refused(tmp_path: Path, key: Path) -> None:
    key.chmod(0o644)
    assert unsigned(tmp_path, key) == (
        f"shop-1.tar cannot be signed with {key}: Permissions 0644 for '{key}' are too open.; "
        "take it from everybody else: chmod 600"
    )


def test_a_wrong_passphrase_is_one_line_that_does_not_tell_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, ask = keys.made(tmp_path, "locked", passphrase="the right one"), tmp_path / "ask"
    ask.write_text("#!/bin/sh\necho a wrong one\n")
    ask.chmod(0o755)
    monkeypatch.setenv("SSH_ASKPASS", str(ask))
    monkeypatch.setenv("SSH_ASKPASS_REQUIRE", "force")
    assert unsigned(tmp_path, key) == (
        f'shop-1.tar cannot be signed with {key}: Load key "{key}": incorrect passphrase supplied to decrypt '
        "private key; type the right one at a terminal, or `ssh-add` the key and name its .pub"
    )
    ask.write_text("#!/bin/sh\necho the right one\n")
    path = kept(tmp_path)
    signature.sign(path, str(key), "shop")
    assert signature.verify(path, keys.line(key), "shop", "staging") == "locked"


def test_a_passphrase_is_typed_at_the_terminal(tmp_path: Path) -> None:
    key, path = keys.made(tmp_path, "locked", passphrase="the right one"), kept(tmp_path)
    child, terminal = pty.fork()
    if not child:
        try:
            signature.sign(path, str(key), "shop")
            os._exit(0)
        finally:
            os._exit(1)
    said = b""
    while b"passphrase" not in said:
        assert select.select([terminal], [], [], 20)[0], said
        said += os.read(terminal, 4096)
    os.write(terminal, b"the right one\n")
    assert os.waitpid(child, 0)[1] == 0
    os.close(terminal)
    assert signature.verify(path, keys.line(key), "shop", "staging") == "locked"


def test_a_public_key_whose_other_half_no_agent_holds_is_one_line(tmp_path: Path, key: Path) -> None:
    key.unlink()
    assert unsigned(tmp_path, Path(f"{key}.pub")).endswith(
        f'No private key found for public key "{key}.pub"; '
        "give the key to the agent: ssh-add, or name the private key's own file"
    )


def test_what_is_no_key_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("nonsense")
    (tmp_path / "key").chmod(0o600)
    assert unsigned(tmp_path, tmp_path / "key").endswith("; name a private key that ssh-keygen can read")


PLAY = """
- hosts: fleet
  gather_facts: false
  vars:
    rollout_store: {store}
    rollout_signers: {signers}
    rollout_facts: {{name: shop, port: 1}}
    rollout_step: preflight
  tasks:
    - ansible.builtin.include_role: {{name: rollout, tasks_from: step}}
    - ansible.builtin.debug: {{msg: "{{{{ rollout_failure.reason }}}}"}}
"""
# Nobody answers there: whatever is asked of these hosts ends in words of ssh.
HOSTS = """
all:
  children: {fleet: {hosts: {host1: {ansible_host: 127.0.0.1}, host2: {ansible_host: 127.0.0.1}}}}
  vars:
    ansible_port: 1
    ansible_python_interpreter: /usr/bin/nothing
    rollout_engine: systemd
    rollout_environment: staging
    rollout_root: /srv/shop
    rollout_lease: {version: VERSION, number: 1}
"""


def preflight(folder: Path, path: Path, signers: Path) -> str:
    """What a preflight of servers says that cannot be reached."""
    if not (folder / "group_vars").exists():
        (folder / "group_vars").symlink_to(REPOSITORY / "playbooks/group_vars")
    (folder / "hosts.yml").write_text(HOSTS.replace("VERSION", VERSION))
    (folder / "play.yml").write_text(PLAY.format(store=path.parent, signers=signers))
    playbook = str(Path(sys.executable).with_name("ansible-playbook"))
    done = subprocess.run(
        [playbook, "-i", folder / "hosts.yml", folder / "play.yml"],
        cwd=REPOSITORY, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=120,
        env=os.environ | {"ANSIBLE_STDOUT_CALLBACK": "default"},
    )  # fmt: skip
    return done.stdout + done.stderr


def test_a_bundle_for_servers_is_refused_before_any_of_them_is_asked_anything(
    signed: Path, tmp_path: Path, key: Path
) -> None:
    signers = tmp_path / "signers"
    signers.write_text(keys.line(key))
    assert "cannot be reached" in preflight(tmp_path, signed, signers)
    signature.path_of(signed).unlink()
    said = preflight(tmp_path, signed, signers)
    assert said.count(f'    "msg": "{signed} has no signature beside it; run `make build') == 2, said
    assert "cannot be reached" not in said
