"""A cluster's API as a rollout uses it: one namespace, server-side apply, and errors that a person can act on."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import kubernetes
import urllib3
import websocket
import yaml
from kubernetes.client.exceptions import ApiException
from kubernetes.dynamic import DynamicClient
from kubernetes.dynamic.exceptions import NotFoundError
from kubernetes.dynamic.resource import Resource
from kubernetes.stream import stream as streamed
from kubernetes.stream import ws_client

from .errors import RolloutError

MANAGER = "rollout"
"""The field manager of all that a rollout applies."""
SECONDS = 15.0
"""The longest that a request to the API server may take."""
AWAY_SECONDS = 25.0
"""How long the API server may be absent or busy: a control plane that restarts is."""
AGAIN_SECONDS = 1.0
BUSY = (429, 500, 501, 502, 503, 504)
"""https://kubernetes.io/docs/reference/using-api/api-concepts: of a server that could not, not that would not."""
TRIES = 10
"""How often an object is read and written again that somebody else wrote in between."""
CHUNK = 65536
HANDSHAKE = re.compile(r"Handshake status (\d+)")
API_OF = {
    "Namespace": "v1",
    "Node": "v1",
    "Pod": "v1",
    "Secret": "v1",  # pragma: allowlist secret
    "ConfigMap": "v1",
    "Event": "v1",
    "Service": "v1",
    "Deployment": "apps/v1",
    "ReplicaSet": "apps/v1",
    "StatefulSet": "apps/v1",
    "Job": "batch/v1",
    "CronJob": "batch/v1",
    "Lease": "coordination.k8s.io/v1",
    "HorizontalPodAutoscaler": "autoscaling/v2",
}
ABOUT_MANIFESTS = ("per Container", "per Pod", "per PersistentVolumeClaim", "violates PodSecurity")
"""What the API server refuses an object for that its user may make."""
Thing = dict[str, Any]
T = TypeVar("T")
NO_KUBECONFIG = (
    kubernetes.config.ConfigException,
    yaml.YAMLError,
    OSError,
    ValueError,  # bytes that are no text, certificates that are no base64
    TypeError,  # YAML of another shape
    AttributeError,
    KeyError,
)
"""How the client fails on a file that is no kubeconfig."""


class Changed(RolloutError):
    """Somebody else changed an object since it was read."""


class Away(RolloutError):
    """The API server does not answer, or is too busy to."""


