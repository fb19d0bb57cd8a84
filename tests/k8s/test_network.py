"""Every arrow that is drawn passes, and every other pair of pods is cut off: tried from inside of pods."""

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.k8s.namespace import COMPONENT, NUMBER, Staging
from tests.rollout.checkout import wait_until

pytestmark = pytest.mark.verify

SERVICE = ("web", "worker", "scheduler", "migrate", "candidate")
LISTEN = {"web": 8000, "database": 5432, "cache": 6379}
EVERY = (*SERVICE, "database", "cache", "backup", "stranger")
# From outside of the cluster everybody may ask the web; that is what every test of a rollout does.
ARROWS = {(source, target) for source in SERVICE for target in ("database", "cache")} | {
    ("backup", "database")
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


@pytest.fixture(scope="module")
def targets(staging: Staging) -> dict[str, str]:
    """The address of a pod of each component that listens."""
    pods = {name: staging.kubectl.get("pods", f"--selector={COMPONENT}={name}")[0] for name in LISTEN}
    return {name: pod["status"]["podIP"] for name, pod in pods.items()}


@pytest.fixture(scope="module")
def image(staging: Staging) -> str:
    return str(staging.pods("web")[0]["spec"]["containers"][0]["image"])


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
    staging: Staging, targets: dict[str, str], trier: str, source: str
) -> None:
    """A network plugin learns of a new pod when it runs already: what holds is awaited, and has to stay so."""
    words = [f"{name}:{targets[name]}:{port}" for name, port in LISTEN.items()]
    drawn = {name: (source, name) in ARROWS for name in LISTEN}

    def got() -> dict[str, bool]:
        said = staging.kubectl("exec", trier, "--", "python", "-c", TRY, *words)
        return dict(json.loads(said))

    wait_until(lambda: got() == drawn, f"{source} to reach {drawn}", PLUGIN_SECONDS)
    assert got() == drawn


def test_the_world_outside_is_not_reached_from_the_service(staging: Staging) -> None:
    """The kubelet of another node: it listens, and no rule names it."""
    web = staging.pods("web")[0]
    (outside, *_) = [node for node in staging.nodes if node != web["status"]["hostIP"]]
    asked = ("-c", TRY, f"kubelet:{outside}:10250")
    here = subprocess.run([sys.executable, *asked], capture_output=True, text=True, check=True, timeout=30)
    assert json.loads(here.stdout) == {"kubelet": True}
    there = staging.kubectl("exec", web["metadata"]["name"], "--container=web", "--", "python", *asked)
    assert json.loads(there) == {"kubelet": False}
