"""What a rollout on a cluster does to objects: under conflicts, with autoscalers, when undone, settled or ended."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from rollout import database, kube_pods, kube_release, kube_slots
from rollout.errors import RolloutError, StaleLease
from rollout.kube import Changed
from rollout.kube_journal import Journal
from rollout.kube_lease import ClusterLease
from rollout.kube_release import require_hashes
from rollout.kube_slots import ClusterSlots
from rollout.kube_takeover import mark, recall
from tests.playbooks.fake_cluster import FakeCluster, Thing, node, pod, replica_set
from tests.playbooks.modules import Load

SERVICE: Any = None
RELEASE = {"rollout/kind": "release"}
SETTINGS = {1: "settings-2456789bcd", 2: "settings-fghkmt2456", 3: "settings-t2456789bc"}
"""The name of each rollout's ConfigMap."""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kube_pods, "EVERY_SECONDS", 0.01)
    monkeypatch.setattr(kube_slots, "UNDO_EVERY_SECONDS", 0.01)


def objects(number: int, *more: Thing, replicas: int | None = 2) -> list[Thing]:
    """The objects of a release: settings, a web and the Job."""
    spec: Thing = {
        "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {}, "spec": {"containers": [{"name": "web", "image": "release"}]}},
    }
    labels = RELEASE | {"app.kubernetes.io/component": "migrate"}
    return [
        {"apiVersion": "v1", "kind": "ConfigMap", "data": {"A": str(number)},
         "metadata": {"name": SETTINGS[number], "labels": RELEASE}},
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "labels": RELEASE},
         "spec": spec | ({"replicas": replicas} if replicas else {})},
        {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "migrate", "labels": labels}, "spec": spec},
        *more,
    ]  # fmt: skip


def autoscaler(of: str, **labels: str) -> Thing:
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": f"{of}-scaler", "labels": labels},
        "spec": {"scaleTargetRef": {"kind": "Deployment", "name": of}},
    }


class Site:
    """A namespace where rollout 1 serves and another one, of number 2, is under way."""

    def __init__(self, *more: Thing, replicas: int | None = 2, killed: dict[str, Any] | None = None) -> None:
        self.cluster = FakeCluster(node("one"), replica_set("web-old", "web"))
        self.lease = ClusterLease(self.cluster)
        self.lease.acquire("abebe")
        self.lease.release()
        self.lease.acquire("abebe")
        self.journal = Journal(self.cluster)
        self.slots = ClusterSlots(self.cluster, self.lease, SERVICE, 0.2)
        self.keep(1)
        self.keep(2, *more, replicas=replicas)
        self.serves(1)
        told = {
            "number": 2,
            "version": "v2",
            "image": "image:2",
            "before": "image:1",
            "secret": "secrets-2",  # pragma: allowlist secret
        }
        self.journal.begin(
            {"number": 2, "kind": "deploy", "version": "v2", "owner": "abebe", "at": "now", "step": "switch",
             "steps": {"lock": 0.0}, "settings": "s2", "told": told, "killed": killed}
        )  # fmt: skip

    def keep(self, number: int, *more: Thing, replicas: int | None = 2) -> None:
        told = {"number": number, "version": f"v{number}", "image": f"image:{number}", "before": "image:1",
                "secret": f"secrets-{number}"}  # fmt: skip
        kept = objects(number, *more, replicas=replicas)
        self.journal.keep(number, f"v{number}", [{"told": told}, *kept])

    def serves(self, number: int) -> None:
        """Have a rollout's release run, ready, with its settings, and recorded."""
        current = {
            "version": f"v{number}",
            "number": number,
            "secret": f"secrets-{number}",
            "image": "image:1",
        }
        line = {"number": number, "to": f"v{number}", "outcome": "done"}
        self.journal.settle(current, line)
        config, web, _ = objects(number)
        self.cluster.apply(config)
        web["metadata"] |= {"uid": "web", "generation": 1}
        self.cluster.apply(web | {"status": {"observedGeneration": 1, "availableReplicas": 2}})
        for name in ("web-1", "web-2"):
            self.cluster.apply(pod(name, "web-old", number))

    @property
    def web(self) -> Thing:
        return self.cluster.things["Deployment", "web"]

    def fails(self, line: str, error: Exception, times: int = 1) -> None:
        """Have something that is asked of the API server fail so often."""
        left = [error] * times

        def before(asked: str) -> None:
            if asked == line and left:
                raise left.pop()

        self.cluster.before = before


# --- conflicts


