"""Every arrow that is drawn passes, and every other pair of pods is cut off: tried from inside of pods."""

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator

import pytest

from tests.docker.containers import container, docker
from tests.k8s.namespace import COMPONENT, NUMBER, Staging
from tests.rollout.checkout import wait_until

pytestmark = pytest.mark.verify

SERVICE = ("web", "worker", "scheduler", "migrate", "candidate")
LISTEN = {"web": 8000, "database": 5432, "cache": 6379}
INTERNET = "198.51.100.0/24"
"""Addresses that are nobody's (RFC 5737): what lies there is to the cluster as the internet is."""
EVERY = (*SERVICE, "database", "cache", "backup", "stranger")
# From outside of the cluster everybody may ask the web; that is what every test of a rollout does.
ARROWS = {(source, target) for source in SERVICE for target in ("database", "cache")} | {
    ("backup", "database"),
    ("web", "chapa"),
    ("worker", "chapa"),
}
PLUGIN_SECONDS = 30
TRY = """
import concurrent.futures, json, socket, sys
def reached(target):
    name, host, port = target.split(":")
    try:
        socket.create_connection((host, int(port)), 3).close()
        return name, True
    except OSError:
        return name, False
with concurrent.futures.ThreadPoolExecutor() as pool:
    print(json.dumps(dict(pool.map(reached, sys.argv[1:]))))
"""

LISTENS = """
import socket, threading
def listen(port):
    server = socket.create_server(("", port))
    while True:
        server.accept()[0].close()
threads = [threading.Thread(target=listen, args=[port]) for port in (443, 5432)]
for thread in threads: thread.start()
"""


def tried(*targets: str) -> str:
    """What TRY says of these, outside of the cluster."""
    asked = [sys.executable, "-c", TRY, *targets]
    return subprocess.run(asked, capture_output=True, text=True, check=True, timeout=30).stdout


@pytest.fixture(scope="module")
def image(staging: Staging) -> str:
    return str(staging.pods("web")[0]["spec"]["containers"][0]["image"])


@pytest.fixture(scope="module")
def internet() -> Iterator[str]:
    """The address of a machine outside of the cluster that listens for HTTPS, and for PostgreSQL."""
    name = f"internet-{uuid.uuid4().hex[:8]}"
    docker("network", "create", f"--subnet={INTERNET}", name)
    try:
        with container(
            f"--network={name}",
            "--publish=127.0.0.1::443",
            "--publish=127.0.0.1::5432",
            "python:3.13-slim",
            "python",
            "-c",
            LISTENS,
        ) as made:
            address = json.loads(docker("inspect", made))[0]["NetworkSettings"]["Networks"][name]["IPAddress"]
            wait_until(
                lambda: all(json.loads(tried(f"{port}:{address}:{port}")).values() for port in (443, 5432)),
                "the internet",
                30,
            )
            yield str(address)
    finally:
        docker("network", "rm", name)


@pytest.fixture(scope="module")
def targets(staging: Staging, internet: str) -> list[str]:
    """Where a pod of each component listens, Chapa, and another port where Chapa is."""
    pods = {name: staging.kubectl.get("pods", f"--selector={COMPONENT}={name}")[0] for name in LISTEN}
    within = [f"{name}:{pods[name]['status']['podIP']}:{port}" for name, port in LISTEN.items()]
    return [*within, f"chapa:{internet}:443", f"abroad:{internet}:5432"]


@pytest.fixture
def trier(staging: Staging, image: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """A pod that does nothing, with the labels of a component."""
    component = str(request.param)
    name = f"tries-{component}"
    numbered = {NUMBER: "0"} if component in SERVICE else {}
    confined = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {COMPONENT: component, "rollout/kind": "tries"} | numbered},
        "spec": {
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 10001,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            # Not ready: no Service sends it anything.
            "containers": [
                {
                    "name": "tries",
                    "image": image,
                    "command": ["sleep", "300"],
                    "readinessProbe": {"exec": {"command": ["false"]}},
                    "securityContext": confined,
                }
            ],
        },
    }
    staging.kubectl("apply", "--filename=-", told=json.dumps(pod))
    wait_until(
        lambda: staging.kubectl.get(f"pod/{name}")["status"]["phase"] == "Running", f"{name} to run", 60
    )
    yield name
    staging.kubectl("delete", "pod", name, "--wait=true")


@pytest.mark.parametrize(("trier", "source"), [(each, each) for each in EVERY], indirect=["trier"])
def test_what_is_drawn_passes_and_nothing_else(
    staging: Staging, targets: list[str], trier: str, source: str
) -> None:
    """A network plugin learns of a new pod when it runs already: what holds is awaited, and has to stay so."""
    drawn = {name: (source, name) in ARROWS for name in (*LISTEN, "chapa", "abroad")}

    def got() -> dict[str, bool]:
        said = staging.kubectl("exec", trier, "--", "python", "-c", TRY, *targets)
        return dict(json.loads(said))

    wait_until(lambda: got() == drawn, f"{source} to reach {drawn}", PLUGIN_SECONDS)
    assert got() == drawn


def test_the_world_outside_is_not_reached_from_the_service(staging: Staging) -> None:
    """The kubelet of another node: it listens, and no rule names it."""
    web = staging.pods("web")[0]
    (outside, *_) = [node for node in staging.nodes if node != web["status"]["hostIP"]]
    kubelet = f"kubelet:{outside}:10250"
    assert json.loads(tried(kubelet)) == {"kubelet": True}
    there = staging.kubectl(
        "exec", web["metadata"]["name"], "--container=web", "--", "python", "-c", TRY, kubelet
    )
    assert json.loads(there) == {"kubelet": False}
