"""Tiny Django projects for the migration judge: a folder of apps each, one SQLite file, real processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

JUDGE = Path(__file__).parents[2] / "playbooks/plugins/module_utils/migration_judge.py"

SETTINGS = """
import os
from pathlib import Path
here = Path(__file__).parent
INSTALLED_APPS = os.environ.get("APPS", "").split() + sorted(p.parent.name for p in here.glob("*/models.py"))
ENGINE = os.environ.get("ENGINE", "django.db.backends.sqlite3")
DATABASES = {"default": {"ENGINE": ENGINE, "NAME": os.environ["DB"]}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = os.environ.get("USER_MODEL", "auth.User")
ROLLOUT_OVERRIDES = dict([o.split("=") for o in os.environ.get("OVERRIDES", "").split(";") if o])
SECRET_KEY = "none"
USE_TZ = True
"""
MIGRATION = """
import django
from django.conf import settings
from django.db import migrations, models
from django.db.migrations.operations.base import Operation

class Migration(migrations.Migration):
{attributes}
    operations = [
{operations}
    ]
"""


@dataclass
class Project:
    """One release of a service: a folder of apps, and the database that it shares with the others."""

    root: Path
    database: Path
    env: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        self.write("settings.py", SETTINGS)

    def write(self, path: str, text: str) -> Path:
        """A file of the application folder."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        return target

    def app(self, label: str, models: str) -> None:
        """An app without migrations yet."""
        self.write(f"{label}/__init__.py", "")
        self.write(f"{label}/migrations/__init__.py", "")
        self.write(f"{label}/models.py", f"from django.db import models\n{models}")

    def migration(self, label: str, name: str, operations: str, after: str = "", **more: Any) -> None:
        """One migration, after another of the same app; `more` are attributes of its class."""
        more["dependencies"] = [(label, after)] if after else []
        attributes = "".join(f"    {key} = {value!r}\n" for key, value in more.items())
        text = MIGRATION.format(attributes=attributes, operations=operations)
        self.write(f"{label}/migrations/{name}.py", text)

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """A program of the release, with nothing in its environment that it was not given."""
        env = {
            "PATH": os.environ["PATH"],
            "DJANGO_SETTINGS_MODULE": "settings",
            "DB": str(self.database),
            "PYTHONDONTWRITEBYTECODE": "1",
            **self.env,
        }
        return subprocess.run(
            [sys.executable, *arguments], cwd=self.root, env=env, capture_output=True, text=True, check=False
        )

    def judge(self, *arguments: str | Path) -> dict[str, Any]:
        """The judge's answer."""
        done = self.run(JUDGE, *arguments)
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def needs(self) -> Path:
        """A file with what this release needs."""
        return self.write("needs.json", json.dumps(self.judge("needs")))

    def migrate(self) -> None:
        """Apply everything."""
        done = self.run("-m", "django", "migrate", "--verbosity", "0")
        assert done.returncode == 0, done.stderr