def test_a_deployment_that_changes_between_reading_and_writing_is_read_again_and_written() -> None:
    site, times = Site(), [1, 2, 3]

    def before(line: str) -> None:
        if line == "replace Deployment web" and times:
            times.pop()
            site.cluster.touch("Deployment", "web")

    site.cluster.before = before
    site.slots._apply(site.slots._objects(2))
    assert site.web["metadata"]["annotations"]["rollout/version"] == "v2"


def test_who_was_taken_for_dead_writes_nothing_after_a_conflict() -> None:
    """The one who took over marked the Deployment: that was the conflict."""
    site = Site()

    def before(line: str) -> None:
        if line == "replace Deployment web":
            site.cluster.before = lambda _: None
            site.cluster.things["Lease", "rollout"]["spec"] |= {
                "leaseTransitions": 3,
                "holderIdentity": "sara",
            }
            mark(site.cluster, 3)

    site.cluster.before = before
    with pytest.raises(StaleLease):
        site.slots._apply(site.slots._objects(2))
    assert site.web["metadata"]["annotations"] == {"rollout/lease": "3"}


def test_the_journal_is_written_through_conflicts_and_loses_nothing() -> None:
    site = Site()
    site.fails("replace ConfigMap rollout", Changed("somebody was quicker"), times=3)
    site.journal.note(step="verify")
    assert (site.journal.rollout or {})["step"] == "verify"
    assert (site.journal.current or {})["number"] == 1


# --- autoscalers


@pytest.mark.parametrize(
    ("arrives", "there", "replicas"),
    [
        (None, None, 2),
        (autoscaler("web", **RELEASE), None, 4),
        (None, autoscaler("web"), 4),
        (None, autoscaler("worker"), 2),
        (None, autoscaler("web", **RELEASE), 2),
    ],
    ids=["none", "with this release", "put there by hand", "of another Deployment", "that leaves with the last one"],
)  # fmt: skip
def test_a_deployment_keeps_the_replicas_that_an_autoscaler_gave_it(
    arrives: Thing | None, there: Thing | None, replicas: int
) -> None:
    site = Site(*([arrives] if arrives else []), replicas=None if arrives else 2)
    if there:
        site.cluster.apply(there)
    site.web["spec"]["replicas"] = 4
    site.slots._apply(site.slots._objects(2))
    assert site.web["spec"]["replicas"] == replicas


# --- what somebody did by hand


