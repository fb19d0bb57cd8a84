"""Faults of whoever deploys to a cluster: one clear line each, a non-zero status, and nothing changed."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from rollout.service import load as service_file
from tests.k8s.namespace import Staging
from tests.rollout.changes import replace
from tests.rollout.checkout import REPOSITORY, Change, free_port
from tests.rollout.promise import unharmed

pytestmark = pytest.mark.verify

FOREIGN = {"amd64": "arm64", "arm64": "amd64"}
CLAIMED = "requests: {cpu: 100m, memory: 192Mi}"


def asks_for(cpu: str, quota: str = "4") -> Change:
    """What runs once asks for so many processors, in a namespace with that quota of them."""

    def change(checkout: Path) -> None:
        replace(
            checkout / "k8s/base/service/migrate.yaml", CLAIMED, f"requests: {{cpu: '{cpu}', memory: 192Mi}}"
        )
        replace(checkout / "k8s/base/ground/limits.yaml", 'requests.cpu: "4"', f'requests.cpu: "{quota}"')

    return change


def refused(staging: Staging, words: str, target: str = "deploy", *more: str, **told: Any) -> None:
    """Run a target that has to fail with these words in one line, and to leave everything as it was."""
    kept = staging.kept()
    with unharmed(staging):
        done = staging.make(target, *more, check=False, **told)
    assert staging.kept() == kept
    assert done.status != 0, done.output
    lines = [line for line in done.output.splitlines() if words in line]
    assert lines, done.output
    assert "Traceback" not in done.output


@pytest.mark.parametrize(
    "target",
    ["deploy", *(pytest.param(each, marks=pytest.mark.chaos) for each in ("rollback", "status", "cluster"))],
)
def test_no_kubeconfig(staging: Staging, target: str) -> None:
    refused(staging, "no kubeconfig can be read", target, KUBECONFIG="/nowhere")


def test_a_context_that_the_kubeconfig_does_not_have(staging: Staging) -> None:
    here = subprocess.run(
        ["kubectl", "config", "current-context"], capture_output=True, text=True, check=True
    ).stdout.strip()
    words = "the kubeconfig has no context production, which the inventory names; it has "
    inventory = "INVENTORY=infra/inventories/production/hosts.yml"
    refused(staging, words + here, "rollback", "ENV=production", inventory)


def test_production_has_to_be_confirmed(staging: Staging, tmp_path: Path) -> None:
    """Its inventory, for the context that there is; nobody is there to type the name."""
    text = (REPOSITORY / "infra/inventories/production/hosts.yml").read_text()
    inventory = tmp_path / "hosts.yml"
    inventory.write_text(text.replace("    rollout_context: production\n", ""))
    refused(
        staging,
        "set CONFIRM=production",
        "rollback",
        "ENV=production",
        f"INVENTORY={inventory}",
        CONFIRM="dev",
    )


def test_a_cluster_that_does_not_answer(staging: Staging, tmp_path: Path) -> None:
    config = json.loads(staging.kubectl("config", "view", "--raw", "--output=json"))
    config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{free_port()}"
    away = tmp_path / "kubeconfig"
    away.write_text(json.dumps(config))
    refused(staging, "the cluster does not answer", KUBECONFIG=str(away))


@pytest.mark.chaos
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (asks_for("1500m", quota="1"), "exceeded quota"),
        (asks_for("100", quota="200"), "no node can hold migrate: it asks for cpu 100 "),
    ],
    ids=["more than the quota", "more than a node has"],
)
def test_a_request_that_nobody_can_fulfil(staging: Staging, change: Change, words: str) -> None:
    good = staging.head
    staging.commit(change)
    try:
        staging.make("cluster")
        refused(staging, words)
    finally:
        staging.go_to(good)
        staging.make("cluster")


def test_a_registry_that_is_down(staging: Staging) -> None:
    away = f"localhost:{free_port()}"
    version = staging.read("current")["version"]
    refused(staging, f"the registry {away} cannot be asked", "deploy", f"VERSION={version}", REGISTRY=away)
    refused(staging, f"{away}", "deploy", REGISTRY=away)


def test_what_a_checkout_would_tell_another_environment_than_it_says(staging: Staging) -> None:
    """Settings and manifests are the checkout's: uncommitted ones, or those of dev, get nowhere else."""
    version = f"VERSION={staging.read('current')['version']}"
    refused(staging, "no registry is named that the nodes pull from", "deploy", version, REGISTRY="")
    refused(staging, "the inventory is of staging, and ENV says dev", "deploy", version, "ENV=dev")
    manifest = staging.path / "k8s/base/service/web.yaml"
    committed = manifest.read_text()
    manifest.write_text(f"{committed}# changed\n")
    try:
        refused(staging, "manifests or settings of staging are not committed here", "deploy", version)
    finally:
        manifest.write_text(committed)


def test_an_image_for_another_architecture(staging: Staging, tmp_path: Path) -> None:
    (here, *_) = {node["status"]["nodeInfo"]["architecture"] for node in staging.kubectl.get("nodes")}
    name = service_file(REPOSITORY / "infra/service.yml").name
    image = f"{staging.environment['REGISTRY']}/{name}:20000101-000000-0123456789ab"
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    foreign = f"linux/{FOREIGN[here]}"
    for command in (
        [
            "docker",
            "buildx",
            "build",
            "--quiet",
            "--load",
            "--platform",
            foreign,
            "--tag",
            image,
            str(tmp_path),
        ],
        ["docker", "push", "--quiet", image],
        ["docker", "image", "rm", image],
    ):
        subprocess.run(command, check=True, capture_output=True, timeout=120)
    words = f"is built for {FOREIGN[here]}, nodes are {here}"
    refused(staging, words, "deploy", f"VERSION={image.rpartition(':')[2]}")
