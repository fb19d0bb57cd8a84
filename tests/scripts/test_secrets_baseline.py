"""The secrets that the scan lets pass are reviewed, one by one and with a reason, and no other passes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
BASELINE = ROOT / ".secrets.baseline"


def test_every_file_of_the_baseline_has_an_exception_and_every_exception_a_file() -> None:
    accepted = json.loads(BASELINE.read_text())["results"]
    excepted = yaml.safe_load((ROOT / "infra/exceptions.yml").read_text())["secrets"]
    names = [each["what"] for each in excepted]
    assert set(accepted) == {file for name in names for file in ([name] if isinstance(name, str) else name)}


def test_a_planted_secret_is_found(tmp_path: Path) -> None:
    planted = tmp_path / "settings.py"
    planted.write_text("".join(["aws = 'AKIA", "QYLPMN5HHHFPZAM2'\n"]))
    baseline = tmp_path / BASELINE.name
    baseline.write_bytes(BASELINE.read_bytes())
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    hook = Path(sys.executable).with_name("detect-secrets-hook")
    found = subprocess.run(
        [hook, "--baseline", baseline, planted], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert found.returncode == 1
    assert "AWS Access Key" in found.stdout
