"""Django for the tests: settings from an environment of their own, which leaves this process's as it was.

On SQLite, or on the PostgreSQL server that TEST_DATABASE_URL names, with the password of a user who may make
databases; the one that stands in the URL stays untouched.
"""

import atexit
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.app.databases import Database
from tests.app.service import Service, environment

FOLDER = Path(tempfile.mkdtemp(prefix="service-tests-"))
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)


def set_up() -> None:
    """Load the settings and populate the applications."""
    before = dict(os.environ)
    os.environ.update(environment(FOLDER), BROKER_URL="memory://", DJANGO_SETTINGS_MODULE="marefia.settings")
    try:
        import django
        from django.conf import settings

        settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # quick
        settings.STORAGES["staticfiles"]["BACKEND"] = "django.contrib.staticfiles.storage.StaticFilesStorage"
        database = settings.DATABASES["default"]
        if "sqlite3" in database["ENGINE"]:
            # A file, so that threads race for the same database as in life, but not synced for each commit.
            database["TEST"] = {"NAME": str(FOLDER / "test.sqlite3")}
            database["OPTIONS"]["init_command"] = "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;"
        django.setup()
    finally:
        os.environ.clear()
        os.environ.update(before)


set_up()


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """A migrated database, to be copied: migrating takes a second and a half."""
    service = Service(tmp_path_factory.mktemp("migrated")).with_database()
    service.manage("migrate")
    yield service.database
    service.stop()


@pytest.fixture
def new_service(tmp_path: Path, migrated: Database) -> Iterator[Callable[[], Service]]:
    """What makes a service of real processes on a database of its own; they end with the test."""
    made: list[Service] = []

    def make() -> Service:
        made.append(Service(tmp_path / str(len(made))).with_database(migrated))
        return made[-1]

    yield make
    for service in made:
        service.stop()


@pytest.fixture
def service(new_service: Callable[[], Service]) -> Service:
    """One such service."""
    return new_service()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A port of its own."""
    with socket.create_server(("127.0.0.1", 0)) as one:
        yield one
