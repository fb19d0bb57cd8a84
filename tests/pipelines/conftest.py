from pathlib import Path

import pytest

from tests.scripts.project import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path)
    made.lend_python()
    return made
