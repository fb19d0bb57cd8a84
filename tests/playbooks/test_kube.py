"""A cluster's API server as a rollout asks it: away for a while, busy, refusing; and kubeconfigs that are none."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes.client.exceptions import ApiException

from rollout import kube
from rollout.errors import RolloutError
from tests.k8s.door import Door
from tests.rollout.checkout import free_port

HANGS_UP = 0
CONFIGMAP = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"A": "1"}}
VERSION = ["major", "minor", "gitVersion", "gitCommit", "gitTreeState", "buildDate", "goVersion", "compiler"]
ANSWERS: dict[str, Any] = {
    "/version/": dict.fromkeys([*VERSION, "platform"], "1"),
    "/api/v1": {
        "kind": "APIResourceList",
        "resources": [{"name": "configmaps", "namespaced": True, "kind": "ConfigMap"}],
    },
    "/api/v1/namespaces/shop/configmaps": {"kind": "ConfigMapList", "items": [CONFIGMAP]},
}


class ApiServer(BaseHTTPRequestHandler):
    """As much of an API server as a client needs to find one ConfigMap. `faults` come first."""

    faults: list[int]
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(f"{self.command} {self.path}")
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status = self.faults.pop(0) if self.faults else 200
        if status == HANGS_UP:
            return
        path = self.path.partition("?")[0]
        refusal = {"kind": "Status", "message": "etcdserver: leader changed", "code": status}
        body = json.dumps(ANSWERS.get(path, CONFIGMAP) if status == 200 else refusal).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

    def date_time_string(self, timestamp: float | None = None) -> str:
        return formatdate(timestamp, usegmt=True)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def answering(port: int) -> Iterator[type[ApiServer]]:
    """An API server on a port. Gives its faults and what it was asked."""

    class Handler(ApiServer):
        faults: list[int] = []  # noqa: RUF012
        asked: list[str] = []  # noqa: RUF012

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield Handler
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def kubeconfig(server: str = "", **more: Any) -> dict[str, Any]:
    return {
        "current-context": "here",
        "clusters": [{"name": "one", "cluster": {"server": server} if server else {}}],
        "users": [{"name": "one", "user": {}}],
        "contexts": [{"name": "here", "context": {"cluster": "one", "user": "one"}}],
    } | more


@pytest.fixture
def port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """That of the server which the kubeconfig names. Nobody listens there yet."""
    port = free_port()
    place(tmp_path, monkeypatch, json.dumps(kubeconfig(f"http://127.0.0.1:{port}")).encode())
    monkeypatch.setattr(kube, "AGAIN_SECONDS", 0.02)
    return port


def place(folder: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> Path:
    """Make a file the kubeconfig."""
    file = folder / "kubeconfig"
    file.write_bytes(content)
    monkeypatch.setenv("KUBECONFIG", str(file))
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(file))
    return file


def test_a_server_that_comes_late_is_waited_for(port: int) -> None:
    found: list[kube.Thing | None] = []
    late = threading.Thread(target=lambda: found.append(kube.Cluster("shop").get("ConfigMap", "settings")))
    late.start()
    with answering(port):
        late.join(20)
    assert found == [CONFIGMAP]


@pytest.mark.parametrize("fault", [HANGS_UP, 429, 500, 503, 504])
@pytest.mark.parametrize("verb", ["get", "every", "apply", "create", "replace", "delete"])
def test_every_request_outlives_a_server_that_hangs_up_or_is_busy(port: int, fault: int, verb: str) -> None:
    with answering(port) as server:
        cluster = kube.Cluster("shop")
        asks: dict[str, Callable[[], object]] = {
            "get": lambda: cluster.get("ConfigMap", "settings"),
            "every": lambda: cluster.every("ConfigMap"),
            "delete": lambda: cluster.delete("ConfigMap", "settings"),
        }
        ask = asks.get(verb) or (lambda: getattr(cluster, verb)(CONFIGMAP))
        ask()
        once = server.asked[-1]
        server.faults += [fault, fault]
        ask()
        assert server.asked[-3:] == [once] * 3


def test_a_busy_server_is_none_that_knows_nothing(port: int) -> None:
    with answering(port) as server:
        cluster = kube.Cluster("shop")
        server.faults += [503, 503]
        assert cluster.get("ConfigMap", "settings") == CONFIGMAP
        server.faults += [404]
        with pytest.raises(RolloutError, match="the cluster knows no Lease of coordination"):
            cluster.get("Lease", "rollout")


def test_what_was_made_by_a_try_whose_answer_was_lost_is_made(port: int) -> None:
    with answering(port) as server:
        cluster = kube.Cluster("shop")
        cluster.every("ConfigMap")
        server.faults += [HANGS_UP, 409]
        assert cluster.create(CONFIGMAP) == CONFIGMAP
        server.faults += [409]
        with pytest.raises(kube.Changed):
            cluster.create(CONFIGMAP)


def test_what_a_pod_answered_is_read_again_and_what_it_says_is_not_waited_for(port: int) -> None:
    with answering(port) as server:
        cluster = kube.Cluster("shop")
        server.faults += [500]
        assert cluster.log("judge-1", sure=True)
        server.faults += [500]
        assert cluster.log("judge-1") == ""


def test_a_server_that_stays_away_is_one_line(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kube, "AWAY_SECONDS", 0.1)
    with answering(port) as server:
        cluster = kube.Cluster("shop")
        server.faults += [503] * 50
        with pytest.raises(
            kube.Away, match=r"ConfigMap settings cannot be asked for: .*too busy: 503 etcdserver"
        ):
            cluster.get("ConfigMap", "settings")
        server.faults.clear()
    with pytest.raises(
        kube.Away, match=r"the cluster does not answer .*refused.*; look at KUBECONFIG"
    ) as away:
        cluster.get("ConfigMap", "settings")
    assert "\n" not in str(away.value)


def test_a_way_to_it_that_is_closed_for_a_while_is_waited_for(
    port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with answering(port), Door("127.0.0.1", port) as door:
        place(tmp_path, monkeypatch, json.dumps(kubeconfig(f"http://127.0.0.1:{door.port}")).encode())
        cluster = kube.Cluster("shop")
        with door.closed():
            late = threading.Timer(0.3, setattr, (door, "_open", True))
            late.start()
            assert cluster.get("ConfigMap", "settings") == CONFIGMAP
            late.join()
    assert door.refused


@pytest.mark.parametrize("status", [400, 403, 409, 422])
def test_a_refusal_is_not_asked_for_again(port: int, status: int) -> None:
    with answering(port) as server:
        cluster = kube.Cluster("shop")
        cluster.get("ConfigMap", "settings")
        before = len(server.asked)
        server.faults += [status]
        with pytest.raises(RolloutError, match="settings"):
            cluster.get("ConfigMap", "settings")
        assert len(server.asked) == before + 1


@pytest.mark.parametrize(
    ("message", "remedy"),
    [
        ('pods "x" is forbidden: exceeded quota: all, requested: cpu=8', "raise the quota"),
        ("namespace shop because it is being terminated", "wait until the namespace is gone"),
        ("maximum memory usage per Container is 2Gi, but limit is 3Gi", "mend the manifest"),
        ('violates PodSecurity "restricted:latest": privileged', "mend the manifest"),
        ('User "abebe" cannot create resource "pods"', "use a kubeconfig that may do this"),
    ],
)
def test_what_is_forbidden_names_the_remedy_that_helps(message: str, remedy: str) -> None:
    refusal = ApiException(status=403, reason="Forbidden")
    refusal.body = json.dumps({"message": message})
    with pytest.raises(RolloutError, match=f"; {remedy}"), kube.said("Pod web-1"):
        raise refusal


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("Handshake status 404 Not Found -+-+- {}", kube.Missing),
        ("Handshake status 502 Bad Gateway", kube.Away),
    ],
)
def test_what_a_stream_makes_of_a_refusal_is_understood(said: str, kind: type[RolloutError]) -> None:
    with pytest.raises(kind), kube.said("Pod web-1"):
        raise ApiException(status=0, reason=said)


class Stream:
    """What a command said through a stream, and how it ended."""

    def __init__(self, status: str) -> None:
        self.status = status

    def run_forever(self, timeout: float) -> None:
        pass

    def is_open(self) -> bool:
        return False

    def read_channel(self, _: int) -> str:
        return self.status

    def read_all(self) -> str:
        return "half of it" if not self.status else "all of it"


def test_a_command_whose_stream_is_lost_is_run_again_and_nothing_else_goes_through_its_client(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client hands all that it is asked to a stream that opens: the lease's renewal was lost there."""
    streams, clients = [Stream('{"status": "Success"}'), Stream("")], []

    def streamed(ask: Any, *_: Any, **__: Any) -> Stream:
        clients.append(ask.__self__.api_client)
        return streams.pop()

    monkeypatch.setattr(kube, "streamed", streamed)
    with answering(port):
        cluster = kube.Cluster("shop")
        assert cluster.run("web-1", "web", ["true"], 5) == (0, "all of it")
        assert cluster._api not in clients


