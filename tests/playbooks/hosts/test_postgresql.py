"""The service's database: who may log in, from where, as whom, and what a rotation leaves alone."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from tests.playbooks.hosts import scratch
from tests.playbooks.hosts.scratch import NAME

pytestmark = pytest.mark.verify
FIRST = {"PGUSER": f"{NAME}_a", "PGPASSWORD": "first-of-the-tests"}  # pragma: allowlist secret
SECOND = {"PGUSER": f"{NAME}_b", "PGPASSWORD": "second-of-the-tests"}  # pragma: allowlist secret
ROTATED = {"secrets": SECOND, "secrets_previous": FIRST}


class Database:
    """The database's host, and one of the fleet to ask from."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.host = folder, scratch.names("database")[0]
        self.address = scratch.address(self.host)
        self.client = next(each for each in scratch.names("fleet") if each != self.host)

    def apply(self, **told: object) -> scratch.Done:
        done = scratch.roles(self.folder, "database", ["postgresql"], {"secrets": FIRST} | told)
        assert done.status == 0, done.output
        return done

    def ask(self, query: str, login: dict[str, str], where: str = "", name: str = "", **more: str) -> str:
        """What a query gives from a host of the fleet, or the database's complaint."""
        told = {"PGHOST": self.address, "PGDATABASE": name or NAME, **login, **more}
        words = " ".join(f"{key}={shlex.quote(value)}" for key, value in told.items())
        done = scratch.host(where or self.client).run(
            "sh -c %s", f"{words} psql -Atqc {shlex.quote(query)} 2>&1"
        )
        return str(done.stdout).strip()

    def root(self, query: str) -> str:
        return scratch.sh(self.host, f"cd /; sudo -u postgres psql -Atqc {shlex.quote(query)}").strip()


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Database:
    made = Database(tmp_path_factory.mktemp("database"))
    scratch.sh(made.client, "apt-get install -y -qq postgresql-client-17 >/dev/null")
    made.apply()
    return made


def test_a_second_run_changes_nothing(database: Database) -> None:
    assert set(database.apply().changed.values()) == {0}


def test_the_service_acts_as_the_owner(database: Database) -> None:
    assert database.ask("select session_user, current_user", FIRST) == f"{NAME}_a|{NAME}"


def test_what_the_service_creates_belongs_to_the_owner_whichever_login_it_has(database: Database) -> None:
    database.apply(**ROTATED)
    database.ask("create table made (id int)", FIRST)
    assert database.ask("select tableowner from pg_tables where tablename = 'made'", SECOND) == NAME
    assert database.ask("alter table made add word text; drop table made; select 'gone'", SECOND) == "gone"
    assert database.ask("create extension citext; drop extension citext; select 'may'", SECOND) == "may"


@pytest.mark.parametrize(
    ("login", "more", "complaint"),
    [
        ({"PGPASSWORD": "wrong"}, {}, "password authentication failed"),  # pragma: allowlist secret
        ({}, {"PGSSLMODE": "disable"}, "no pg_hba.conf entry"),
        ({}, {"PGDATABASE": "postgres"}, "no pg_hba.conf entry"),
        ({"PGUSER": "postgres"}, {}, "no pg_hba.conf entry"),
        ({"PGUSER": NAME}, {}, "password authentication failed"),
    ],
)
def test_nobody_else_and_nothing_else(
    database: Database, login: dict[str, str], more: dict[str, str], complaint: str
) -> None:
    assert complaint in database.ask("select 1", FIRST | login, **more)


def test_a_host_outside_the_fleet_may_not_even_ask(database: Database) -> None:
    clients = [scratch.address(each) for each in scratch.names("fleet") if each != database.client]
    database.apply(postgresql_clients=clients)
    assert "no pg_hba.conf entry for host" in database.ask("select 1", FIRST)
    database.apply()
    assert database.ask("select 1", FIRST) == "1"


def test_it_listens_at_its_own_address_only(database: Database) -> None:
    listening = scratch.sh(database.host, "ss -Hltn 'sport = 5432' | awk '{print $4}'").split()
    assert sorted(listening) == sorted([f"{database.address}:5432", "127.0.0.1:5432"])


def test_passwords_are_kept_as_scram(database: Database) -> None:
    kept = database.root("select rolpassword from pg_authid where rolname like '%_a'")
    assert kept.startswith("SCRAM-SHA-256$")


def test_a_rotation_leaves_the_old_login_working_until_it_is_retired(database: Database) -> None:
    database.apply()
    assert "failed" in database.ask("select 1", SECOND)
    slow = f"PGHOST={database.address} PGDATABASE={NAME} PGUSER={NAME}_a PGPASSWORD={FIRST['PGPASSWORD']}"
    scratch.sh(
        database.client,
        f"rm -f /tmp/slow; systemd-run -q -E {slow.replace(' ', ' -E ')} sh -c"
        ' \'psql -Atqc "select pg_sleep(12)" -c "select 42" >/tmp/slow 2>&1\'',
    )
    database.apply(**ROTATED)
    assert [database.ask("select 1", login) for login in (FIRST, SECOND)] == ["1", "1"]
    database.apply(secrets=SECOND)
    assert database.ask("select 1", SECOND) == "1"
    assert "not permitted to log in" in database.ask("select 1", FIRST)
    scratch.until(lambda: "42" in scratch.sh(database.client, "cat /tmp/slow"), 15)


@pytest.mark.chaos
def test_another_service_stands_beside_it(database: Database) -> None:
    other = {"PGUSER": "beside_a", "PGPASSWORD": "of-the-other"}  # pragma: allowlist secret
    database.apply()
    database.apply(postgresql_name="beside", secrets=other)
    try:
        assert database.ask("select current_user", other, name="beside") == "beside"
        assert database.ask("select current_user", FIRST) == NAME
        assert "no pg_hba.conf entry" in database.ask("select 1", other)
        assert "no pg_hba.conf entry" in database.ask("select 1", FIRST, name="beside")
    finally:
        scratch.sh(database.host, "rm /etc/postgresql/17/main/pg_hba.d/beside.conf")
        database.root("drop database beside")
        database.root("drop role beside, beside_a, beside_b")


def test_it_comes_back_by_itself_after_a_crash_with_its_data(database: Database) -> None:
    database.apply()
    database.ask(
        "create table if not exists kept (word text); truncate kept; insert into kept values ('here')", FIRST
    )
    scratch.sh(database.host, "systemctl kill -s KILL postgresql@17-main")
    scratch.until(lambda: database.ask("select word from kept", FIRST) == "here")
    assert scratch.host(database.host).service("postgresql@17-main").is_enabled
    database.ask("drop table kept", FIRST)
