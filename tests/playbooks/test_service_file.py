"""The service file is checked key by key: what is wrong is named, never guessed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from rollout import service
from rollout.errors import RolloutError

REPOSITORY = Path(__file__).parents[2]
SMALLEST: dict[str, Any] = {
    "name": "shop",
    "port": 8000,
    "app": "src",
    "requirements": "requirements.txt",
    "pythons": ["3.11"],
    "settings_module": "shop.settings",
    "processes": {"web": {"command": "gunicorn 'shop.wsgi'"}},
    "health": {"ready": "/ready"},
    "migrate": "python manage.py migrate",
    "check": "python manage.py check",
}


def load(folder: Path, data: Any) -> service.Service:
    path = folder / "service.yml"
    path.write_text(data if isinstance(data, str) else yaml.safe_dump(data))
    return service.load(path)


def refusal(folder: Path, data: Any) -> str:
    """The line that a person reads, without the path at its head."""
    with pytest.raises(RolloutError) as refused:
        load(folder, data)
    line = str(refused.value)
    assert "\n" not in line
    assert line.startswith(f"{folder}/service.yml")
    return line.removeprefix(f"{folder}/service.yml")


def test_the_smallest_service_file_of_another_project_is_enough(tmp_path: Path) -> None:
    shop = load(tmp_path, SMALLEST)
    assert (shop.static, shop.demo, shop.state, shop.health.version, shop.health.smoke) == (
        "",
        "",
        (),
        "",
        (),
    )
    assert shop.argv("web") == ["gunicorn", "shop.wsgi"]


def test_the_service_file_of_this_repository_holds() -> None:
    service.load(REPOSITORY / service.FILE)


@pytest.mark.parametrize("key", SMALLEST)
def test_each_missing_key_is_named(tmp_path: Path, key: str) -> None:
    line = refusal(tmp_path, {name: value for name, value in SMALLEST.items() if name != key})
    assert line == f": {key}: is missing; docs/service-file.md explains each key"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "My Shop"}, ": name: has to be at most 30 small letters and digits,"),
        ({"name": "shop-2"}, ": name: has to be at most 30 small letters and digits,"),
        (
            {"processes": {"web": {"command": "x"}, "e-mail": {"command": "x"}}},
            ": processes.e-mail: a process is named by small letters, digits and _;",
        ),
        ({"ports": 1}, ": ports: unknown key; known are name, port,"),
        ({"health": {"ready": "/", "live": "/"}}, ": health.live: unknown key; known are ready, version,"),
        ({"health": {}}, ": health.ready: is missing"),
        ({"health": "/"}, ": health.: has to be a mapping"),
        (
            {"processes": {"web": {"cmd": "x"}}},
            ": processes.web.cmd: unknown key; known are command, ready_file",
        ),
        ({"processes": {"web": {}}}, ": processes.web.command: is missing"),
        (
            {"processes": {"worker": {"command": "x"}}},
            ": processes: `web`, the one that serves the port, is missing",
        ),
        ({"processes": {}}, ": processes: has to be a mapping of at least one process"),
        ({"port": "8000"}, ": port: has to be int, not '8000'"),
        ({"port": True}, ": port: has to be int, not True"),
        ({"name": ""}, ": name: has to be str, not ''"),
        ({"pythons": "3.11"}, ": pythons: has to be a list, not '3.11'"),
        (
            {"processes": {"web": {"command": "x", "ready_file": "yes"}}},
            ": processes.web.ready_file: has to be bool",
        ),
        ({"urls": ["/"]}, ": urls: has to be dict[str, str], not ['/']"),
    ],
)
def test_an_unknown_or_mistyped_key_is_named(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    assert refusal(tmp_path, SMALLEST | change).startswith(said)


@pytest.mark.parametrize("text", ["", "- a list\n", "a word"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    assert refusal(tmp_path, text).startswith(": the file: has to be a mapping")


def test_a_file_that_is_no_yaml_or_not_there_cannot_be_read(tmp_path: Path) -> None:
    assert refusal(tmp_path, "a: [").startswith(" cannot be read: ")
    (tmp_path / "service.yml").unlink()
    with pytest.raises(RolloutError, match=r"cannot be read: .*; write one as docs/service-file.md shows"):
        service.load(tmp_path / "service.yml")