def test_what_was_set_by_hand_is_gone_after_the_next_rollout() -> None:
    """It was in no candidate: what serves is what was proved. What others note on an object stays."""
    site = Site()
    site.keep(3)
    objects_of_3 = site.slots._objects(3)
    site.cluster.apply(objects_of_3[0] | {"data": {"A": "3", "EXTRA": "1"}})
    site.web["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "LOG_LEVEL", "value": "DEBUG"}]
    site.web["metadata"]["annotations"] = {"deployment.kubernetes.io/revision": "7"}
    site.slots._apply(objects_of_3)
    assert "env" not in site.web["spec"]["template"]["spec"]["containers"][0]
    assert site.web["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "7"
    assert site.cluster.things["ConfigMap", SETTINGS[3]]["data"] == {"A": "3"}


def test_what_serves_is_known_again_after_its_record_was_deleted() -> None:
    site = Site()
    site.slots._apply(site.slots._objects(1))
    before = site.journal.current or {}
    site.cluster.delete("ConfigMap", "rollout")
    assert recall(site.cluster) == "v1"
    assert {key: before[key] for key in ("version", "number", "image", "secret")}.items() <= (
        site.journal.current or {}
    ).items()
    assert recall(site.cluster) == "", "it is not lost any more"


def test_what_no_single_record_tells_of_is_refused() -> None:
    site = Site()
    site.slots._apply(site.slots._objects(1))
    site.cluster.delete("ConfigMap", "rollout")
    site.cluster.delete("ConfigMap", "release-1")
    with pytest.raises(
        RolloutError, match=r"^web run here, .* ConfigMap rollout is gone; put it back, or end them"
    ):
        recall(site.cluster)


def test_a_first_rollout_that_was_killed_serves_nothing_that_could_be_recalled() -> None:
    site = Site()
    site.slots._apply(site.slots._objects(2))
    rollout = site.journal.rollout
    site.cluster.delete("ConfigMap", "rollout")
    site.journal.begin(rollout or {})
    assert recall(site.cluster) == ""
    assert site.journal.current is None


def test_a_record_of_what_serves_that_is_gone_is_brought_back_by_its_version_and_spoils_nothing() -> None:
    site = Site()
    site.cluster.delete("ConfigMap", "release-1")
    with pytest.raises(
        RolloutError, match=r"rollout 1 applied is not kept any more; `make deploy VERSION=v1`"
    ):
        site.slots._objects(1)
    site.cluster.apply(site.slots._objects(2)[0])
    site.slots.forget()
    assert SETTINGS[2] in site.cluster.names("ConfigMap"), "it may be told that, too"
    for name in ("web-1", "web-2"):
        site.cluster.delete("Pod", name)
    assert site.slots.end() == "stopped"
    assert not site.cluster.names("Deployment")


def test_a_version_is_known_by_the_rollout_with_which_it_served_not_by_one_that_failed() -> None:
    site = Site()
    site.journal.keep(3, "v1", [])
    site.journal.remember({"number": 3, "to": "v1", "outcome": "failed"})
    assert site.journal.served() == {"v1": 1}
    assert site.journal.last() == 3


# --- preflight


@pytest.mark.parametrize("name", ["settings", "settings-production", "settings-0123456789"])
def test_settings_of_a_fixed_name_are_refused(name: str) -> None:
    site, (config, *rest) = Site(), objects(2)
    config["metadata"]["name"] = name
    before = len(site.cluster.did)
    told: Any = {"number": 2, "version": "v2", "image": "image:2", "before": "image:1", "secret": ""}
    with pytest.raises(RolloutError, match=f"ConfigMap {name} has a fixed name: .*; have Kustomize"):
        site.slots.prepare([config, *rest], told, {})
    assert len(site.cluster.did) == before, "the cluster was asked for something"


def test_settings_that_kustomize_names_are_not() -> None:
    require_hashes(objects(1) + objects(2) + objects(3))


def judging(site: Site, monkeypatch: pytest.MonkeyPatch, then: Callable[[], None] = lambda: None) -> set[str]:
    """Have the release that serves asked what it needs. Gives the ConfigMaps that its pod found."""
    found: set[str] = set()

    def once(name: str, *_: Any) -> str:
        found.update(site.cluster.names("ConfigMap"))
        then()
        return json.dumps({"tables": {}})

    monkeypatch.setattr(site.slots, "_once", lambda *told, **_: once(*told))
    answer = {"pending": [], "overridden": [], "vendor": "sqlite"}
    monkeypatch.setattr(
        database, "verdict", lambda new, running, others, needs, ask: needs(running) and answer
    )
    site.slots.judge()
    return found


def test_a_release_whose_settings_are_gone_is_lent_them_to_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site()
    site.cluster.delete("ConfigMap", SETTINGS[1])
    assert SETTINGS[1] in judging(site, monkeypatch)
    assert SETTINGS[1] not in site.cluster.names("ConfigMap")


def test_what_is_there_is_neither_lent_nor_taken_away(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site()
    assert SETTINGS[1] in judging(site, monkeypatch)
    assert SETTINGS[1] in site.cluster.names("ConfigMap")


def test_what_was_lent_is_taken_back_when_asking_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site()
    site.cluster.delete("ConfigMap", SETTINGS[1])

    def fail() -> None:
        raise RolloutError("no such table")

    with pytest.raises(RolloutError, match="no such table"):
        judging(site, monkeypatch, fail)
    assert SETTINGS[1] not in site.cluster.names("ConfigMap")


def test_the_lease_is_free_to_be_renewed_while_a_release_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    site, acting = Site(), 0
    asked_while_acting = []

    @contextmanager
    def act() -> Iterator[None]:
        nonlocal acting
        acting += 1
        yield
        acting -= 1

    def once(*_: Any, **__: Any) -> str:
        asked_while_acting.append(acting)
        return json.dumps({"tables": {}})

    monkeypatch.setattr(site.lease, "act", act)
    monkeypatch.setattr(site.slots, "_once", once)
    answer = {"pending": [], "overridden": [], "vendor": "sqlite"}
    monkeypatch.setattr(
        database, "verdict", lambda new, running, others, needs, ask: ask(new, running) and answer
    )
    site.slots.judge()
    assert asked_while_acting == [0, 0]


# --- verify


@pytest.mark.parametrize(
    ("gone", "fails"),
    [("deleted", False), ("evicted", False), ("", True)],
    ids=["scaled away", "evicted", "mute"],
)
def test_a_web_that_goes_while_it_is_watched_is_no_fault_of_the_release(gone: str, fails: bool) -> None:
    site = Site()

    def run(name: str, *_: Any) -> tuple[int, str]:
        if name == "web-1" and gone == "deleted":
            site.cluster.delete("Pod", name)
        if name == "web-1" and gone == "evicted":
            site.cluster.things["Pod", name]["status"] = {"phase": "Failed", "reason": "Evicted"}
        return (1, "it is gone") if name == "web-1" else (0, json.dumps([["/readyz", 200, "", 0.01]]))

    site.cluster.run = run  # type: ignore[method-assign,assignment]
    if fails:
        with pytest.raises(RolloutError, match="web-1 cannot be asked"):
            site.slots._ask_while_it_stays("web-1", ["/readyz"])
    else:
        assert site.slots._ask_while_it_stays("web-1", ["/readyz"]) == []
    assert site.slots._ask_while_it_stays("web-2", ["/readyz"]) == [("/readyz", 200, "", 0.01)]


def test_a_pod_that_has_no_room_beside_the_old_ones_is_found_before_anything_changes() -> None:
    """Not one that takes the place of an old one: there is room for it later."""
    site = Site()
    alone = {"type": "Recreate"}
    for strategy in ({}, alone, {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0}}):
        deployments = [each for each in objects(2) if each["kind"] == "Deployment"]
        deployments[0]["spec"]["strategy"] = strategy
        deployments[0]["spec"]["template"]["metadata"]["labels"] = {"app": "web"}
        found = kube_release.surging(deployments)
        assert [each["metadata"]["name"] for each in found] == ([] if strategy else ["web-surge"])
    site.fails("try Pod web-surge", RolloutError("Pod web-surge has no room: exceeded quota"), times=1000)
    told: Any = {"number": 2, "version": "v2", "image": "image:2", "before": "image:1", "secret": ""}
    with pytest.raises(RolloutError, match="exceeded quota"):
        site.slots.prepare(objects(2), told, {})
    assert not [line for line in site.cluster.did if line.startswith("create Pod")]


# --- undo


@pytest.mark.parametrize(
    "line",
    [
        "replace Deployment web",
        "get ConfigMap release-1",
        "every Pod app=web",
        "every Pod rollout/number,rollout/kind in (once, candidate)",
    ],
)
def test_an_undo_goes_on_through_trouble(line: str) -> None:
    site = Site()
    site.fails(line, RolloutError("the API server is away"), times=3)
    assert site.slots.undo() == "v1 serves"


def test_an_undo_keeps_what_the_pods_said_that_it_takes_away() -> None:
    site = Site()
    site.cluster.apply(pod("web-new", number=2))
    site.cluster.said = {"web-new": "2027-01-15T08:00:00Z this web cannot start"}
    site.slots.undo()
    assert "said-2" in site.cluster.names("ConfigMap")
    assert "said-1" not in site.cluster.names("ConfigMap")


def test_an_undo_that_never_can_be_done_says_so_in_the_end() -> None:
    site = Site()
    site.fails("replace Deployment web", RolloutError("the quota is exceeded"), times=1000)
    with pytest.raises(RolloutError, match="the quota is exceeded"):
        site.slots.undo(at_least=0.1)


def test_an_undo_of_who_was_taken_for_dead_stops_at_once() -> None:
    site = Site()
    site.fails("replace Deployment web", StaleLease("taken over"))
    with pytest.raises(StaleLease):
        site.slots.undo()


def test_an_undo_leaves_a_backup_alone() -> None:
    site = Site()
    by_hand = pod("backup-by-hand")
    by_hand["metadata"]["labels"] = {"rollout/kind": "once"}
    site.cluster.apply(by_hand)
    site.slots.undo()
    assert "backup-by-hand" in site.cluster.names("Pod")


def left(number: int) -> dict[str, Any]:
    """A rollout of which a dead owner left what it had begun."""
    return {"number": number, "kind": "deploy", "version": f"v{number}", "owner": "sara", "at": "then",
            "step": "switch", "steps": {"lock": 0.0}}  # fmt: skip


def test_what_a_dead_owner_left_stays_to_be_undone_until_it_is(load: Load) -> None:
    site, module = Site(killed=left(3)), load("cluster_slot")
    site.keep(3)
    site.fails("replace Deployment web", RolloutError("the quota is exceeded"))
    words = module.undo(site.slots, site.journal, site.lease, "lock")
    assert words == "it cannot, and this rollout goes on: the quota is exceeded"
    assert (site.journal.rollout or {})["killed"]["number"] == 3
    assert module.undo(site.slots, site.journal, site.lease, "") == "v1 serves"
    assert (site.journal.rollout or {})["killed"] is None
    assert [(line["number"], line["outcome"]) for line in site.journal.history][1:] == [(3, "killed")]


def test_what_a_dead_owner_left_is_over_when_another_release_serves(load: Load) -> None:
    site = Site(killed=left(3))
    served(site)
    load("cluster_slot").settle(site.slots, site.journal, site.lease, 5)
    assert (site.journal.rollout or {})["killed"] is None
    killed, done = site.journal.history[-2:]
    assert (killed["number"], killed["outcome"], done["number"], done["outcome"]) == (3, "killed", 2, "done")
    assert "undone: it could not be, v2 took its place" in killed["reason"]


# --- settle


def served(site: Site) -> None:
    """Have the rollout under way serve, its predecessor's settings being left."""
    site.slots._apply(site.slots._objects(2))


def test_once_it_is_written_that_a_release_serves_nothing_turns_that_into_a_failure() -> None:
    for line in (
        f"delete ConfigMap {SETTINGS[1]}",
        "every Secret rollout/kind=secret",
        "get ConfigMap release-2",
    ):
        for error in (RolloutError("away"), ValueError("no JSON"), StaleLease("taken over")):
            site = Site()
            served(site)
            site.fails(line, error, times=1000)
            told = site.slots.settle(5)
            assert (told["recorded"], told["serves"]) == (True, True)
            assert f"could not be pruned: {error}" in told["msg"]
            assert (site.journal.current or {})["number"] == 2
            assert [each["outcome"] for each in site.journal.history] == ["done", "done"]


def test_what_serves_and_the_line_of_history_are_written_as_one() -> None:
    site = Site()
    served(site)
    site.fails("replace ConfigMap rollout", RolloutError("away"))
    with pytest.raises(RolloutError, match="away"):
        site.slots.settle(5)
    assert (site.journal.current or {})["number"] == 1
    assert len(site.journal.history) == 1
    assert site.slots.undo() == "v1 serves"


def test_what_only_older_rollouts_applied_is_taken_away_whichever_left_it() -> None:
    site = Site()
    site.keep(3)  # it failed, and nobody could take away what it had applied
    site.cluster.apply(objects(3)[0])
    foreign = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "ours", "labels": {}},
        "data": {},
    }
    site.keep(1, foreign)  # a release's once, the set-up's now
    site.cluster.apply(foreign)
    served(site)
    site.slots.settle(5)
    kept = site.cluster.names("ConfigMap")
    assert SETTINGS[2] in kept
    assert not kept & {SETTINGS[1], SETTINGS[3]}
    assert "ours" in kept
    assert "web" in site.cluster.names("Deployment")