NO_KUBECONFIGS = {
    "binary": b"\x7fELF\x02\x01\x01\x00\xff\xfe",
    "empty": b"",
    "no YAML": b"a: [",
    "a list": b"- 1\n- 2\n",
    "a word": b"hello",
    "another kind": b"apiVersion: v1\nkind: ConfigMap\ndata: {A: b}\n",
    "contexts of another shape": json.dumps(kubeconfig(contexts={"here": 1})).encode(),
    "no such cluster": json.dumps(kubeconfig(clusters=[])).encode(),
    "no server": json.dumps(kubeconfig()).encode(),
    "no context is the current one": yaml.safe_dump(
        {key: value for key, value in kubeconfig("http://here").items() if key != "current-context"}
    ).encode(),
    "a certificate that is none": json.dumps(
        kubeconfig(
            clusters=[
                {"name": "one", "cluster": {"server": "https://here", "certificate-authority-data": "1"}}
            ]
        )
    ).encode(),
}


@pytest.mark.parametrize("content", NO_KUBECONFIGS.values(), ids=NO_KUBECONFIGS)
def test_a_file_that_is_no_kubeconfig_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    file = place(tmp_path, monkeypatch, content)
    with pytest.raises(RolloutError, match="; name the file of your cluster in KUBECONFIG") as error:
        kube.Cluster("shop")
    assert str(error.value).startswith(f"no kubeconfig can be read from {file}: ")
    assert "\n" not in str(error.value)


def test_a_kubeconfig_that_cannot_be_read_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = place(tmp_path, monkeypatch, b"")
    file.unlink()
    file.mkdir()
    with pytest.raises(RolloutError, match=f"no kubeconfig can be read from {file}: "):
        kube.Cluster("shop")
