"""Objects, patches, services and stages count when a test has said that they ran, in the file as it is now."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.coverage import parts

BASE = """apiVersion: v1
kind: Service
metadata: {name: web}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
"""
OVERLAY = """resources: [../../base]
configMapGenerator:
  - name: settings
patches:
  - target: {kind: Service, name: web}
    patch: |-
      - {op: add, path: /spec/type, value: NodePort}
"""
DOCKERFILE = """FROM base AS packages
RUN make
FROM base AS unused
RUN make
FROM base
COPY --from=packages /a /a
"""


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One with an overlay, a Compose file and a Dockerfile."""
    for path, text in {
        "k8s/base/kustomization.yaml": "resources: [web.yaml]\n",
        "k8s/base/web.yaml": BASE,
        "k8s/overlays/dev/kustomization.yaml": OVERLAY,
        "infra/docker/compose.yml": "services:\n  web: {}\n  database: {}\n",
        "infra/docker/Dockerfile": DOCKERFILE,
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    (tmp_path / "recordings").mkdir()
    monkeypatch.setenv("INFRA_COVERAGE_DIR", str(tmp_path / "recordings"))
    return tmp_path


def executed(checkout: Path) -> dict[str, bool]:
    return {str(line): line.executed for line in parts.lines(checkout, checkout / "recordings")}


def test_every_part_is_named_with_its_line_and_nothing_ran_yet(checkout: Path) -> None:
    assert executed(checkout) == {
        "k8s/base/web.yaml:1  Service web": False,
        "k8s/base/web.yaml:5  Deployment web": False,
        "k8s/overlays/dev/kustomization.yaml:3  ConfigMap settings": False,
        "k8s/overlays/dev/kustomization.yaml:5  patch of Service web": False,
        "infra/docker/compose.yml:2  web": False,
        "infra/docker/compose.yml:3  database": False,
        "infra/docker/Dockerfile:1  packages": False,
        "infra/docker/Dockerfile:3  unused": False,
        "infra/docker/Dockerfile:5  the image": False,
    }


def test_what_ran_counts_until_its_file_changes(checkout: Path) -> None:
    file = checkout / "infra/docker/compose.yml"
    parts.ran(checkout, file, ["web"])
    assert executed(checkout)["infra/docker/compose.yml:2  web"]
    assert not executed(checkout)["infra/docker/compose.yml:3  database"]
    file.write_text(file.read_text() + "# changed\n")
    assert not executed(checkout)["infra/docker/compose.yml:2  web"]


def test_an_overlay_is_made_of_its_own_file_and_of_those_that_it_names(checkout: Path) -> None:
    found = parts.files_of(checkout / "k8s/overlays/dev")
    assert [file.relative_to(checkout).as_posix() for file in found] == [
        "k8s/overlays/dev/kustomization.yaml",
        "k8s/base/kustomization.yaml",
        "k8s/base/web.yaml",
    ]


def test_a_stage_that_the_image_does_not_need_was_not_built(checkout: Path) -> None:
    assert parts.stages_of(checkout / "infra/docker/Dockerfile") == ["the image", "packages"]
