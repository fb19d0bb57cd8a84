"""A rollout amid faults of the cluster and of its keepers: it goes on, or is undone, and holds up none that follows."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.k8s.door import Door
from tests.k8s.namespace import COMPONENT, ENDED, NUMBER, Staging
from tests.k8s.test_bad_input import refused
from tests.k8s.test_node import cordoned, cut_off
from tests.rollout.changes import overlay, replace, setting, unready, visible_text
from tests.rollout.checkout import Run, wait_until
from tests.rollout.promise import unharmed

pytestmark = [pytest.mark.verify, pytest.mark.chaos]

SLOTS = "playbooks/plugins/module_utils/rollout/kube_slots.py"
ENV = "staging"
LATE_SECONDS = 15
"""Less than a rollout puts up with."""
AWAY_SECONDS = 60
"""More than that, and than a lease lasts."""


@pytest.fixture
def door(staging: Staging, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    """What the deployer goes to the API server through, to be closed; others go there without."""
    config = json.loads(staging.kubectl("config", "view", "--raw", "--minify", "--flatten", "--output=json"))
    about = config["clusters"][0]["cluster"]
    address = urlsplit(about["server"])
    with Door(str(address.hostname), address.port or 443) as made:
        about["tls-server-name"] = address.hostname
        about["server"] = f"https://127.0.0.1:{made.port}"
        (tmp_path / "kubeconfig").write_text(json.dumps(config))
        monkeypatch.setitem(staging.environment, "KUBECONFIG", str(tmp_path / "kubeconfig"))
        yield made


def ended(deploy: Run, seconds: float = 600) -> str:
    """What a deploy said that came to a good end."""
    deploy.wait(seconds)
    assert deploy.status == 0, deploy.output[-6000:]
    return deploy.output


def deployed(staging: Staging, commit: str) -> None:
    """Require that a commit serves, all of it, and that nothing is left to be done."""
    assert staging.version()["commit"] == commit
    staging.await_whole()
    assert (staging.read("lease"), staging.read("rollout")) == ({}, {})


@contextmanager
def again_and_again(do: Callable[[], object], every: float = 0.2) -> Iterator[None]:
    """Do something all the time."""
    over = threading.Event()

    def run() -> None:
        while not over.wait(every):
            do()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(30)


# --- the API server


@pytest.mark.parametrize("step", ["preflight", "prove", "switch", "verify"])
def test_an_api_server_that_is_away_for_a_while_stops_no_deploy(
    staging: Staging, door: Door, step: str
) -> None:
    commit = staging.commit(visible_text(f"The API server is away at {step}"))
    deploy = staging.start("deploy")
    staging.await_step(step, deploy)
    with door.closed():
        time.sleep(LATE_SECONDS)
    ended(deploy)
    assert door.refused, "nobody noticed"
    deployed(staging, commit)


def test_a_deploy_that_waits_in_vain_for_the_api_server_is_undone_when_it_is_back(
    staging: Staging, door: Door
) -> None:
    good = staging.head
    staging.commit(visible_text("The API server is away for long"))
    try:
        with unharmed(staging):
            deploy = staging.start("deploy")
            staging.await_step("switch", deploy)
            with door.closed():
                time.sleep(AWAY_SECONDS)
            deploy.wait(600)
            assert deploy.status != 0, deploy.output
            assert "does not answer" in deploy.output
            assert "undoing that failed" not in deploy.output
            staging.await_whole()
    finally:
        staging.go_to(good)


def test_objects_that_others_write_all_the_time_stop_no_deploy(staging: Staging) -> None:
    names = [f"deployment/{name}" for name in staging.PROCESSES] + ["lease/rollout", "configmap/rollout"]

    def touch() -> None:
        # Labels: Kubernetes copies a Deployment's annotations to its ReplicaSets, and then gets in its own way.
        staging.kubectl("label", "--overwrite", *names, f"touched={time.monotonic_ns()}", check=False)

    commit = staging.commit(visible_text("Touched"))
    with again_and_again(touch):
        staging.make("deploy")
    deployed(staging, commit)


# --- pods


def test_an_evicted_pod_holds_no_deploy_up(staging: Staging) -> None:
    """The node evicts who fills its scratch volume, and keeps the dead pod."""
    victim = staging.pods("web")[0]["metadata"]["name"]
    fill = "f = open('/srv/run/full', 'wb')\nfor _ in range(150): f.write(bytes(1 << 20)); f.flush()"
    staging.kubectl("exec", victim, "--container=web", "--", "python", "-c", fill, check=False)

    def evicted() -> bool:
        return staging.kubectl.get(f"pod/{victim}")["status"]["phase"] in ENDED

    wait_until(evicted, "the eviction", 120, every=1)
    commit = staging.commit(visible_text("After an eviction"))
    staging.make("deploy", ROLLOUT_READY_SECONDS="120")
    assert staging.version()["commit"] == commit
    assert "NOT READY" not in staging.make("status").output
    staging.kubectl("delete", "pod", victim, "--ignore-not-found")


def test_pods_of_another_deployment_with_the_same_label_hold_no_deploy_up(staging: Staging) -> None:
    other = staging.kubectl.get("deployment/worker")
    labels = {COMPONENT: "worker", "of": "others"}
    spec = other["spec"]["template"]["spec"]
    for name in ("startupProbe", "readinessProbe"):
        spec["containers"][0].pop(name, None)
    spec["containers"][0] |= {"command": ["sleep", "3600"], "args": []}
    thing = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "others"},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels | {NUMBER: "0"}}, "spec": spec},
        },
    }
    staging.kubectl("apply", "--filename=-", told=json.dumps(thing))
    staging.kubectl("rollout", "status", "deployment/others", "--timeout=100s")
    try:
        commit = staging.commit(visible_text("Beside others"))
        staging.make("deploy", ROLLOUT_READY_SECONDS="120")
        assert staging.version()["commit"] == commit
    finally:
        staging.kubectl("delete", "deployment", "others", "--wait=true")
        staging.kubectl("wait", "--for=delete", "pod", "--selector=of=others", "--timeout=100s")


def test_a_pod_of_a_step_that_is_deleted_ends_the_deploy(staging: Staging) -> None:
    good = staging.head
    staging.commit(visible_text("Its judge is deleted"))
    try:
        with unharmed(staging):
            name = f"check-{staging.kubectl.get('lease/rollout')['spec']['leaseTransitions'] + 1}"
            deploy = staging.start("deploy")
            wait_until(lambda: name in staging.kubectl("get", "pods", "--output=name"), name, 300)
            begun = time.monotonic()
            staging.kubectl("delete", "pod", name, "--grace-period=0", "--force")
            deploy.wait(120)
            assert deploy.status != 0
            assert f"{name} was deleted before it ended" in deploy.output
            assert time.monotonic() - begun < 60
    finally:
        staging.go_to(good)


def test_a_dead_node_holds_no_deploy_up(staging: Staging) -> None:
    """Its pods stay in the API, being deleted for as long as it is dead; the scheduler's, too, that is recreated."""
    stores = staging.kubectl.get("pods", f"--selector={COMPONENT}=database")[0]["spec"]["nodeName"]
    nodes = {each["metadata"]["name"]: each for each in staging.kubectl.get("nodes")}
    dead = next(name for name in nodes if name != stores)
    with cordoned(staging, stores):  # the scheduler is to be there when it dies
        staging.kubectl("delete", "pod", staging.pods("scheduler")[0]["metadata"]["name"])
    assert staging.pods("scheduler")[0]["spec"]["nodeName"] == dead
    commit = staging.commit(visible_text("A node is dead"))
    with cut_off(staging, nodes[dead], seconds=480):

        def whole() -> bool:
            here = [pod for name in staging.PROCESSES for pod in staging.ready(name)]
            return len([pod for pod in here if pod["spec"]["nodeName"] == stores]) >= 4

        wait_until(whole, "full strength on the other node", 120, every=0.5)
        staging.make("deploy", seconds=340)
        assert staging.read("current")["version"].split("-")[2] == commit[:12]
    staging.await_whole(180)