class Cluster:
    """One namespace of the cluster that a context of the kubeconfig names.

    :param context: of KUBECONFIG or ~/.kube/config; empty for the current one.
    :raises RolloutError: there is no such context, or it leads nowhere.
    :param patience: seconds for which every request is made again while the API server is away or busy.
    :raises Away: it is longer. So may every request.
    """

    def __init__(self, namespace: str, context: str = "", patience: float | None = None) -> None:
        self.namespace, self._patience = namespace, AWAY_SECONDS if patience is None else patience
        self._api, self.context = _client(context)
        _, _, headers = asked(
            f"the cluster of context {self.context}",
            lambda: kubernetes.client.VersionApi(self._api).get_code_with_http_info(_request_timeout=SECONDS),
            self._patience,
        )
        self._ahead = parsedate_to_datetime(headers["Date"]).timestamp() - time.time()
        # The client's own look at all that the API holds mistakes a busy server for one that knows nothing.
        self._dynamic = DynamicClient(self._api, discoverer=lambda *_: None)  # type: ignore[no-untyped-call]
        self._kinds: dict[tuple[str, str], Any] = {}

    def now(self) -> float:
        """The API server's clock, in seconds since 1970: what deployers on different machines share."""
        return time.time() + self._ahead

    def get(self, kind: str, name: str) -> Thing | None:
        """An object, or None where there is none."""
        return self.get_of({"kind": kind, "apiVersion": API_OF[kind], "metadata": {"name": name}})

    def get_of(self, thing: Thing) -> Thing | None:
        """What is on the cluster in the place of an object."""
        kind, name = thing["kind"], thing["metadata"]["name"]
        where = self._where(kind)
        try:
            return self._asked(kind, name, lambda of: of.get(name=name, **where), thing["apiVersion"])
        except Missing:
            return None

    def every(self, kind: str, selector: str = "") -> list[Thing]:
        """The objects of a kind with these labels."""
        where = self._where(kind)
        found = self._asked(kind, "", lambda of: of.get(label_selector=selector, **where))
        return found["items"]  # type: ignore[no-any-return]

    def apply(self, thing: Thing, *, dry_run: bool = False) -> Thing:
        """Server-side apply under strict validation. A resourceVersion in `thing` has to be the object's."""
        kind, name = thing["kind"], thing["metadata"]["name"]
        options = self._where(kind) | ({"dry_run": "All"} if dry_run else {})
        return self._asked(
            kind,
            name,
            lambda of: of.server_side_apply(
                body=thing,
                name=name,
                field_manager=MANAGER,
                force_conflicts=True,
                query_params=[("fieldValidation", "Strict")],
                **options,
            ),
            thing["apiVersion"],
        )

    def create(self, thing: Thing) -> Thing:
        """Create an object, maybe by a try whose answer was lost. Raises Changed where it existed."""
        kind, name, tries = thing["kind"], thing["metadata"]["name"], 0

        def made(of: Any) -> Any:
            nonlocal tries
            tries += 1
            return of.create(body=thing, **self._where(kind))

        try:
            return self._asked(kind, name, made)
        except Changed:
            if tries > 1 and (there := self.get(kind, name)):
                return there
            raise

    def replace(self, thing: Thing) -> Thing:
        """Write an object as it was read and changed. Raises Changed when somebody else wrote it meanwhile."""
        kind, name = thing["kind"], thing["metadata"]["name"]
        return self._asked(kind, name, lambda of: of.replace(body=thing, **self._where(kind)))

    def delete(self, kind: str, name: str, api: str = "", grace: int | None = None) -> None:
        """Delete an object and what it owns; gone already is as good."""
        options: Thing = {"propagationPolicy": "Background"}
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        where = self._where(kind)
        try:
            self._asked(kind, name, lambda of: of.delete(name=name, body=options, **where), api)
        except Missing:
            return

    def log(
        self, pod: str, container: str = "", *, tail: int | None = None, sure: bool = False, **options: Any
    ) -> str:
        """What a container said; "" while it has not begun or when its node cannot be asked.

        :param sure: ask again while that is so, and raise RolloutError in the end: it is an answer.
        """

        def read() -> Any:
            return kubernetes.client.CoreV1Api(self._api).read_namespaced_pod_log(
                pod,
                self.namespace,
                container=container or None,
                tail_lines=tail,
                _preload_content=False,
                _request_timeout=SECONDS,
                **options,
            )

        try:
            answer = asked(f"what {pod} said", read, self._patience) if sure else read()
        except (ApiException, urllib3.exceptions.HTTPError):
            return ""
        return answer.data.decode(errors="replace")  # type: ignore[no-any-return]

    def run(
        self, pod: str, container: str, command: list[str], seconds: float, told: str | None = None
    ) -> tuple[int, str]:
        """Run a command in a container, once more when its connection is lost. Returns its status and its words.

        :param told: its standard input, behind a line with the number of bytes: its end cannot be told.
        """
        return asked(f"Pod {pod}", lambda: self._run(pod, container, command, seconds, told), self._patience)

    def _run(
        self, pod: str, container: str, command: list[str], seconds: float, told: str | None
    ) -> tuple[int, str]:
        # Of its own: until the stream is open, whatever else is asked through its client goes there, too.
        client = kubernetes.client.ApiClient(self._api.configuration)
        stream = streamed(
            kubernetes.client.CoreV1Api(client).connect_get_namespaced_pod_exec,
            pod,
            self.namespace,
            container=container,
            command=command,
            stdin=told is not None,
            stdout=True,
            stderr=True,
            _preload_content=False,
        )
        if told is not None:
            text = f"{len(told.encode())}\n{told}"
            for at in range(0, len(text), CHUNK):
                stream.write_stdin(text[at : at + CHUNK])
        stream.run_forever(timeout=seconds)
        if stream.is_open():
            stream.close()
            return 124, f"`{command[0]}` did not end in {seconds:.0f} s"
        # First: reading what was said empties every channel.
        failed = json.loads(stream.read_channel(ws_client.ERROR_CHANNEL) or "{}")
        words = stream.read_all()
        if not failed:
            raise _away(f"Pod {pod}", 0, "the connection was lost")
        if failed.get("status") == "Success":
            return 0, words
        causes = (failed.get("details") or {}).get("causes") or []
        status = next((cause["message"] for cause in causes if cause.get("reason") == "ExitCode"), "1")
        return int(status), words or failed.get("message", "")

    def _asked(self, kind: str, name: str, ask: Callable[[Any], Any], api: str = "") -> Thing:
        """What the API of a kind answers."""
        what = f"{kind} {name}" if name else f"{kind}s"
        return asked(what, lambda: ask(self._of(kind, api)).to_dict(), self._patience)

    def _of(self, kind: str, api: str = "") -> Any:
        """How a kind is asked for. What an API holds is looked up once."""
        api = api or API_OF[kind]
        if (api, kind) not in self._kinds:
            group, _, version = api.rpartition("/")
            prefix = "apis" if group else "api"
            try:
                known = self._dynamic.request("GET", f"/{prefix}/{api}", _request_timeout=SECONDS).to_dict()
            except NotFoundError:
                known = {"resources": []}
            self._kinds |= {
                (api, each["kind"]): Resource(
                    prefix,
                    group,
                    version,
                    **{key: each[key] for key in ("kind", "namespaced", "name")},
                    client=self._dynamic,
                )  # type: ignore[no-untyped-call]
                for each in known["resources"]
                if "/" not in each["name"]
            }
        if (api, kind) not in self._kinds:
            raise RolloutError(
                f"the cluster knows no {kind} of {api}", "install what defines it, or leave it out"
            )
        return self._kinds[api, kind]

    def _where(self, kind: str) -> dict[str, Any]:
        where: dict[str, Any] = {"_request_timeout": SECONDS}
        return where if kind in ("Namespace", "Node") else where | {"namespace": self.namespace}


