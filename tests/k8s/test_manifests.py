"""Every object of every overlay is accepted by a real API server, and those of dev really run."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from rollout.kube_release import SECRETS, rendered
from tests.docker.containers import ORPHANED
from tests.k8s.namespace import Staging
from tests.parts import cluster
from tests.parts.cluster import Kubectl
from tests.rollout.checkout import REPOSITORY

pytestmark = pytest.mark.verify

OVERLAYS = ("dev", "staging", "production")


@pytest.fixture
def objects(request: pytest.FixtureRequest) -> Iterator[list[dict[str, Any]]]:
    """The objects of an overlay, to be applied to a namespace of the tests' own that has its Pod Security."""
    cluster.require()
    found = rendered(REPOSITORY / "k8s/overlays" / request.param)
    kubectl = Kubectl(f"tries-{request.param}")
    for each in found:
        if each["kind"] == "Namespace":
            each["metadata"]["name"] = kubectl.namespace
            kubectl("apply", "--server-side", "--filename=-", told=yaml.safe_dump(each))
        else:
            each["metadata"]["namespace"] = kubectl.namespace
    yield found
    kubectl("delete", "namespace", kubectl.namespace, "--wait=true")


@pytest.mark.parametrize(("objects", "name"), [(each, each) for each in OVERLAYS], indirect=["objects"])
def test_the_api_server_accepts_every_object_without_a_warning(
    objects: list[dict[str, Any]], name: str
) -> None:
    done = subprocess.run(
        ["kubectl", "apply", "--server-side", "--dry-run=server", "--validate=strict", "--filename=-"],
        input=yaml.safe_dump_all(objects),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr, "Pod Security or the API server warns"
    assert len(done.stdout.splitlines()) == len(objects)


@pytest.mark.parametrize("objects", ["dev"], indirect=True)
def test_a_misspelled_field_is_refused(objects: list[dict[str, Any]]) -> None:
    (web,) = [each for each in objects if each["kind"] == "Deployment" and each["metadata"]["name"] == "web"]
    web["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    kubectl = Kubectl(web["metadata"]["namespace"])
    said = kubectl(
        "apply",
        "--server-side",
        "--dry-run=server",
        "--validate=strict",
        "--filename=-",
        told=yaml.safe_dump(web),
        check=False,
    )
    assert "readynessProbe" in said


def test_no_process_of_the_service_is_given_a_token_or_runs_as_root(staging: Staging) -> None:
    for pod in staging.pods():
        spec = pod["spec"]
        assert not spec["automountServiceAccountToken"]
        assert spec["securityContext"]["runAsNonRoot"]
        for container in [*spec["containers"], *spec.get("initContainers", [])]:
            assert container["securityContext"]["readOnlyRootFilesystem"]
            assert container["resources"]["limits"]["memory"]
            assert "@sha256:" in container["image"], "an image is named by what a tag meant at some time"


def test_a_shell_that_fails_beside_the_database_is_no_crash_of_it(staging: Staging) -> None:
    staging.kubectl("exec", "database-0", "--", "bash", "-c", ORPHANED, "bash", "/secrets/PGPASSWORD")


def test_no_secret_stands_in_a_rendered_overlay_or_a_record(staging: Staging) -> None:
    values = [staging.secret(name) for name in staging.kubectl.get(f"secret/{SECRETS}")["data"]]
    assert values
    kept = str(staging.kubectl.get("configmaps")) + str(staging.kubectl.get("pods"))
    shown = kept + "".join(str(rendered(REPOSITORY / "k8s/overlays" / name)) for name in OVERLAYS)
    assert not [value for value in values if value in shown]


def test_the_table_of_what_the_overlays_differ_in_is_current() -> None:
    cluster.require()
    done = subprocess.run(
        [sys.executable, REPOSITORY / "scripts/overlays.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
