"""Migrations of a PostgreSQL database: one at a time from whichever host, impatient, and all or nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from rollout import database
from rollout.errors import RolloutError
from rollout.place import Place
from tests.app import servers
from tests.app.databases import execute
from tests.app.service import wait_for
from tests.playbooks.migration_project import Project

pytestmark = pytest.mark.verify
FACTS = {
    "name": "shop", "port": 1, "app": "src", "requirements": "r", "pythons": ["3"], "settings_module": "settings",
    "processes": {"web": {"command": "x"}}, "health": {"ready": "/"}, "check": "true",
    "migrate": "python -m django migrate --verbosity 0",
}  # fmt: skip
ROOM = 'migrations.CreateModel("Room", [("id", models.BigAutoField(primary_key=True, serialize=False))])'
ADD_NOTE = 'migrations.AddField("Room", "note", models.TextField(null=True)),'
MODEL = "class Room(models.Model):\n    id = models.BigAutoField(primary_key=True)\n"


class Hosts:
    """Hosts of one fleet: folders of their own, one database."""

    def __init__(self, root: Path, url: str) -> None:
        self.root, self.url = root, url
        at = urlsplit(url)
        self.told = {
            "ENVIRONMENT": "staging",
            "ENGINE": "django.db.backends.postgresql",
            "DB": at.path[1:],
            "PGHOST": str(at.hostname),
            "PGPORT": str(at.port),
            "PGUSER": str(at.username),
            "PGPASSWORD": str(at.password),
        }

    def host(self, name: str, second: str = "", **facts: str) -> Place:
        """A host with release 1, whose second migration has these operations, and a rollout of it under way."""
        place = Place(self.root / name)
        project = Project(place.release("1") / "app", Path(self.told["DB"]))
        (place.release("1") / "venv").symlink_to(sys.prefix)
        (place.release("1") / "manifest.json").write_text('{"commit": "0"}')
        (place.release("1") / "service.yml").write_text(json.dumps(FACTS | facts))
        project.app("shop", MODEL + ("    note = models.TextField(null=True)\n" if second else ""))
        project.migration("shop", "0001_initial", ROOM)
        if second:
            project.migration("shop", "0002_note", second, after="0001_initial")
        place.note(version="1", number=7, vendor="postgresql")
        return place

    def migrate(self, place: Place, seconds: float = 60) -> float:
        return database.migrate(place, self.told, seconds)

    def columns(self) -> list[str]:
        query = "SELECT column_name FROM information_schema.columns WHERE table_name = 'shop_room' ORDER BY 1"
        return [name for (name,) in execute(self.url, query)]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with servers.postgresql() as (_, url):
        yield url


@pytest.fixture
def hosts(server: str, tmp_path: Path) -> Iterator[Hosts]:
    """Hosts without a release yet, and an empty database."""
    execute(server, "CREATE DATABASE shop")
    yield Hosts(tmp_path, urlsplit(server)._replace(path="/shop").geturl())
    execute(server, "DROP DATABASE shop WITH (FORCE)")


def test_the_judge_reads_which_migrations_the_database_has(hosts: Hosts) -> None:
    before = hosts.host("before")
    script = database.judge_script(before)
    judged = database.judge(before, script, hosts.told)
    assert judged == {"pending": [["shop", "0001_initial"]], "overridden": [], "vendor": "postgresql"}
    hosts.migrate(before)
    after = hosts.host("after", ADD_NOTE)
    assert database.judge(after, script, hosts.told)["pending"] == [["shop", "0002_note"]]


def test_a_migration_that_fails_half_way_leaves_nothing_behind_and_says_why_in_one_line(hosts: Hosts) -> None:
    hosts.migrate(hosts.host("before"))
    fails = hosts.host("fails", ADD_NOTE + 'migrations.RunSQL("UPDATE shop_room SET nights = 1")')  # noqa: S608  # no query of this test's
    with pytest.raises(RolloutError) as failed:
        hosts.migrate(fails)
    assert str(failed.value) == (
        'the migration failed and was undone by its transaction: django.db.utils.ProgrammingError: column "nights" of'
        ' relation "shop_room" does not exist; mend the migration and deploy again'
    )
    assert hosts.columns() == ["id"]
    assert execute(hosts.url, "SELECT name FROM django_migrations") == [("0001_initial",)]
    hosts.migrate(hosts.host("mended", ADD_NOTE))
    assert hosts.columns() == ["id", "note"]


def test_a_migration_that_waits_for_a_busy_table_gives_up_before_others_queue_behind_it(
    hosts: Hosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    hosts.migrate(hosts.host("before"))
    monkeypatch.setattr(database, "LOCK_TIMEOUT_SECONDS", 0.5)
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, hosts.url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with reader:
        assert reader.stdout
        assert reader.stdout.readline() == "reading\n"
        with pytest.raises(RolloutError, match=r"undone by its transaction: .*due to lock timeout"):
            hosts.migrate(hosts.host("after", ADD_NOTE))
        assert hosts.columns() == ["id"]
        reader.communicate("end\n")


READER = """
import psycopg, sys
with psycopg.connect(sys.argv[1]) as connection:
    connection.execute("SELECT * FROM shop_room")
    print("reading", flush=True)
    sys.stdin.readline()
"""


def test_a_statement_that_takes_too_long_ends_on_the_server_too(hosts: Hosts) -> None:
    slow = hosts.host("slow", 'migrations.RunSQL("SELECT pg_sleep(60)")')
    with pytest.raises(RolloutError, match=r"did not end in 4 s|due to statement timeout"):
        hosts.migrate(slow, 4)
    still = "SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query = 'SELECT pg_sleep(60)'"
    wait_for(lambda: not execute(hosts.url, still), 5)


@pytest.fixture
def waiting(hosts: Hosts) -> Iterator[Callable[[], None]]:
    """A deployer of another host, killed while its migration goes on; called, it lets that end."""
    place = hosts.host("other", migrate="echo >$DATA_DIR/begun; read _ <$DATA_DIR/go")
    (place.root / "data").mkdir()
    go = place.root / "data/go"
    subprocess.run(["mkfifo", str(go)], check=True)
    deployer = subprocess.Popen(
        [sys.executable, "-c", DEPLOYER, str(place.root), json.dumps(hosts.told)],
        env={"PYTHONPATH": str(Path(database.__file__).parents[1])},
    )
    wait_for(lambda: (place.root / "data/begun").exists() or deployer.poll() is not None)
    assert deployer.poll() is None
    deployer.kill()
    deployer.wait()
    ended = False

    def end() -> None:
        nonlocal ended
        ended = True
        go.write_text("\n")

    yield end
    if not ended:
        end()


DEPLOYER = """
import json, sys
from pathlib import Path
from rollout import database
from rollout.place import Place
database.migrate(Place(Path(sys.argv[1])), json.loads(sys.argv[2]), 60)
"""


def test_while_a_migration_runs_on_one_host_no_other_host_migrates_whoever_was_killed(
    hosts: Hosts, waiting: Callable[[], None]
) -> None:
    place = hosts.host("this")
    with pytest.raises(
        RolloutError, match="still locked after 2 s by a migration that still runs; wait for it"
    ):
        hosts.migrate(place, 4)
    waiting()
    hosts.migrate(place)
    assert hosts.columns() == ["id"]


def test_without_the_lock_of_the_database_two_hosts_migrate_at_once(
    hosts: Hosts, waiting: Callable[[], None]
) -> None:
    """The negative control: a host's own file keeps no other host out."""
    place = hosts.host("this")
    place.note(vendor="unknown")
    hosts.migrate(place)
    assert hosts.columns() == ["id"]
