"""A node whose network is cut off: what it costs, counted, and how long until the service is whole without it."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.k8s.knocks import Knocks
from tests.k8s.namespace import COMPONENT, Namespace, is_ready
from tests.parts.cluster import Kubectl
from tests.rollout.checkout import wait_until

pytestmark = [pytest.mark.verify, pytest.mark.chaos]

CUT_SECONDS = 90
WHOLE_SECONDS = 75
"""A node counts as gone after about 20 s, its pods move after 15 s more, then they have to start."""
MOST_LOST = 400
CUT = """
import fcntl, socket, struct, sys, time
address, seconds = sys.argv[1], float(sys.argv[2])
asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

def ask(number, name, more=b""):
    return fcntl.ioctl(asking, number, struct.pack("16s24s", name.encode(), more))

def address_of(name):
    try:
        return socket.inet_ntoa(ask(0x8915, name)[20:24])
    except OSError:
        return ""

(name,) = [name for _, name in socket.if_nameindex() if address_of(name) == address]
lines = [line.split() for line in open("/proc/net/route").read().splitlines()[1:]]
ways = [line for line in lines if line[0] == name and line[2] != "00000000"]
(flags,) = struct.unpack("h", ask(0x8913, name)[16:18])
ask(0x8914, name, struct.pack("h", flags & ~1))
time.sleep(seconds)
ask(0x8914, name, struct.pack("h", flags))

def to(hexadecimal):
    return struct.pack("HH4s8x", socket.AF_INET, 0, bytes.fromhex(hexadecimal)[::-1])

for way in ways:
    where = to(way[1]), to(way[2]), to(way[7])
    entry = struct.pack("L16s16s16sHhLPhPLLH", 0, *where, int(way[3], 16), *[0] * 8)
    fcntl.ioctl(asking, 0x890B, entry)
"""


def scissors(name: str, node: str, address: str, image: str, seconds: int) -> dict[str, Any]:
    """A pod that takes its node's network down, and up again."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "nodeName": node,
            "hostNetwork": True,
            "restartPolicy": "Never",
            "tolerations": [{"operator": "Exists"}],  # or a long cut evicts what makes it
            "containers": [
                {
                    "name": "cut",
                    "image": image,
                    "command": ["python", "-c", CUT, address, str(seconds)],
                    "securityContext": {"runAsUser": 0, "capabilities": {"add": ["NET_ADMIN"]}},
                }
            ],
        },
    }


@contextmanager
def cut_off(namespace: Namespace, node: dict[str, Any], seconds: int = CUT_SECONDS) -> Iterator[None]:
    """A node without a network, from the first moment on; it is back in the end, after so many seconds."""
    kubectl, name = Kubectl("default"), node["metadata"]["name"]
    (address,) = [each["address"] for each in node["status"]["addresses"] if each["type"] == "InternalIP"]
    image = namespace.pods("web")[0]["spec"]["containers"][0]["image"]
    kubectl("apply", "--filename=-", told=json.dumps(scissors("scissors", name, address, image, seconds)))
    try:
        yield
    finally:

        def back() -> bool:
            return is_ready(kubectl.get(f"node/{name}")) and (
                kubectl.get("pod/scissors")["status"]["phase"] == "Succeeded"
            )

        wait_until(back, f"{name} to be back", seconds + 120, every=1)
        kubectl("delete", "pod", "scissors", "--wait=true")


@contextmanager
def cordoned(namespace: Namespace, node: str) -> Iterator[None]:
    """A node that new pods do not come to; afterwards every process runs."""
    namespace.kubectl("cordon", node)
    try:
        yield
        namespace.await_whole()
    finally:
        namespace.kubectl("uncordon", node)


def spread(namespace: Namespace, stores: str, other: str) -> None:
    """Let a web be on each of two nodes, worker and scheduler on the one that does not store."""
    namespace.await_least()
    for node, moves in ((stores, ("worker", "scheduler")), (other, ())):
        on = {
            process: [pod for pod in namespace.pods(process) if pod["spec"]["nodeName"] == node]
            for process in namespace.PROCESSES
        }
        if moved := on["web"][1:] + [pod for process in moves for pod in on[process]]:
            with cordoned(namespace, node):
                namespace.kubectl("delete", "pod", *(pod["metadata"]["name"] for pod in moved))


def test_a_node_that_is_cut_off_costs_what_is_counted_and_the_service_is_whole_without_it(
    namespace: Namespace,
) -> None:
    stores = namespace.kubectl.get("pods", f"--selector={COMPONENT}=database")[0]["spec"]["nodeName"]
    nodes = {node["metadata"]["name"]: node for node in namespace.kubectl.get("nodes")}
    other, gone = next((name, node) for name, node in nodes.items() if name != stores)
    (way_in,) = [
        each["address"] for each in nodes[stores]["status"]["addresses"] if each["type"] == "InternalIP"
    ]

    spread(namespace, stores, other)

    def here(process: str) -> int:
        return len([pod for pod in namespace.ready(process) if pod["spec"]["nodeName"] == stores])

    before = {process: here(process) for process in namespace.PROCESSES}
    assert before == {"web": 1, "worker": 0, "scheduler": 0}
    with Knocks([way_in], namespace.node_port) as knocks, cut_off(namespace, gone):
        began = time.monotonic()
        wait_until(
            lambda: all(here(process) >= most for process, most in namespace.PROCESSES.items()),
            "full strength on the other node",
            WHOLE_SECONDS,
            every=0.5,
        )
        whole, lost = time.monotonic() - began, len(knocks.lost)
        asked = knocks.asked
        wait_until(lambda: knocks.asked >= asked + 50, "requests after that", 30)
        assert len(knocks.lost) == lost, "requests are lost although the service is whole"
    namespace.figures.append(
        f"a node is cut off: {lost} of {knocks.asked} requests through the other one lost, "
        f"at full strength after {whole:.0f} s"
    )
    assert lost <= MOST_LOST
    namespace.await_whole(180)
