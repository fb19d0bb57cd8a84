"""What the service is told."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from marefia import environment
from tests.app.service import BIN, ROOT, Service

FILES = sorted((ROOT / "infra/environments").glob("*.env"))


@pytest.fixture
def told(tmp_path: Path) -> dict[str, str]:
    return Service(tmp_path).env


def test_all_that_is_missing_or_malformed_is_named_in_one_error(told: dict[str, str]) -> None:
    del told["DATA_DIR"], told["LOG_LEVEL"]
    told |= {
        "MAIL_URL": "gopher://x",
        "DATABASE_URL": "foo://user:secret-word@host/x",  # pragma: allowlist secret
        "WEB_WORKERS": "many",
        "ENVIRONMENT": "prod",
        "SECRET_KEY": "short",  # pragma: allowlist secret
        "RUN_DIR": "run",
    }
    with pytest.raises(environment.BadEnvironmentError) as caught:
        environment.read(told)
    message = str(caught.value)
    for name in (
        "DATA_DIR",
        "LOG_LEVEL",
        "WEB_WORKERS",
        "ENVIRONMENT",
        "SECRET_KEY",
        "RUN_DIR",
        "MAIL_URL",
        "DATABASE_URL",
    ):
        assert f"{name}: " in message
    assert "\n" not in message
    assert "secret-word" not in message
    assert "WEB_THREADS" not in message


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("DATABASE_URL", "oracle://me@there/it"),
        ("DATABASE_URL", "mssql://me@there/it"),
        ("BROKER_URL", "amqp://there"),
        ("MAIL_URL", "smtp://"),
        ("MAIL_URL", "smtp://me@:25"),
    ],
)
def test_a_server_that_the_service_has_no_library_for_is_a_fault(
    name: str, url: str, told: dict[str, str]
) -> None:
    with pytest.raises(environment.BadEnvironmentError, match=f"^{name}: must be a URL of "):
        environment.read(told | {name: url})


@pytest.mark.parametrize("name", sorted(environment.KEYS - environment.OPTIONAL))
def test_no_setting_has_a_default(name: str, told: dict[str, str]) -> None:
    del told[name]
    with pytest.raises(environment.BadEnvironmentError, match=f"^{name}: "):
        environment.read(told)


def test_a_misspelled_setting_is_named_with_the_one_that_was_meant(told: dict[str, str]) -> None:
    told["READYFILE"] = "/run/ready"
    with pytest.raises(environment.BadEnvironmentError, match=r"READYFILE .*did you mean READY_FILE"):
        environment.read(told)


def test_what_a_host_adds_is_no_misspelled_setting(told: dict[str, str]) -> None:
    hosts = "HOME PATH LANG PWD USER LISTEN_FDS LISTEN_PID INVOCATION_ID KUBERNETES_SERVICE_HOST TMPDIR"
    environment.read(told | dict.fromkeys(hosts.split(), "1"))


def test_settings_are_typed_and_paths_absolute(told: dict[str, str]) -> None:
    told["READY_FILE"] = "/run/ready"
    read = environment.read(told)
    assert read.web_workers == 2
    assert read.https is False
    assert read.ready_file == Path("/run/ready")
    assert read.trusted_origins == ()
    assert read.data_dir.is_absolute()


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.name)
def test_each_environment_file_is_complete_and_plain(file: Path) -> None:
    assert environment.check_file(file.read_text()) == []


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ('LOG_LEVEL="INFO"', "not plain"),
        ("LOG_LEVEL=$LEVEL", "not plain"),
        ("LOG_LEVEL=INFO ", "not plain"),
        ("export LOG_LEVEL=INFO", "not plain"),
        ("LOGLEVEL=INFO", "LOGLEVEL is not a setting"),
        ("SECRET_KEY=0123456789012345678901234567890123", "SECRET_KEY is not a setting"),
        ("HTTPS=true", "HTTPS stands there twice"),
        ("LOG_LEVEL=LOUD", "LOG_LEVEL: "),
    ],
)
def test_a_fault_in_an_environment_file_is_told(line: str, fault: str, tmp_path: Path) -> None:
    good = "".join(f"{text}\n" for text in FILES[0].read_text().splitlines() if "LOG_LEVEL" not in text)
    path = tmp_path / "bad.env"
    path.write_text(f"{good}{line}\n")
    assert any(fault in said for said in environment.check_file(path.read_text()))
    assert environment.main([str(path)]) == 1
    path.write_text(f"{good}LOG_LEVEL=INFO\n")
    assert environment.main([str(path)]) == 0


@pytest.mark.parametrize(
    "command",
    [
        ("python", "manage.py", "check"),
        ("gunicorn", "--config", "gunicorn.conf.py", "marefia.wsgi"),
        ("celery", "--app", "marefia", "worker", "--pool", "threads"),
        ("celery", "--app", "marefia", "beat", "--scheduler", "marefia.ops.scheduler.LeasedScheduler"),
    ],
    ids=["manage", "web", "worker", "scheduler"],
)
def test_each_entry_point_says_in_one_line_what_is_wrong(command: tuple[str, ...], tmp_path: Path) -> None:
    done = Service(tmp_path).run(str(BIN / command[0]), *command[1:], HTTPS=None, DATA_DIR="data")
    assert done.returncode == 1
    said = [line for line in done.stderr.splitlines() if "bad settings" in line]
    assert len(said) == 1
    assert "HTTPS: " in said[0]
    assert "DATA_DIR: " in said[0]
    assert "Traceback" not in done.stderr + done.stdout


def options(folder: Path, url: str) -> dict[str, Any]:
    """What the settings hand to the database's own library."""
    code = "import json; from django.conf import settings; print(json.dumps(settings.DATABASES['default']['OPTIONS']))"
    told = {"DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "marefia.settings"}
    done = Service(folder).run(sys.executable, "-c", code, **told)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(
    ("url", "handed_on", "others"),
    [
        (
            "postgres://me@there/it?sslmode=verify-full&sslrootcert=/etc/ca.pem&connect_timeout=9",
            {"sslmode": "verify-full", "sslrootcert": "/etc/ca.pem", "connect_timeout": 9},
            {"keepalives_idle": 5, "tcp_user_timeout": 10_000},
        ),
        (
            "mysql://me@there/it?ssl-ca=/etc/ca.pem&read_timeout=9",
            {"ssl": {"ca": "/etc/ca.pem"}, "read_timeout": 9},
            {"charset": "utf8mb4", "write_timeout": 60},
        ),
        ("sqlite:///it?timeout=9", {"timeout": 9}, {"transaction_mode": "IMMEDIATE"}),
    ],
    ids=["postgresql", "mariadb", "sqlite"],
)
def test_options_of_the_databases_url_win_over_ours(
    url: str, handed_on: dict[str, Any], others: dict[str, Any], tmp_path: Path
) -> None:
    found = options(tmp_path, url)
    assert found == found | handed_on | others


def test_mariadbs_password_goes_to_the_server_as_it_was_set(tmp_path: Path) -> None:
    """PyMySQL sends a str as Latin-1, and cannot send what that has no letter for."""
    code = "from django.conf import settings; print(ascii(settings.DATABASES['default']['PASSWORD']))"
    told = {"DATABASE_URL": "mysql://me@there/it", "DJANGO_SETTINGS_MODULE": "marefia.settings"}
    done = Service(tmp_path).run(sys.executable, "-c", code, **told, MYSQL_PWD="pé→x")
    assert done.stdout == f"{'pé→x'.encode()!a}\n", done.stderr


@pytest.mark.parametrize(
    ("url", "ours"), [("mysql://me@there/it", "STRICT_ALL_TABLES"), ("sqlite:///it", "journal_mode=WAL")]
)
def test_no_url_takes_away_what_the_service_relies_on(url: str, ours: str, tmp_path: Path) -> None:
    assert ours in options(tmp_path, f"{url}?init_command=SELECT+1")["init_command"]
