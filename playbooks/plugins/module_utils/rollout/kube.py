"""A cluster's API as a rollout uses it: one namespace, server-side apply, and errors that a person can act on."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import Any

import kubernetes
import urllib3
from kubernetes.client.exceptions import ApiException
from kubernetes.dynamic import DynamicClient
from kubernetes.dynamic.exceptions import ResourceNotFoundError
from kubernetes.stream import stream as streamed
from kubernetes.stream import ws_client

from .errors import RolloutError

MANAGER = "rollout"
"""The field manager of all that a rollout applies."""
SECONDS = 15.0
"""The longest that a request to the API server may take."""
CHUNK = 65536
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
}
Thing = dict[str, Any]


class Changed(RolloutError):
    """Somebody else changed an object since it was read."""


class Cluster:
    """One namespace of the cluster that a context of the kubeconfig names.

    :param context: of KUBECONFIG or ~/.kube/config; empty for the current one.
    :raises RolloutError: there is no such context, or it leads nowhere.
    """

    def __init__(self, namespace: str, context: str = "") -> None:
        self.namespace = namespace
        try:
            self._api = kubernetes.config.new_client_from_config(context=context or None)  # type: ignore[no-untyped-call]
        except kubernetes.config.ConfigException as error:
            known = _contexts()
            raise RolloutError(
                f"the kubeconfig has no context {context}"
                if context and known
                else "no kubeconfig can be read",
                f"it has {', '.join(known)}" if known else "name the file of your cluster in KUBECONFIG",
            ) from error
        self.context = context or _current()
        with said(f"the cluster of context {self.context}"):
            _, _, headers = kubernetes.client.VersionApi(self._api).get_code_with_http_info(
                _request_timeout=SECONDS
            )
            self._ahead = parsedate_to_datetime(headers["Date"]).timestamp() - time.time()
            self._dynamic = DynamicClient(self._api)  # type: ignore[no-untyped-call]

    def now(self) -> float:
        """The API server's clock, in seconds since 1970: what deployers on different machines share."""
        return time.time() + self._ahead

    def get(self, kind: str, name: str) -> Thing | None:
        """An object, or None where there is none."""
        try:
            with said(f"{kind} {name}"):
                return self._of(kind).get(name=name, **self._where(kind)).to_dict()  # type: ignore[no-any-return]
        except Missing:
            return None

    def get_of(self, thing: Thing) -> Thing | None:
        """What is on the cluster in the place of an object."""
        try:
            with said(f"{thing['kind']} {thing['metadata']['name']}"):
                found = self._of(thing["kind"], thing["apiVersion"]).get(
                    name=thing["metadata"]["name"], **self._where(thing["kind"])
                )
                return found.to_dict()  # type: ignore[no-any-return]
        except Missing:
            return None

    def every(self, kind: str, selector: str = "") -> list[Thing]:
        """The objects of a kind with these labels."""
        with said(f"{kind}s"):
            found = self._of(kind).get(label_selector=selector, **self._where(kind)).to_dict()
        return found["items"]  # type: ignore[no-any-return]

    def apply(self, thing: Thing, *, dry_run: bool = False) -> Thing:
        """Server-side apply under strict validation. A resourceVersion in `thing` has to be the object's."""
        kind, name = thing["kind"], thing["metadata"]["name"]
        options: Thing = {"dry_run": "All"} if dry_run else {}
        with said(f"{kind} {name}"):
            resource = self._of(kind, thing["apiVersion"])
            return resource.server_side_apply(  # type: ignore[no-any-return]
                body=thing,
                name=name,
                field_manager=MANAGER,
                force_conflicts=True,
                query_params=[("fieldValidation", "Strict")],
                **self._where(kind),
                **options,
            ).to_dict()

    def create(self, thing: Thing) -> Thing:
        """Create an object. Raises Changed where it exists."""
        with said(f"{thing['kind']} {thing['metadata']['name']}"):
            return self._of(thing["kind"]).create(body=thing, **self._where(thing["kind"])).to_dict()  # type: ignore[no-any-return]

    def replace(self, thing: Thing) -> Thing:
        """Write an object as it was read and changed. Raises Changed when somebody else wrote it meanwhile."""
        with said(f"{thing['kind']} {thing['metadata']['name']}"):
            return self._of(thing["kind"]).replace(body=thing, **self._where(thing["kind"])).to_dict()  # type: ignore[no-any-return]

    def delete(self, kind: str, name: str, api: str = "", grace: int | None = None) -> None:
        """Delete an object and what it owns; gone already is as good."""
        options: Thing = {"propagationPolicy": "Background"}
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        try:
            with said(f"{kind} {name}"):
                self._of(kind, api).delete(name=name, body=options, **self._where(kind))
        except Missing:
            return

    def log(self, pod: str, container: str = "", *, tail: int | None = None, **options: Any) -> str:
        """What a container said; "" while it has not begun or when its node cannot be asked."""
        try:
            answer = kubernetes.client.CoreV1Api(self._api).read_namespaced_pod_log(
                pod,
                self.namespace,
                container=container or None,
                tail_lines=tail,
                _preload_content=False,
                _request_timeout=SECONDS,
                **options,
            )
        except (ApiException, urllib3.exceptions.HTTPError):
            return ""
        return answer.data.decode(errors="replace")  # type: ignore[no-any-return,attr-defined]

    def run(
        self, pod: str, container: str, command: list[str], seconds: float, told: str | None = None
    ) -> tuple[int, str]:
        """Run a command in a container. Returns its status and what it said on both outputs.

        :param told: its standard input, behind a line with the number of bytes: its end cannot be told.
        """
        with said(f"Pod {pod}"):
            stream = streamed(
                kubernetes.client.CoreV1Api(self._api).connect_get_namespaced_pod_exec,
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
        if failed.get("status") == "Success":
            return 0, words
        causes = (failed.get("details") or {}).get("causes") or []
        status = next((cause["message"] for cause in causes if cause.get("reason") == "ExitCode"), "1")
        return int(status), words or failed.get("message", "")

    def _of(self, kind: str, api: str = "") -> Any:
        try:
            return self._dynamic.resources.get(api_version=api or API_OF[kind], kind=kind)
        except ResourceNotFoundError as error:
            raise RolloutError(
                f"the cluster knows no {kind} of {api or API_OF[kind]}",
                "install what defines it, or leave it out",
            ) from error

    def _where(self, kind: str) -> dict[str, Any]:
        where: dict[str, Any] = {"_request_timeout": SECONDS}
        return where if kind in ("Namespace", "Node") else where | {"namespace": self.namespace}


class Missing(RolloutError):
    """There is no such object."""


@contextmanager
def said(what: str) -> Iterator[None]:
    """Turn what the API server refuses into one line."""
    try:
        yield
    except (ApiException, kubernetes.dynamic.exceptions.DynamicApiError) as error:
        raise _refused(what, int(error.status or 0), _message(error)) from error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise RolloutError(
            f"{what} cannot be asked for: the cluster does not answer ({_root(error)})",
            "look at KUBECONFIG and the network, then run the command again",
        ) from error


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


def _contexts() -> list[str]:
    try:
        return [context["name"] for context in _known()[0]]
    except (kubernetes.config.ConfigException, OSError):
        return []


def _current() -> str:
    return str(_known()[1]["name"])


def _known() -> Any:
    return kubernetes.config.list_kube_config_contexts()  # type: ignore[no-untyped-call]
