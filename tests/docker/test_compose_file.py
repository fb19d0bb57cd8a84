"""What Compose is told, without an engine: how its containers are confined, and that live reload sees templates."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.app.service import BIN, ROOT, environment, wait_for
from tests.rollout.checkout import free_port

SERVICES = yaml.safe_load((ROOT / "infra/docker/compose.yml").read_text())["services"]
LIVE = yaml.safe_load((ROOT / "infra/docker/compose.dev.yml").read_text())["services"]


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_is_confined_and_has_its_limits(name: str) -> None:
    told: dict[str, Any] = SERVICES[name]
    assert told["read_only"] is True
    assert told["cap_drop"] == ["ALL"]
    assert told["security_opt"] == ["no-new-privileges:true"]
    assert told["mem_limit"]
    assert told["logging"]["options"].keys() == {"max-size", "max-file"}


@pytest.mark.parametrize("name", SERVICES)
def test_only_this_machine_gets_at_a_published_port(name: str) -> None:
    assert all(port.startswith("127.0.0.1:$") for port in SERVICES[name].get("ports", []))


def test_adminer_has_somewhere_to_write_its_sessions_and_not_much_of_it() -> None:
    assert SERVICES["adminer"]["tmpfs"] == ["/tmp:size=16m"]  # noqa: S108 - the container's own


def test_live_the_web_alone_is_loaded_anew_and_static_files_stay_the_images() -> None:
    """What docs/containers.md and the help of scripts/compose tell."""
    assert [name for name, told in LIVE.items() if "--reload" in told.get("command", [])] == ["web"]
    assert all(told["volumes"] == ["../../${APP}:/srv/app:ro"] for told in LIVE.values())
    assert LIVE.keys() == {"web", "worker", "scheduler"}


def test_live_a_template_that_changes_is_seen(tmp_path: Path) -> None:
    app, port = tmp_path / "srv/app", free_port()
    shutil.copytree(ROOT / "app", app, ignore=shutil.ignore_patterns("__pycache__"))
    start, process, *more = LIVE["web"]["command"]
    assert (start, process) == ("start", "web")
    words = [word.replace("/srv/app/", f"{app}/") for word in more]
    told = environment(tmp_path) | {"DJANGO_SETTINGS_MODULE": "marefia.settings", "WEB_WORKERS": "1"}
    collect = [sys.executable, "manage.py", "collectstatic", "--noinput", "--verbosity", "0"]
    subprocess.run(collect, cwd=app, env=told, check=True)

    def page() -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/accounts/login/", timeout=30) as answer:
                return str(answer.read().decode())
        except OSError:
            return ""

    gunicorn = [str(BIN / "gunicorn"), "--config=gunicorn.conf.py", f"--bind=127.0.0.1:{port}", *words]
    web = subprocess.Popen([*gunicorn, "marefia.wsgi"], cwd=app, env=told, stderr=subprocess.DEVNULL)
    try:
        wait_for(page)
        time.sleep(1.1)  # the reloader looks once a second, and has to have seen the file as it was
        template = app / "marefia/templates/registration/login.html"
        template.write_text(template.read_text().replace("<h1>Log in</h1>", "<h1>Brought anew</h1>"))
        wait_for(lambda: "Brought anew" in page())
    finally:
        web.terminate()
        web.wait(60)
