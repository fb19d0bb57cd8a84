"""Which cluster is about to be changed: production only when its name is typed, by whoever sits there."""

import json
import os
import pty
import select
import subprocess
import sys
from pathlib import Path

import pytest

from tests.rollout.checkout import REPOSITORY

PLAYBOOK = """
- hosts: localhost
  gather_facts: false
  tasks:
    - cluster_context: {context: "%s", environment: "%s", confirmed: "%s"}
"""
KUBECONFIG = {
    "current-context": "here",
    "clusters": [{"name": "one", "cluster": {"server": "https://127.0.0.1:1"}}],
    "users": [{"name": "one", "user": {}}],
    "contexts": [{"name": "here", "context": {"cluster": "one", "user": "one"}}],
}


def judged(
    folder: Path,
    environment: str,
    *,
    context: str = "",
    confirmed: str = "",
    typed: str | None = None,
    said: str | None = None,
    kubeconfig: bytes = json.dumps(KUBECONFIG).encode(),
) -> tuple[int, str]:
    """The play's status and output, with somebody at a terminal who types a word when he is asked, or with nobody."""
    (folder / "kubeconfig").write_bytes(kubeconfig)
    (folder / "play.yml").write_text(PLAYBOOK % (context, environment, confirmed))
    command = [str(Path(sys.executable).with_name("ansible-playbook")), str(folder / "play.yml")]
    env = os.environ | {"KUBECONFIG": str(folder / "kubeconfig"), "ANSIBLE_STDOUT_CALLBACK": "default"}
    env |= {"ENV": environment if said is None else said}
    if typed is None:
        done = subprocess.run(
            command, cwd=REPOSITORY, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            check=False, timeout=60,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr
    child, terminal = pty.fork()
    if not child:
        os.chdir(REPOSITORY)
        os.execve(command[0], command, env)  # noqa: S606 - as its own program
    said = ""
    try:
        while True:
            if select.select([terminal], [], [], 1)[0]:
                said += os.read(terminal, 4096).decode(errors="replace")
            elif "Type production to go on" in said:  # what is typed before it listens is not heard
                os.write(terminal, f"{typed}\r".encode())
    except OSError:  # it has ended
        pass
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said


def test_whoever_types_the_name_of_production_goes_on(tmp_path: Path) -> None:
    assert judged(tmp_path, "production", typed="production")[0] == 0


def test_whoever_types_another_name_does_not(tmp_path: Path) -> None:
    status, said = judged(tmp_path, "production", typed="staging")
    assert status != 0
    assert "production was not confirmed" in said


@pytest.mark.parametrize(("confirmed", "status"), [("production", 0), ("dev", 2), ("", 2)])
def test_where_nobody_sits_it_is_said_beforehand(tmp_path: Path, confirmed: str, status: int) -> None:
    got, said = judged(tmp_path, "production", confirmed=confirmed)
    assert got == status, said
    assert ("set CONFIRM=production" in said) == bool(status)


def test_others_need_no_confirmation(tmp_path: Path) -> None:
    assert judged(tmp_path, "dev")[0] == 0


def test_another_context_than_the_inventorys_is_refused(tmp_path: Path) -> None:
    status, said = judged(tmp_path, "dev", context="there")
    assert status != 0
    assert "no context there, which the inventory names; it has here" in said


@pytest.mark.parametrize("content", [b"\x7fELF\xff\xfe", b"contexts: {here: 1}\n"])
def test_a_file_that_is_no_kubeconfig_is_one_line(tmp_path: Path, content: bytes) -> None:
    status, said = judged(tmp_path, "dev", kubeconfig=content)
    assert status != 0
    assert "no kubeconfig can be read: " in said
    assert "Traceback" not in said
    assert "unexpected" not in said.lower()


@pytest.mark.parametrize(
    ("environment", "said"),
    [("staging", ""), ("staging", "dev"), ("dev", "staging"), ("production", "staging")],
)
def test_an_inventory_of_another_environment_than_env_says_is_refused(
    tmp_path: Path, environment: str, said: str
) -> None:
    status, words = judged(tmp_path, environment, said=said, confirmed=environment)
    assert status
    assert f"the inventory is of {environment}, and ENV says {said or 'dev'}; set ENV={environment}" in words


def test_env_may_name_one_of_several_of_an_environment(tmp_path: Path) -> None:
    assert judged(tmp_path, "staging", said="staging-eu")[0] == 0