# --- what is applied


def least_replicas(staging: Staging, do: Callable[[], object]) -> int:
    """The fewest webs that were wanted while something was done."""
    seen: list[int] = []

    def look() -> None:
        seen.append(int(staging.kubectl.get("deployment/web")["spec"]["replicas"]))

    with again_and_again(look, every=0.05):
        do()
    return min(seen)


def unscaled(checkout: Path) -> None:
    """Two webs, and no autoscaler."""
    kustomization = checkout / f"k8s/overlays/{ENV}/kustomization.yaml"
    replace(kustomization, "../../components/scaling, ", "")


def test_a_deploy_keeps_the_replicas_that_an_autoscaler_gave(staging: Staging) -> None:
    """One that arrives with it, and one that somebody put there."""
    good = staging.head
    scaler: dict[str, Any] = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "by-hand"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "minReplicas": 3,
            "maxReplicas": 3,
        },
    }
    try:
        staging.commit(unscaled)
        staging.make("deploy")
        assert not staging.kubectl.get("horizontalpodautoscalers")
        staging.kubectl("apply", "--filename=-", told=json.dumps(scaler))
        wait_until(lambda: len(staging.ready("web")) == 3, "a third web", 120, every=1)
        staging.commit(visible_text("By an autoscaler"))
        assert least_replicas(staging, lambda: staging.make("deploy")) == 3
        staging.kubectl("delete", "horizontalpodautoscaler", "by-hand")
        staging.go_to(good)
        assert least_replicas(staging, lambda: staging.make("deploy")) >= 2
        assert staging.kubectl.get("horizontalpodautoscalers")
    finally:
        staging.kubectl("delete", "horizontalpodautoscaler", "by-hand", "--ignore-not-found")
        staging.go_to(good)


