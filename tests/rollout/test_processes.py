"""What is read from /proc is what really runs."""

import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from tests.rollout.processes import alive, cpu_seconds, held_ports, kill_tree, processes, tree

CHILD = (
    "import subprocess, sys; p = subprocess.Popen(['sleep', '60'], env={'MARK': sys.argv[1]});"
    "print(p.pid, flush=True); p.wait()"
)


def test_a_process_is_found_by_its_environment_and_its_tree_holds_its_children() -> None:
    parent = subprocess.Popen([sys.executable, "-c", CHILD, "here"], stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    child = int(parent.stdout.readline())
    try:
        assert [one.pid for one in processes() if one.environment.get("MARK") == "here"] == [child]
        assert [one.pid for one in tree(parent.pid)] == [parent.pid, child]
        tree(parent.pid)[1].kill()
    finally:
        parent.kill()
        parent.wait(10)
        parent.stdout.close()
    assert not alive(parent.pid)


BREEDER = (
    "import subprocess, sys\n"
    "while True:\n"
    "    subprocess.run(['sh', '-c', 'sleep 0; sleep 0'], env={'MARK': 'bred'})\n"
    "    if sys.stdout: print(flush=True); sys.stdout = None\n"
)


def test_a_tree_whose_processes_come_and_go_is_killed_whole() -> None:
    for _ in range(10):
        parent = subprocess.Popen([sys.executable, "-c", BREEDER], stdout=subprocess.PIPE)
        assert parent.stdout
        parent.stdout.readline()
        kill_tree(parent.pid)
        assert parent.wait(10) == -signal.SIGKILL
        parent.stdout.close()
        assert not [one for one in processes() if one.environment.get("MARK") == "bred"]


def test_the_ports_that_a_process_holds_are_those_of_its_clients_idle_or_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        clients = [socket.create_connection(listener.getsockname()) for _ in range(3)]
        accepted = [listener.accept()[0] for _ in range(2)]
        wanted = {connection.getpeername()[1] for connection in accepted}
        held = held_ports([os.getpid()])
        (waiting,) = {client.getsockname()[1] for client in clients} - wanted
        for connection in [*clients, *accepted]:
            connection.close()
    assert wanted <= held
    assert not held & {waiting}, "a connection that nobody accepted is the kernel's, not the process's"


def test_cpu_seconds_are_those_that_were_burnt() -> None:
    before, end = cpu_seconds([os.getpid()]), time.process_time() + 0.3
    while time.process_time() < end:
        pass
    assert cpu_seconds([os.getpid()]) - before == pytest.approx(0.3, abs=0.1)
