"""The judge's cases on PostgreSQL: what it accepts, the running release can live with there, too."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest

from tests.app import servers
from tests.app.databases import execute
from tests.playbooks.migration_cases import ACCEPTED, REFUSED, SQL_ACCEPTED, SQL_REFUSED, Case
from tests.playbooks.migration_project import Project
from tests.playbooks.test_migration_judge import BATCH, lines, used, written

pytestmark = pytest.mark.verify

# SQL and functions of SQLite's, and types that a bare database has not.
NOT_POSTGRESQL = {
    "adds_a_generated_column",
    "adds_a_generated_column_of_decimals",
    "adds_a_generated_column_of_text",
    "adds_a_generated_column_that_may_fail",
    "adds_an_index_by_sql_that_may_fail",
    "adds_an_index_by_sql_that_may_fail_without_a_function",
    "adds_an_index_that_may_fail",
    "adds_an_index_that_may_fail_in_disguise",
    "adds_an_index_whose_condition_may_fail",
    "adds_not_null_by_sql_with_a_default_that_is_none_4",
    "adds_not_null_by_sql_with_a_default_that_is_none_6",
    "changes_a_collation",
    "drops_a_column_of_a_table_in_brackets",
    "drops_a_table_in_the_quotes_of_a_literal",
    "hides_a_trigger_in_its_name",
    "hides_a_unique_index_in_the_brackets_of_its_name",
    "turns_text_into_a_type_of_its_own",
    # Its table's name is longer than PostgreSQL's are, so that the table would be renamed: refused there.
    "renames_a_model_that_a_through_model_points_at_with_its_old_column",
}
CASES = [case for case in REFUSED + ACCEPTED if case.name not in NOT_POSTGRESQL]
# What the running release does not feel there: the judge is strict with what it cannot see through.
NOT_FELT = {
    "adds_a_check_that_wants_a_key",
    "adds_a_foreign_key_with_one_default_for_all",  # looked at when a transaction ends, and there its rows are gone
    "makes_a_positive_integer_smaller",
    "takes_decimal_places_away",
    "turns_a_number_into_text",
}
SQL_NOT_FELT = {
    "ALTER TABLE ONLY APP_item ALTER title SET DATA TYPE text USING title::text",
    "ALTER TABLE APP_item ADD COLUMN x int UNIQUE",
    "ALTER TABLE APP_item DISABLE TRIGGER ALL",
    "SELECT 1 /*! ; DROP TABLE APP_item */",
}
# For each statement: None when it is none of PostgreSQL's, else the running release's error, or ''.
TRY_SQL = """
import django, json
django.setup()
from django.db import connection, transaction
statements, use = json.load(open("statements.json"))
said = []
for statement in statements:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            if statement:
                cursor.execute(statement)
            said.append("")
            try:
                with transaction.atomic():
                    exec(use, {})
                    cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            except Exception as error:
                said[-1] = repr(error)
            raise InterruptedError
    except InterruptedError:
        pass
    except Exception as error:
        said.append(None)
print(json.dumps(said))
"""


class Server(NamedTuple):
    """A PostgreSQL server, as Django projects are told of it."""

    url: str
    env: dict[str, str]

    def give(self, name: str, *projects: Project) -> None:
        """Let projects share a new database."""
        execute(self.url, f"CREATE DATABASE {name}")
        for project in projects:
            project.database, project.env = Path(name), self.env


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with servers.postgresql() as (_, url):
        at = urlsplit(url)
        assert at.hostname
        assert at.username
        assert at.password
        env = {
            "PGHOST": at.hostname,
            "PGPORT": str(at.port),
            "PGUSER": at.username,
            "PGPASSWORD": at.password,
        }
        yield Server(url, env | {"ENGINE": "django.db.backends.postgresql"})


@pytest.mark.parametrize("start", range(0, len(CASES), BATCH))
def test_the_judge_is_right_about_postgresql(start: int, server: Server, tmp_path: Path) -> None:
    cases = CASES[start : start + BATCH]
    running, new = written(tmp_path, cases)
    server.give(f"cases_{start}", running, new)
    running.migrate()
    deploy = new.judge("judge", "--needs", running.needs())
    new.migrate()
    rollback = new.judge("judge", "--rollback", "--needs", running.root / "needs.json")
    felt = {name for name, error in used(running).items() if error}
    refused = {case.name for case in cases if lines(deploy["refused"], f"{case.name}.0002_case")}
    assert deploy["vendor"] == "postgresql"
    assert refused == {case.name for case in cases if case.harm}
    assert refused == {case.name for case in cases if lines(rollback["refused"], f"{case.name}.0002_case")}
    assert felt == refused - NOT_FELT


def test_raw_sql_that_is_accepted_hurts_nobody_on_postgresql(server: Server, tmp_path: Path) -> None:
    running, new = written(tmp_path, [Case("shop", "")])
    server.give("raw_sql", running, new)
    running.migrate()
    use = json.loads((running.root / "use.json").read_text())["shop"]
    statements = [text.replace("APP", "shop") for text in [*SQL_ACCEPTED, *(sql for sql, _ in SQL_REFUSED)]]
    running.write("statements.json", json.dumps([statements, use]))
    done = running.run("-c", TRY_SQL)
    assert done.returncode == 0, done.stderr
    outcomes = json.loads(done.stdout)
    accepted, refused = outcomes[: len(SQL_ACCEPTED)], outcomes[len(SQL_ACCEPTED) :]
    assert not any(accepted), list(zip(SQL_ACCEPTED, accepted, strict=True))
    assert accepted.count("") >= 14  # the others are not PostgreSQL's
    not_felt = {sql for (sql, _), error in zip(SQL_REFUSED, refused, strict=True) if error == ""}
    assert not_felt == SQL_NOT_FELT
    assert sum(map(bool, refused)) >= 18