class Missing(RolloutError):
    """There is no such object."""


def asked(what: str, ask: Callable[[], T], seconds: float) -> T:
    """The API server's answer, for which it is asked again while it is away, or busy.

    :raises Away: for so many seconds.
    :raises RolloutError: it refuses.
    """
    end = time.monotonic() + seconds
    while True:
        try:
            with said(what):
                return ask()
        except Away:
            if time.monotonic() >= end:
                raise
            time.sleep(AGAIN_SECONDS)


def uncontested(write: Callable[[], T]) -> T:
    """Read an object and write it, once more where somebody else wrote it in between.

    :raises Changed: somebody always did.
    """
    for _ in range(TRIES - 1):
        with suppress(Changed):
            return write()
    return write()


@contextmanager
def said(what: str) -> Iterator[None]:
    """Turn what the API server refuses, or that it does not answer, into one line."""
    try:
        yield
    except (ApiException, kubernetes.dynamic.exceptions.DynamicApiError) as error:
        status, message = int(error.status or 0), _message(error)
        if found := HANDSHAKE.match(message):  # what a stream makes of a refusal
            status = int(found[1])
        raise (_away if status in (0, *BUSY) else _refused)(what, status, message) from error
    except (urllib3.exceptions.HTTPError, websocket.WebSocketException, OSError) as error:
        raise _away(what, 0, _root(error)) from error


def _away(what: str, status: int, message: str) -> Away:
    why = f"it is too busy: {status} {message}" if status else message
    return Away(
        f"{what} cannot be asked for: the cluster does not answer ({why})",
        "look at KUBECONFIG and the network, then run the command again",
    )


def _refused(what: str, status: int, message: str) -> RolloutError:
    if status == 404:
        return Missing(f"{what} is not there: {message}", "`make cluster` prepares a namespace")
    if status == 409:
        return Changed(f"{what} was changed by somebody else meanwhile", "run the command again")
    if status == 403 and "exceeded quota" in message:
        used = message[message.index("exceeded quota") :]
        return RolloutError(
            f"{what} has no room: {used}", "raise the quota of its overlay or free some of it"
        )
    if status == 403 and "being terminated" in message:
        return RolloutError(
            f"{what} is refused: {message}", "wait until the namespace is gone, then `make cluster`"
        )
    if status == 403 and any(words in message for words in ABOUT_MANIFESTS):
        return RolloutError(
            f"{what} is refused: {message}", "mend the manifest, or the limits of its overlay"
        )
    if status in (401, 403):
        return RolloutError(f"{what} is refused: {message}", "use a kubeconfig that may do this")
    return RolloutError(f"{what} is refused: {message}", "mend the manifest")


def _message(error: Any) -> str:
    try:
        return str(json.loads(error.body)["message"])
    except (TypeError, ValueError, KeyError):
        return str(error.reason)


def _root(error: BaseException) -> str:
    """The innermost reason, without the addresses of objects that urllib3 puts in front of it."""
    reason = getattr(error, "reason", None)
    text = _root(reason) if isinstance(reason, BaseException) else str(error)
    return re.sub(r"<[^>]*>: |^.*object at 0x\w+>: ", "", text)


def _client(context: str) -> tuple[Any, str]:
    """A client of what a context of the kubeconfig names, and the context's name."""
    told = kubernetes.client.Configuration()
    told.retries = False  # `asked` does that
    default = told.host
    try:
        kubernetes.config.load_kube_config(context=context or None, client_configuration=told)  # type: ignore[no-untyped-call]
        if told.host == default:
            raise KeyError("no server")
        return kubernetes.client.ApiClient(told), context or str(_known()[1]["name"])
    except NO_KUBECONFIG as error:
        known = _contexts()
        if context and known and context not in known:
            problem = RolloutError(f"the kubeconfig has no context {context}", f"it has {', '.join(known)}")
        else:
            file = os.environ.get("KUBECONFIG") or "~/.kube/config"
            problem = RolloutError(
                f"no kubeconfig can be read from {file}: {str(error)[:200]}",
                "name the file of your cluster in KUBECONFIG",
            )
        raise problem from error


def _contexts() -> list[str]:
    try:
        return [context["name"] for context in _known()[0]]
    except NO_KUBECONFIG:
        return []


def _known() -> Any:
    return kubernetes.config.list_kube_config_contexts()  # type: ignore[no-untyped-call]