def test_a_lost_record_and_lease_and_a_hands_change_leave_what_was_proved(staging: Staging) -> None:
    """A failing deploy after that is undone to what serves; the next one replaces what a hand set."""
    good, number = staging.head, staging.read("current")["number"]
    staging.kubectl("delete", "configmap/rollout", "lease/rollout")
    staging.commit(unready)
    try:
        deploy = staging.start("deploy", ROLLOUT_READY_SECONDS="30")
        deploy.wait(300)
        assert deploy.status != 0
        assert "is taken for what serves" in deploy.output
        assert "undoing that failed" not in deploy.output
        assert staging.history()[-1]["number"] > number
    finally:
        staging.go_to(good)
    staging.await_whole()
    assert staging.version()["commit"] == good
    staging.kubectl("set", "env", "deployment/web", "LOG_LEVEL=DEBUG")
    staging.kubectl("rollout", "status", "deployment/web", "--timeout=100s")
    assert staging.told()["LOG_LEVEL"] == "DEBUG"
    commit = staging.commit(visible_text("After a hand's change"))
    staging.make("deploy")
    deployed(staging, commit)
    assert staging.told()["LOG_LEVEL"] == "INFO"


def test_settings_of_a_fixed_name_are_refused_by_a_dry_run_too(staging: Staging) -> None:
    good = staging.head
    fixed = "options: {disableNameSuffixHash: true, labels: {rollout/kind: release}}"
    staging.commit(overlay("options: {labels: {rollout/kind: release}}", fixed, ENV))
    try:
        refused(staging, "ConfigMap settings has a fixed name", "deploy", "DRY_RUN=1")
        refused(staging, "ConfigMap settings has a fixed name")
    finally:
        staging.go_to(good)


def test_what_older_rollouts_left_is_taken_away_by_the_next_that_is_recorded(staging: Staging) -> None:
    old = next(
        each for each in staging.kubectl.get("configmaps") if each["metadata"]["name"].startswith("settings-")
    )
    staging.commit(setting("WEB_THREADS", "5", ENV))
    staging.make("deploy")
    about = {key: old["metadata"][key] for key in ("name", "labels", "namespace")}
    staging.kubectl("create", "--filename=-", told=json.dumps(old | {"metadata": about}))
    staging.commit(visible_text("It takes that away"))
    staging.make("deploy")
    names = [name for name in staging.kept() if name.startswith("settings-")]
    assert len(names) == 1
    assert old["metadata"]["name"] not in names


def test_a_deploy_after_the_end_with_other_settings_is_none_that_cannot_be_judged(staging: Staging) -> None:
    staging.make("down")
    commit = staging.commit(setting("WEB_THREADS", "6", ENV))
    staging.make("deploy")
    deployed(staging, commit)
    assert staging.told()["WEB_THREADS"] == "6"
    assert len([name for name in staging.kept() if name.startswith("settings-")]) == 1


# --- undo and end


def hasty(checkout: Path) -> None:
    """An undo that gives up after seconds."""
    replace(checkout / SLOTS, "UNDO_SECONDS = 300.0", "UNDO_SECONDS = 5.0")


def test_an_undo_that_fails_is_told_and_left_to_the_next_rollout(staging: Staging) -> None:
    """What served is not known while it is tried: its record is gone."""
    good, number = staging.head, staging.read("current")["number"]
    kept = staging.kubectl.get(f"configmap/release-{number}")
    staging.commit(unready, hasty)
    try:
        deploy = staging.start("deploy", ROLLOUT_READY_SECONDS="30")
        staging.await_step("prove", deploy)
        staging.kubectl("delete", "configmap", f"release-{number}")
        deploy.wait(300)
        assert deploy.status != 0
        assert "and undoing that failed" in deploy.output
    finally:
        about = {key: kept["metadata"][key] for key in ("name", "labels", "annotations", "namespace")}
        staging.kubectl("create", "--filename=-", told=json.dumps(kept | {"metadata": about}))
        staging.go_to(good)
    failed = staging.read("rollout")["number"]
    left = f"rollout {failed} failed in step prove and is not undone; the next deploy undoes it"
    assert left in staging.make("status").output
    staging.make("deploy")
    deployed(staging, good)
    assert [(line["number"], line["outcome"]) for line in staging.history()[-2:]] == [
        (failed, "failed"),
        (failed + 1, "done"),
    ]


@pytest.mark.parametrize("step", ["prove", "switch"])
def test_the_end_after_a_killed_deploy_stops_what_that_one_began(staging: Staging, step: str) -> None:
    commit = staging.commit(visible_text(f"Killed at {step}, then ended"))
    deploy = staging.start("deploy")
    staging.await_step(step, deploy)
    if step == "prove":
        wait_until(lambda: "candidate" in staging.kubectl("get", "pods"), "the candidate", 60)
    deploy.kill(with_children=True)
    staging.make("down")
    assert not staging.kubectl.get("pods", f"--selector={NUMBER}")
    assert not staging.kubectl.get("deployments")
    assert (staging.read("lease"), staging.read("rollout")) == ({}, {})
    assert staging.history()[-1]["outcome"] == "killed"
    staging.make("deploy")
    deployed(staging, commit)
