"""A release on a cluster: proved by a candidate pod, switched by surge, readiness and drain, undone as a whole.

Each rollout's pods are labelled with its number. Kubernetes starts and drains them; what it does not do is here: one
verdict for all Deployments, settings that go back with the code, and a number that keeps a dead deployer from acting.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from . import database, kube_pods, kube_release, kube_said, record
from .errors import RolloutError, StaleLease, counted
from .kube import Cluster, Thing, uncontested
from .kube_deployment import unfinished
from .kube_journal import KIND, Journal
from .kube_lease import ClusterLease
from .kube_release import NUMBER, Told
from .service import WEB, Service

SLOWEST_SECONDS = 5.0
NAMED: dict[str, Any] = {
    "context": {"type": "str", "default": ""},
    "namespace": {"type": "str", "required": True},
}
"""Arguments of every module that looks at a cluster."""
SCRIPTS = "rollout-scripts"
ONCE_SECONDS = 300
UNDO_SECONDS = 300.0
"""How long an undo goes on at least: what was ready before gets ready again, on a cluster that is busy just later."""
UNDO_EVERY_SECONDS = 2.0
ORDER = ["ConfigMap", "PodDisruptionBudget", "Service", "Deployment", "HorizontalPodAutoscaler"]
START = ["python", "/srv/start.py"]
"""The entry point of the image (infra/docker)."""


class ClusterSlots:
    """One act of a rollout at a time; what it needs to know stands in the journal."""

    def __init__(self, cluster: Cluster, lease: ClusterLease, service: Service, ready_seconds: float) -> None:
        self._cluster, self._lease, self._service = cluster, lease, service
        self._journal = Journal(cluster)
        self._ready_seconds = ready_seconds

    # --- preflight

    def architectures(self) -> set[str]:
        """Those of the nodes that may be given pods."""
        nodes = kube_pods.open_nodes(self._cluster)
        return {each["status"]["nodeInfo"]["architecture"] for each in nodes}

    def prepare(self, objects: list[Thing], told: Told, secrets: dict[str, str]) -> dict[str, Any]:
        """Have everything that the release needs accepted by the API server, and its own check passed."""
        kube_release.require_hashes(objects)
        nodes = kube_pods.open_nodes(self._cluster)
        for each in objects:
            if each["kind"] in ("Deployment", "Job") and (why := kube_pods.too_large(nodes, each)):
                raise why
        made = kube_release.secret(secrets)
        told["secret"] = made["metadata"]["name"]
        current = self._journal.current or {}
        todo = kube_release.filled(objects, told)
        there = self._live(todo)
        with self._lease.act():
            self._journal.keep(told["number"], told["version"], [{"told": dict(told)}, *objects])
            self._journal.note(told=dict(told))
            self._cluster.apply(made)
            self._ship()
        # Their names change with their content: what serves does not notice them.
        for each in todo:
            if each["kind"] == "ConfigMap":
                self._put(each)
        for each in todo:
            if each["kind"] != "Job":
                self._cluster.apply(each, dry_run=True)
        for pod in kube_release.surging(todo):
            self._cluster.apply(pod, dry_run=True)
        self._once(
            todo, "check", ["/bin/sh", "-c", self._service.check], f"the check of {told['version']} failed"
        )
        digest = kube_release.settings_digest(todo, told["secret"])
        with self._lease.act():
            self._journal.note(settings=digest)
        same = "the same settings" if digest == current.get("settings") else "other settings"
        new = len([each for each in todo if _key(each) not in there and each["kind"] != "Job"])
        return {
            "change": f"{current.get('version', 'nothing')} -> {told['version']} with {same}",
            "msg": f"{counted(len(todo), 'object')} accepted, {new} of them new, its check passed",
        }

    def judge(self) -> dict[str, Any]:
        """Whether both releases can live with each other's schema, asked inside of them."""
        rollout, current = self._rollout(), self._journal.current or {}
        known: dict[str, dict[str, Any]] = {}
        numbers = self._journal.served() | {rollout["version"]: rollout["number"]}

        def inside(version: str, *words: str) -> dict[str, Any]:
            objects = self._objects(numbers[version])
            command = ["python", "/rollout/migration_judge.py", *words]
            with self._lent(objects):
                said = self._once(objects, "judge", command, f"the migrations of {version} cannot be judged")
            lines = [line for line in said.splitlines() if line.startswith("{")]
            if not lines:
                raise RolloutError(
                    f"the migrations of {version} cannot be judged: {said[-300:]}", "mend that"
                )
            return json.loads(lines[-1])  # type: ignore[no-any-return]

        def needs(version: str) -> dict[str, Any]:
            if version not in known:
                known[version] = inside(version, "needs")
            return known[version]

        def ask(version: str, other: str, *options: str) -> dict[str, Any]:
            if not other:
                return inside(version, "judge", *options)
            its = json.dumps(needs(other))  # takes longer than an act may: the lease is not renewed meanwhile
            with self._lease.act():
                self._ship(**{"needs.json": its})
            return inside(version, "judge", "--needs", "/rollout/needs.json", *options)

        others = [
            version for version in numbers if version not in (rollout["version"], current.get("version"))
        ]
        verdict = database.verdict(rollout["version"], current.get("version", ""), others[::-1], needs, ask)
        with self._lease.act():
            self._journal.note(migrations=verdict["pending"], vendor=verdict["vendor"])
        return verdict

    # --- migrate and prove

    def migrate(self, demo: bool, seconds: float) -> str:
        """Apply the migrations once, under the database's own lock."""
        rollout = self._rollout()
        objects, did = self._objects(rollout["number"]), []
        failed = f"the migration of {rollout['version']} failed and was undone by its transaction"
        if rollout["migrations"]:
            command = ["/bin/sh", "-c", self._service.migrate]
            env = {}
            if rollout["vendor"] == database.POSTGRESQL:
                command = ["python", "/rollout/migration_lock.py", str(seconds / 2), *command]
                env = {"PGOPTIONS": database.limits(seconds)}
            begin = time.monotonic()
            self._once(objects, "migrate", command, failed, seconds=int(seconds), env=env)
            did.append(f"{len(rollout['migrations'])} applied in {time.monotonic() - begin:.1f} s")
        if demo and not self._journal.current and self._service.demo:
            self._once(
                objects, "demo", ["/bin/sh", "-c", self._service.demo], "the demo data could not be loaded"
            )
            did.append("demo data loaded")
        return "; ".join(did) or "nothing to migrate"

    def prove(self) -> str:
        """Boot a web of the new release that gets no traffic, and ask it everything."""
        rollout = self._rollout()
        web = kube_release.deployments(self._objects(rollout["number"]))[0]
        pod = kube_release.candidate(web, f"candidate-{rollout['number']}")
        name = pod["metadata"]["name"]
        with self._lease.act():
            self._cluster.create(pod)
        try:
            self._await(lambda: self._not_ready([name]), f"a candidate of {rollout['version']} was not ready")
            answer = self.ask_everything(name, rollout["version"])
            self._share_static(name)
            return answer
        finally:
            self._cluster.delete("Pod", name)

    # --- switch, verify, undo

    def switch(self) -> str:
        """Apply the new release; Kubernetes surges, awaits readiness and drains."""
        rollout = self._rollout()
        objects = self._objects(rollout["number"])
        self._apply(objects)
        seconds = self._serve(objects, rollout["number"], rollout["version"])
        pods = self._pods(rollout["number"])
        return f"{counted(len(pods), 'pod')} of it serve after {seconds:.1f} s, the others are drained"

    def verify(self, seconds: float) -> str:
        """Watch the running version: every answer right and quick, no container restarted."""
        rollout = self._rollout()
        number, health = rollout["number"], self._service.health
        before = self._restarts(number)
        webs = self.webs(number)
        for name in webs:
            self.ask_everything(name, rollout["version"])
        slowest, asked, end = 0.0, 0, time.monotonic() + seconds
        while time.monotonic() < end:
            for name in webs:
                for path, status, body, took in self._ask_while_it_stays(name, [health.ready] * 5):
                    slowest, asked = max(slowest, took), asked + 1
                    if status != 200 or took > SLOWEST_SECONDS:
                        raise RolloutError(
                            f"{path} of {name} answered {status} {body[:160]} after {took:.1f} s",
                            "`make logs`",
                        )
        after = self._restarts(number)
        for name in before.keys() & after.keys():
            if after[name] != before[name]:
                raise RolloutError(f"{name} did not stay up while it was watched", "`make logs` tells more")
        self._serve(self._objects(number), number, rollout["version"])
        return f"{counted(asked, 'answer')} in {seconds:.0f} s, slowest {slowest * 1000:.0f} ms"

    def undo(self, at_least: float = UNDO_SECONDS) -> str:
        """Let the release serve that served before, code and settings, whatever has been done meanwhile.

        :param at_least: seconds for which it is tried again and again, through any trouble.
        :raises RolloutError: it could not be done.
        """
        end = time.monotonic() + at_least
        while True:
            try:
                return self._undo()
            except StaleLease:
                raise
            except RolloutError:
                if time.monotonic() >= end:
                    raise
                time.sleep(UNDO_EVERY_SECONDS)

    def _undo(self) -> str:
        rollout, current = self._journal.rollout or {}, self._journal.current
        begun = {each["number"] for each in (rollout, rollout.get("killed") or rollout) if each} - {
            (current or {}).get("number")
        }
        for number in sorted(begun):
            kube_said.keep(self._cluster, self._lease, number)
        self._stop_commands()
        kept = self._journal.kept()
        doomed = [each for number in begun if number in kept for each in self._objects(number)]
        if not current:
            self._remove(doomed, set())
            return "stopped: nothing served before"
        objects = self._objects(current["number"])
        self._apply(objects)
        self._serve(objects, current["number"], current["version"])
        self._remove(doomed, {_key(each) for each in objects})
        return f"{current['version']} serves"

    def end(self) -> str:
        """Stop every process, those of a killed rollout too; its data, and what the set-up made, stay."""
        rollout, current = self._journal.rollout or {}, self._journal.current or {}
        self._stop_commands()
        begun = [(rollout.get("killed") or {}).get("number"), current.get("number")]
        numbers, kept = [number for number in begun if number], self._journal.kept()
        self._remove([each for number in numbers if number in kept for each in self._objects(number)], set())
        if not set(numbers) <= kept.keys():  # what runs at least, where it was not kept what else there is
            self._remove(self._cluster.every("Deployment", f"{KIND}=release"), set())
        self._await(self._left, "the service did not end")
        return "stopped" if numbers else "nothing runs"

    def settle(self, keep: int) -> dict[str, Any]:
        """Make the new release the one that serves, and forget old ones. Once that is written, nothing fails any more.

        :returns: {"msg", "recorded", "serves"}
        """
        rollout, before = self._rollout(), self._journal.current or {}
        again = before.get("version") == rollout["version"]
        with self._lease.act():
            self._journal.settle(
                {
                    "version": rollout["version"],
                    "number": rollout["number"],
                    "image": rollout["told"]["image"],
                    "secret": rollout["told"]["secret"],
                    "settings": rollout["settings"],
                    "previous": before.get("previous") if again else before.get("version"),
                    "since": f"{datetime.now().astimezone():%Y-%m-%d %H:%M:%S}",
                },
                record.line_of(rollout, "done"),
            )
        try:
            pruned = self._tidy(keep)
            words = f"{counted(pruned, 'old release')} pruned" if pruned else "written down"
        except Exception as error:  # noqa: BLE001 - whatever it is: the release serves, and that is written down
            words = f"old releases could not be pruned: {error}"
        return {"msg": words, "recorded": True, "serves": True}

    def forget(self) -> str:
        """Take away what was only prepared: settings, Secret and record of a rollout that went no further."""
        number, current = self._rollout()["number"], self._journal.current or {}
        if self._journal.objects(number) is None:
            return "nothing was prepared"
        if not current or current["number"] in self._journal.kept():  # else what it is told is not known
            served = {_key(each) for each in self._objects(current["number"])} if current else set()
            settings = [each for each in self._objects(number) if each["kind"] == "ConfigMap"]
            self._remove(settings, served)
        self._prune({number})
        return "what was prepared is gone"

    # --- below

    def _rollout(self) -> dict[str, Any]:
        rollout = self._journal.rollout
        if not rollout:
            raise RolloutError("no rollout is under way here", "run `make deploy`")
        return rollout

    def _objects(self, number: int) -> list[Thing]:
        kept = self._journal.objects(number)
        if kept is None:
            current = self._journal.current or {}
            which = f" VERSION={current['version']}" if current.get("number") == number else ""
            raise RolloutError(
                f"what rollout {number} applied is not kept any more", f"`make deploy{which}` brings it back"
            )
        return kube_release.filled(kept[1:], kept[0]["told"])

    @contextmanager
    def _lent(self, objects: list[Thing]) -> Iterator[None]:
        """Put the settings of an old release there, where they are not any more, for as long as it is asked."""
        lent = [each for each in objects if each["kind"] == "ConfigMap" and not self._cluster.get_of(each)]
        try:
            for each in lent:
                with self._lease.act():
                    self._cluster.apply(each)
            yield
        finally:
            self._remove(lent, set())

    def _ship(self, **more: str) -> None:
        """Put the scripts that run inside of a release where its pods can read them."""
        scripts = {name: database.text_of(name) for name in (database.JUDGE, database.LOCK)}
        about = {"name": SCRIPTS, "labels": {KIND: "record"}}
        self._cluster.apply(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": about, "data": scripts | more}
        )

    def _once(
        self,
        objects: list[Thing],
        name: str,
        command: list[str],
        failed: str,
        *,
        seconds: int = ONCE_SECONDS,
        env: dict[str, str] | None = None,
    ) -> str:
        """Run a command in a pod of its own. Returns what it said. :raises RolloutError: beginning with `failed`."""
        name = f"{name}-{self._lease.number}"
        pod = kube_release.once(kube_release.job(objects), name, command, seconds, env or {}, SCRIPTS)
        with self._lease.act():
            self._cluster.delete("Pod", name, grace=0)
        kube_pods.gone(self._cluster, name)
        with self._lease.act():
            pod = self._cluster.create(pod)
        try:
            return kube_pods.outcome(self._cluster, pod, seconds + self._ready_seconds)
        except RolloutError as error:
            raise RolloutError(f"{failed}: {error}", "mend that and deploy again") from error
        finally:
            self._cluster.delete("Pod", name)

    def _apply(self, objects: list[Thing]) -> None:
        """Apply a release, each object only as it was seen before the number was proved."""
        autoscalers = [each for each in objects if each["kind"] == kube_release.AUTOSCALER]
        autoscalers += self._cluster.every(kube_release.AUTOSCALER, f"!{KIND}")  # put there by somebody
        scaled = kube_release.scaled(autoscalers)

        for each in sorted((each for each in objects if each["kind"] != "Job"), key=_order):
            self._put(each, scaled)

    def _put(self, thing: Thing, scaled: Iterable[str] = ()) -> None:
        """Apply an object. What decides how pods run is replaced: what somebody set by hand was not proved."""

        def put() -> None:
            seen = self._cluster.get_of(thing) if thing["kind"] in ("ConfigMap", "Deployment") else None
            with self._lease.act():
                if seen:
                    self._cluster.replace(kube_release.over(seen, thing, scaled))
                else:
                    self._cluster.apply(thing)

        uncontested(put)

    def _remove(self, objects: Iterable[Thing], kept: set[tuple[str, str, str]]) -> None:
        """Take away objects of releases, but those to be kept and what became the set-up's."""
        for each in sorted(objects, key=_order, reverse=True):
            there = None if _key(each) in kept or each["kind"] == "Job" else self._cluster.get_of(each)
            if there and kube_release.of_kind([there], "release"):
                with self._lease.act():
                    self._cluster.delete(each["kind"], each["metadata"]["name"], each["apiVersion"])

    def _stop_commands(self) -> None:
        """End the pods that a rollout runs besides the Deployments."""
        for pod in self._cluster.every("Pod", f"{NUMBER},{KIND} in (once, {kube_release.CANDIDATE})"):
            with self._lease.act():
                self._cluster.delete("Pod", pod["metadata"]["name"])

    def _left(self) -> str:
        """What still runs of any rollout, in words, or ""."""
        pods = self._cluster.every("Pod", NUMBER)
        if staying := list(filter(kube_pods.stays, pods)):
            return f"{staying[0]['metadata']['name']} still runs"
        dead = kube_pods.dead_nodes(self._cluster) if pods else set()
        left = [pod for pod in pods if kube_pods.drains(self._cluster, pod, dead)]
        return f"it still drains {counted(len(left), 'pod')}" if left else ""

    def _serve(self, objects: list[Thing], number: int, version: str) -> float:
        """Wait until all Deployments run this rollout's pods and no others. Returns the seconds."""
        begin = time.monotonic()
        names = [each["metadata"]["name"] for each in kube_release.deployments(objects)]
        self._await(
            lambda: next(
                filter(None, (unfinished(self._cluster, self._lease, name, number) for name in names)), ""
            ),
            f"{version} was not ready",
        )
        return time.monotonic() - begin

    def _not_ready(self, names: list[str]) -> str:
        for name in names:
            pod = self._cluster.get("Pod", name)
            if not pod or "deletionTimestamp" in pod["metadata"]:
                raise RolloutError(f"{name} was deleted", "deploy again")
            if why := kube_pods.trouble(self._cluster, pod):
                raise why
            if not kube_pods.ready(pod):
                return f"{name} is not ready: {kube_pods.missing(pod)}; {kube_pods.words(self._cluster, pod)}"
        return ""

    def _await(self, lacks: Callable[[], str], what: str) -> None:
        """Wait until nothing is lacking. What drains may take as long as its grace period lets it."""
        end = time.monotonic() + self._ready_seconds
        while words := lacks():
            if time.monotonic() > end and "drains" not in words:
                raise RolloutError(
                    f"{what} in {self._ready_seconds:.0f} s: {words}", "`make logs` tells more"
                )
            time.sleep(kube_pods.EVERY_SECONDS)

    def webs(self, number: int) -> list[str]:
        """The ready webs of a rollout."""
        pods = self._cluster.every("Pod", f"{NUMBER}={number},{kube_release.COMPONENT}={WEB}")
        return [pod["metadata"]["name"] for pod in pods if kube_pods.ready(pod)]

    def _pods(self, number: int) -> list[Thing]:
        """What the Deployments of a rollout run."""
        pods = self._cluster.every("Pod", f"{NUMBER}={number},!{KIND}")
        return [pod for pod in pods if kube_pods.stays(pod)]

    def _restarts(self, number: int) -> dict[str, int]:
        return {
            pod["metadata"]["name"]: sum(
                each["restartCount"] for each in pod["status"].get("containerStatuses", [])
            )
            for pod in self._pods(number)
        }

    def _ask(self, pod: str, paths: list[str]) -> list[tuple[str, int, str, float]]:
        status, words = self._cluster.run(pod, WEB, [*START, "ask", *paths], 60)
        if status:
            raise RolloutError(f"{pod} cannot be asked: {words[-300:]}", "`make logs` tells more")
        return [tuple(each) for each in json.loads(words)]

    def _ask_while_it_stays(self, name: str, paths: list[str]) -> list[tuple[str, int, str, float]]:
        """The answers of a web, or none of one that was evicted or scaled away meanwhile."""
        try:
            return self._ask(name, paths)
        except RolloutError:
            pod = self._cluster.get("Pod", name)
            if pod and kube_pods.stays(pod):
                raise
            return []

    def _share_static(self, giver: str) -> None:
        """Give the webs that serve the new release's static files: pages of one ask the other for them."""
        for taker in self.webs((self._journal.current or {}).get("number", 0)):
            _, names = self._cluster.run(taker, WEB, [*START, "static", "names"], 60)
            status, files = self._cluster.run(giver, WEB, [*START, "static", "give"], 60, names)
            if not status:
                status, files = self._cluster.run(taker, WEB, [*START, "static", "take"], 60, files)
            if status:
                raise RolloutError(f"{taker} cannot be given new static files: {files[-300:]}", "`make logs`")

    def ask_everything(self, pod: str, version: str) -> str:
        """Ask a web, inside of its pod, for every path of the service file."""
        health = self._service.health
        paths = [*health.smoke, *([health.version] if health.version else [])]
        for path, status, body, _ in self._ask(pod, paths):
            if status != 200:
                raise RolloutError(
                    f"{path} of {version} answered {status} {body[:160]}", "`make logs` tells more"
                )
            if path == health.version and json.loads(body)["version"] != version:
                raise RolloutError(
                    f"{path} says {json.loads(body)['version']}, not {version}", "build the image again"
                )
        return f"{counted(len(health.smoke), 'path')} answered 200"

    def _live(self, objects: Iterable[Thing]) -> set[tuple[str, str, str]]:
        return {_key(each) for each in objects if each["kind"] != "Job" and self._cluster.get_of(each)}

    def _tidy(self, keep: int) -> int:
        """Take away what only old rollouts applied, then forget those.

        The running and the previous release's records stay, and those of the `keep` that served before these.
        Returns the number of the forgotten.
        """
        current, kept = self._journal.current or {}, self._journal.kept()
        serving = {_key(each) for each in self._objects(current["number"])}
        old = {_key(each): each for number in kept for each in self._objects(number)}
        self._remove(old.values(), serving)
        served = [line["number"] for line in self._journal.history[::-1] if line["outcome"] == "done"]
        needed = {current["number"]} | set([number for number in served if number in kept][: keep + 1])
        doomed = set(kept) - needed
        self._prune(doomed)
        return len(doomed)

    def _prune(self, doomed: set[int]) -> None:
        """Forget rollouts, and the Secrets that no other one names."""
        needed = set(self._journal.kept()) - doomed
        used = {(self._journal.objects(number) or [{}])[0]["told"]["secret"] for number in needed}
        used.add((self._journal.current or {}).get("secret"))
        with self._lease.act():
            self._journal.forget(doomed)
            for secret in self._cluster.every("Secret", f"{KIND}=secret"):
                if secret["metadata"]["name"] not in used:
                    self._cluster.delete("Secret", secret["metadata"]["name"])


def _key(thing: Thing) -> tuple[str, str, str]:
    return thing["kind"], thing["metadata"]["name"], thing["apiVersion"]


def _order(thing: Thing) -> tuple[int, bool]:
    kind = thing["kind"]
    return (ORDER.index(kind) if kind in ORDER else 0), kube_release.component(thing) != WEB
