from pathlib import Path

import pytest

from tests.scripts import shop as shops
from tests.scripts.project import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.fixture
def shop(project: Project) -> Project:
    return shops.made(project)