# --- end


def ended(site: Site, load: Load) -> str:
    return str(load("cluster_slot").end(site.slots, site.journal, site.lease))


def gone_in_time(site: Site) -> None:
    """Have the pods of a Deployment that is deleted go, as Kubernetes does."""

    def before(line: str) -> None:
        if line == "delete Deployment web":
            for name in ("web-1", "web-2"):
                site.cluster.things.pop(("Pod", name), None)

    site.cluster.before = before


def test_the_end_stops_what_a_killed_rollout_left_and_closes_its_book(load: Load) -> None:
    site = Site(killed=left(3))
    gone_in_time(site)
    extra = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "clock", "labels": RELEASE},
             "spec": {"template": {"metadata": {}, "spec": {"containers": []}}}}  # fmt: skip
    site.keep(3, extra)
    for each in [objects(3)[0], extra]:
        site.cluster.apply(each)
    for name, kind in (("candidate-3", "candidate"), ("migrate-3", "once")):
        one = pod(name, number=3)
        one["metadata"]["labels"]["rollout/kind"] = kind
        site.cluster.apply(one)
    assert ended(site, load) == "stopped"
    assert not site.cluster.names("Pod")
    assert not site.cluster.names("Deployment")
    assert not site.cluster.names("ConfigMap") & set(SETTINGS.values())
    line = site.journal.history[-1]
    assert (line["number"], line["outcome"]) == (3, "killed")
    assert "undone: stopped" in line["reason"]
    assert (site.journal.rollout or {})["killed"] is None


def test_the_end_waits_until_everything_is_gone(load: Load) -> None:
    site = Site()
    with pytest.raises(RolloutError, match=r"the service did not end in 0 s: web-\d still runs"):
        ended(site, load)


def test_the_end_of_nothing_is_said(load: Load) -> None:
    site = Site()
    site.journal._write(current="")
    for name in ("web-1", "web-2"):
        site.cluster.delete("Pod", name)
    assert ended(site, load) == "nothing runs"
