"""Every arrow that is drawn passes, and every other pair of pods is cut off: tried from inside of pods."""

import json
from collections.abc import Iterator

import pytest

from tests.k8s.namespace import COMPONENT, Namespace
from tests.rollout.checkout import wait_until

pytestmark = pytest.mark.verify

SERVICE = ("web", "worker", "scheduler", "migrate", "candidate")
LISTEN = {"web": 8000, "database": 5432, "cache": 6379}
EVERY = (*SERVICE, "database", "cache", "stranger")
# From outside of the cluster everybody may ask the web; that is what every test of a rollout does.
ARROWS = {(source, target) for source in SERVICE for target in ("database", "cache")}
TRY = """
import json, socket, sys
got = {}
for target in sys.argv[1:]:
    name, host, port = target.split(":")
    try:
        socket.create_connection((host, int(port)), 3).close()
        got[name] = True
    except OSError:
        got[name] = False
print(json.dumps(got))
"""


@pytest.fixture(scope="module")
def targets(namespace: Namespace) -> dict[str, str]:
    """The address of a pod of each component that listens."""
    pods = {name: namespace.kubectl.get("pods", f"--selector={COMPONENT}={name}")[0] for name in LISTEN}
    return {name: pod["status"]["podIP"] for name, pod in pods.items()}


@pytest.fixture(scope="module")
def image(namespace: Namespace) -> str:
    return str(namespace.pods("web")[0]["spec"]["containers"][0]["image"])


@pytest.fixture
def trier(namespace: Namespace, image: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """A pod that does nothing, with the labels of a component."""
    component = str(request.param)
    name = f"tries-{component}"
    confined = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {COMPONENT: component, "tests/not": "the-service"}},
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
    namespace.kubectl("apply", "--filename=-", told=json.dumps(pod))
    wait_until(
        lambda: namespace.kubectl.get(f"pod/{name}")["status"]["phase"] == "Running", f"{name} to run", 60
    )
    yield name
    namespace.kubectl("delete", "pod", name, "--wait=true")


@pytest.mark.parametrize(("trier", "source"), [(each, each) for each in EVERY], indirect=["trier"])
def test_what_is_drawn_passes_and_nothing_else(
    namespace: Namespace, targets: dict[str, str], trier: str, source: str
) -> None:
    words = [f"{name}:{targets[name]}:{port}" for name, port in LISTEN.items()]
    said = namespace.kubectl("exec", trier, "--", "python", "-c", TRY, *words)
    assert json.loads(said) == {name: (source, name) in ARROWS for name in LISTEN}


def test_the_world_outside_is_not_reached_from_the_service(namespace: Namespace) -> None:
    node = namespace.nodes[0]
    web = namespace.pods("web")[0]["metadata"]["name"]
    got = namespace.kubectl(
        "exec", web, "--container=web", "--", "python", "-c", TRY, f"kubelet:{node}:10250"
    )
    assert json.loads(got) == {"kubelet": False}
