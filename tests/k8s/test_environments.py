"""One image from staging to production: built once, it runs by the overlays of both on a real cluster.

What production has from others, its database and its cache, are servers in a namespace of the tests' own.
"""

import json
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml

from tests.k8s.namespace import Namespace, Staging
from tests.k8s.overlays import require_that_all_runs
from tests.parts.cluster import Kubectl
from tests.rollout.changes import replace, setting
from tests.rollout.checkout import wait_until

pytestmark = pytest.mark.verify

MANAGED = "managed-servers"
REDIS = "printf 'protected-mode no\nuser marefia on >%s ~* &* +@all\n' \"$PASSWORD\" | redis-server -"


@dataclass
class Production(Namespace):
    """Production as it is shipped, for whoever has a context of that name and confirms it."""

    NAME: ClassVar[str] = "marefia"
    ENVIRONMENT: ClassVar[str] = "production"
    INVENTORY: ClassVar[str] = "infra/inventories/production/hosts.yml"

    def __post_init__(self) -> None:
        super().__post_init__()
        config = json.loads(self.kubectl("config", "view", "--raw", "--minify", "--output=json"))
        config["contexts"][0]["name"] = config["current-context"] = "production"
        (self.folder / "kubeconfig").write_text(json.dumps(config))
        (self.folder / "password").write_text("of the tests' own vault\n")
        self.environment |= {
            "KUBECONFIG": str(self.folder / "kubeconfig"),
            "CONFIRM": "production",
            "ANSIBLE_VAULT_PASSWORD_FILE": str(self.folder / "password"),
        }
        self.make("secrets")
        self.commit(servers_of_the_tests)

    @property
    def vault(self) -> dict[str, str]:
        """The secrets that `make secrets` made."""
        lines = self.run("scripts/secrets", "show", "--values").splitlines()
        return dict(line.split("=", 1) for line in lines)


def servers_of_the_tests(checkout: Path) -> None:
    """Where production's database and cache are."""
    for name in ("database", "cache"):
        where = f"{name}.{MANAGED}.svc.cluster.local"
        replace(checkout / "k8s/components/managed/services.yaml", f"{name}.example", where)


def server(name: str, image: str, port: int, *arguments: str, **told: str) -> list[dict[str, Any]]:
    """A server that others run, and its address."""
    about = {"name": name, "labels": {"server": name}}
    container = {
        "name": name,
        "image": image,
        "args": list(arguments),
        "env": [{"name": key, "value": value} for key, value in told.items()],
        "readinessProbe": {"tcpSocket": {"port": port}, "periodSeconds": 1},
    }
    address = {"selector": about["labels"], "ports": [{"port": port}]}
    return [
        {"apiVersion": "v1", "kind": "Pod", "metadata": about, "spec": {"containers": [container]}},
        {"apiVersion": "v1", "kind": "Service", "metadata": about, "spec": address},
    ]


@pytest.fixture(scope="module")
def production(staging: Staging) -> Iterator[Production]:
    """Production, set up; nothing runs there yet."""
    made = Production(Path(tempfile.mkdtemp(prefix="production-")))
    secrets = made.vault
    things = [
        *server(
            "database",
            "postgres:17",
            5432,
            POSTGRES_DB="marefia",
            POSTGRES_USER=secrets["PGUSER"],
            POSTGRES_PASSWORD=secrets["PGPASSWORD"],
        ),
        *server("cache", "redis:8.0", 6379, "sh", "-c", REDIS, PASSWORD=secrets["BROKER_PASSWORD"]),
    ]
    kubectl = Kubectl(MANAGED)
    kubectl("create", "namespace", MANAGED)
    try:
        kubectl("apply", "--filename=-", told=yaml.safe_dump_all(things))
        kubectl("wait", "--for=condition=Ready", "pods", "--all", "--timeout=90s")
        made.make("cluster", seconds=300)
        yield made
    finally:
        made.remove()
        kubectl("delete", "namespace", MANAGED, "--wait=true")


def images(namespace: Namespace) -> set[str]:
    """What a namespace's processes run."""
    return {pod["spec"]["containers"][0]["image"] for pod in namespace.pods()}


def test_everything_in_the_overlay_of_staging_runs(staging: Staging) -> None:
    staging.require_whole()
    require_that_all_runs(staging)


@pytest.mark.chaos
def test_production_runs_the_very_image_that_staging_runs(staging: Staging, production: Production) -> None:
    version = staging.read("current")["version"]
    production.make("deploy", f"VERSION={version}")
    assert production.version()["version"] == version
    assert len(images(staging)) == 1
    assert images(production) == images(staging)
    production.require_whole()
    require_that_all_runs(production)


@pytest.mark.chaos
def test_a_dry_run_says_what_would_change_and_leaves_nothing_behind(staging: Staging) -> None:
    before, good = staging.kept(), staging.head
    staging.commit(setting("WEB_THREADS", "6", "staging"))
    try:
        said = staging.make("deploy", DRY_RUN="1").output
    finally:
        staging.go_to(good)
    assert re.search(r"with other settings, 0\s+migrations to apply", said), said
    assert staging.kept() == before


@pytest.mark.chaos
def test_production_keeps_no_data_in_the_cluster(production: Production) -> None:
    assert not production.kubectl.get("statefulsets,persistentvolumeclaims,cronjobs")


@pytest.mark.chaos
def test_a_build_of_what_the_registry_has_leaves_it_as_it_is(staging: Staging) -> None:
    """REGISTRY names it: the bundle is built, and nothing pushed over what runs."""
    said = staging.make("build", seconds=300).output
    assert (
        f"{staging.environment['REGISTRY']}/marefia:{staging.read('current')['version']} is there already"
        in said
    )
    assert list((staging.folder / "releases").glob("*.tar"))
    wait_until(lambda: len(images(staging)) == 1, "the same image", 5)
