"""The judge between releases: first install, overrides, rollback, squashes, and what is wrong with a checkout."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.playbooks.migration_project import JUDGE, Project

ROOM = """
class Room(models.Model):
    name = models.CharField(max_length=20)
    note = models.TextField(null=True)
"""
BARE_ROOM = """
class Room(models.Model):
    name = models.CharField(max_length=20)
"""
CREATE_ROOM = """
migrations.CreateModel("Room", [
    ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
    ("name", models.CharField(max_length=20)),
    ("note", models.TextField(null=True)),
]),
"""
DROP_NOTE = 'migrations.RemoveField("Room", "note")'
STATE_ONLY = f"migrations.SeparateDatabaseAndState(state_operations=[{DROP_NOTE}])"
INDEX = 'migrations.AddIndex("Room", models.Index(fields=["name"], name="by_name"))'
ANOTHER_LABEL = 'migrations.AlterField("Room", "name", models.CharField("Name", max_length=20))'
NO_TRANSACTIONS = """
from django.db.backends.sqlite3 import base, features

class DatabaseFeatures(features.DatabaseFeatures):
    can_rollback_ddl = False

class DatabaseWrapper(base.DatabaseWrapper):
    features_class = DatabaseFeatures
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release with one app and one table, migrated, and its needs."""
    root = tmp_path_factory.mktemp("installed")
    project = Project(root / "running", root / "db.sqlite3")
    project.app("stays", ROOM)
    project.migration("stays", "0001_initial", CREATE_ROOM)
    project.migrate()
    project.needs()
    return root


@pytest.fixture
def running(tmp_path: Path, installed: Path) -> Project:
    """The release that serves."""
    shutil.copytree(installed, tmp_path, dirs_exist_ok=True)
    return Project(tmp_path / "running", tmp_path / "db.sqlite3")


def next_release(project: Project, models: str, *migrations: str, **attributes: Any) -> Project:
    """A copy of a release with other models and further migrations (their operations)."""
    serial = len(list(project.root.parent.glob("release*")))
    root = project.root.parent / f"release{serial}"
    shutil.copytree(project.root, root)
    new = Project(root, project.database, dict(project.env))
    new.app("stays", models)
    for operations in migrations:
        names = sorted(path.stem for path in (root / "stays/migrations").glob("0*.py"))
        new.migration("stays", f"{len(names) + 1:04}_next", operations, after=names[-1], **attributes)
    return new


def failure(project: Project, *arguments: str | Path) -> str:
    """The one line that tells why nothing could be judged."""
    done: subprocess.CompletedProcess[str] = project.run(JUDGE, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1, done.stderr
    return done.stderr


def test_a_first_install_has_nothing_to_judge_and_creates_no_database(tmp_path: Path) -> None:
    project = Project(tmp_path / "app", tmp_path / "db.sqlite3")
    project.app("stays", ROOM)
    project.migration("stays", "0001_initial", CREATE_ROOM)
    answer = project.judge("judge")
    assert answer["pending"] == [["stays", "0001_initial"]]
    assert not any(
        answer[key] for key in ("past", "unknown", "refused", "overridden", "model_changes", "conflicts")
    )
    assert not project.database.exists()


def test_a_column_leaves_in_three_releases_and_in_none_less(running: Project) -> None:
    hasty = next_release(running, BARE_ROOM, DROP_NOTE)
    first = next_release(running, BARE_ROOM, STATE_ONLY)
    second = next_release(first, BARE_ROOM, 'migrations.RunSQL("ALTER TABLE stays_room DROP COLUMN note")')

    line = hasty.judge("judge", "--needs", running.root / "needs.json")["refused"][0]["line"]
    assert line == (
        "stays.0002_next: Remove field note from Room: the running release still uses column stays_room.note. "
        "Way out: a release that no longer uses it comes first (nullable or with a db_default, then removed with "
        "state_operations only), then drop it."
    )
    assert not first.judge("judge", "--needs", running.root / "needs.json")["refused"]
    first.migrate()
    assert second.judge("judge", "--needs", running.root / "needs.json")["refused"], (
        "skipping a release is no way out"
    )
    answer = second.judge("judge", "--needs", first.needs())
    assert answer["pending"] == [["stays", "0003_next"]]
    assert not answer["refused"] + answer["model_changes"]


def test_without_a_database_what_the_needs_know_counts_as_applied(running: Project) -> None:
    needs = running.root / "needs.json"
    new = next_release(running, BARE_ROOM, DROP_NOTE)
    new.migration("stays", "0001_squashed", CREATE_ROOM, replaces=[("stays", "0001_initial")])
    new.database = running.root / "nowhere/db.sqlite3"
    answer = new.judge("judge", "--needs", needs, "--known")
    assert answer["pending"] == [["stays", "0002_next"]]
    assert [(entry["table"], entry["column"]) for entry in answer["refused"]] == [("stays_room", "note")]
    assert not any(running.judge("judge", "--needs", needs, "--known")[key] for key in ("pending", "unknown"))


def test_an_override_is_reported_on_deploy_and_does_not_count_on_rollback(running: Project) -> None:
    reason = "nobody has written a note since May"
    new = next_release(running, BARE_ROOM, DROP_NOTE, rollout_override=reason)
    answer = new.judge("judge", "--needs", running.root / "needs.json")
    assert not answer["refused"]
    assert [(entry["migration"], entry["override"]) for entry in answer["overridden"]] == [
        ("stays.0002_next", reason)
    ]
    new.migrate()
    back = new.judge("judge", "--rollback", "--needs", running.root / "needs.json")
    assert [(entry["table"], entry["column"]) for entry in back["refused"]] == [("stays_room", "note")]
    assert "the older release still uses column stays_room.note" in back["refused"][0]["line"]


def test_an_override_without_a_reason_is_none(running: Project) -> None:
    new = next_release(running, BARE_ROOM, DROP_NOTE, rollout_override="  ")
    answer = new.judge("judge", "--needs", running.root / "needs.json")
    assert answer["refused"]
    assert not answer["overridden"]


def test_a_packages_migration_is_overridden_in_the_settings(running: Project) -> None:
    new = next_release(running, BARE_ROOM, DROP_NOTE)
    new.env["OVERRIDES"] = "stays.0002_next=not ours to change"
    assert (
        new.judge("judge", "--needs", running.root / "needs.json")["overridden"][0]["override"]
        == "not ours to change"
    )


def test_a_rollback_with_nothing_in_between_is_free(running: Project) -> None:
    answer = running.judge("judge", "--rollback", "--needs", running.root / "needs.json")
    assert not any(answer.values())


def test_a_squash_of_what_the_older_release_knows_is_no_hindrance_and_of_more_is(running: Project) -> None:
    new = next_release(running, BARE_ROOM, DROP_NOTE)
    new.migrate()
    squash = next_release(new, BARE_ROOM)
    squash.migration(
        "stays",
        "0001_squashed",
        CREATE_ROOM + DROP_NOTE,
        replaces=[("stays", "0001_initial"), ("stays", "0002_next")],
    )
    assert not any(squash.judge("judge", "--rollback", "--needs", new.needs()).values())
    refused = squash.judge("judge", "--rollback", "--needs", running.root / "needs.json")["refused"]
    assert "a squash of known ones" in refused[0]["line"]
    answer = squash.judge("judge", "--needs", new.needs())
    assert (answer["pending"], answer["refused"]) == ([["stays", "0001_squashed"]], []), "migrate records it"


def test_a_squash_is_recorded_so_that_a_later_release_can_forget_what_it_replaces(running: Project) -> None:
    first = next_release(running, ROOM, INDEX)
    models = f"{ROOM}    class Meta: indexes = [models.Index(fields=['name'], name='by_name')]\n"
    first.app("stays", models)
    first.migrate()
    replaced = [("stays", "0001_initial"), ("stays", "0002_next")]
    squash, third = next_release(first, models), next_release(first, models)
    squash.migration("stays", "0001_squashed", CREATE_ROOM + INDEX, replaces=replaced)
    third.migration("stays", "0001_squashed", CREATE_ROOM + INDEX)
    for _, name in replaced:
        (third.root / f"stays/migrations/{name}.py").unlink()

    hasty = third.judge("judge", "--needs", first.needs())
    assert hasty["pending"] == [["stays", "0001_squashed"]], "it would create what is there"
    answer = squash.judge("judge", "--needs", first.needs())
    assert (answer["pending"], answer["refused"], answer["unknown"]) == ([["stays", "0001_squashed"]], [], [])
    squash.migrate()
    assert squash.judge("judge", "--needs", first.needs())["pending"] == []
    answer = third.judge("judge", "--needs", squash.needs())
    assert (answer["pending"], answer["refused"], answer["model_changes"]) == ([], [], [])
    assert answer["unknown"] == ["stays.0001_initial", "stays.0002_next"]
    third.migrate()

    for newer, older, past in (
        (squash, first, []),
        (third, squash, []),
        (third, first, [["stays", "0001_squashed"]]),
    ):
        back = newer.judge("judge", "--rollback", "--needs", older.needs())
        assert (back["past"], back["refused"]) == (past, [])
        assert older.judge("judge", "--needs", newer.needs())["pending"] == []


def test_a_column_is_tightened_in_two_releases_and_in_none_less(running: Project) -> None:
    models, field = ROOM.replace("null=True", ""), "models.TextField()"
    real = f'migrations.AlterField("Room", "note", {field})'
    fill = "migrations.RunSQL(\"UPDATE stays_room SET note = '' WHERE note IS NULL\")"
    nullable = real.replace("TextField()", "TextField(null=True)")
    hasty = next_release(running, models, real)
    first = next_release(running, models, f"migrations.SeparateDatabaseAndState(state_operations=[{real}])")
    back = f"migrations.SeparateDatabaseAndState(state_operations=[{nullable}])"
    second = next_release(first, models, fill, f"{back}, {real}")

    line = hasty.judge("judge", "--needs", running.root / "needs.json")["refused"][0]["line"]
    assert line == (
        "stays.0002_next: Alter field note on Room: the running release may write NULL to stays_room.note, which would "
        "become NOT NULL. Way out: a release whose code always writes a value comes first (null=False with "
        "state_operations only), then tighten it (null=True with state_operations only, and the real null=False)."
    )
    answer = first.judge("judge", "--needs", running.root / "needs.json")
    assert not answer["refused"] + answer["model_changes"]
    first.migrate()
    create = (
        "import django; django.setup(); from stays.models import Room; Room.objects.create(name='x', note={})"
    )
    assert running.run("-c", create.format(None)).returncode == 0, "it stays nullable meanwhile"
    assert second.judge("judge", "--needs", running.root / "needs.json")["refused"], "a skipped release"
    answer = second.judge("judge", "--needs", first.needs())
    assert not answer["refused"] + answer["model_changes"]
    second.migrate()
    assert first.run("-c", create.format("''")).returncode == 0
    assert "NOT NULL constraint" in running.run("-c", create.format(None)).stderr, "it is tight now"
    assert first.judge("judge", "--needs", second.needs())["unknown"] == [
        "stays.0003_next",
        "stays.0004_next",
    ]


def test_applied_migrations_that_a_release_does_not_know_are_named(running: Project) -> None:
    new = next_release(running, ROOM, INDEX, ANOTHER_LABEL)
    squash = next_release(running, ROOM)
    replaced = [("stays", name) for name in ("0001_initial", "0002_next", "0003_next")]
    squash.migration("stays", "0001_squashed", CREATE_ROOM + INDEX, replaces=replaced)
    assert running.judge("judge")["unknown"] == []
    new.migrate()
    assert running.judge("judge")["unknown"] == ["stays.0002_next", "stays.0003_next"]
    assert new.judge("judge")["unknown"] == squash.judge("judge")["unknown"] == []


@pytest.mark.parametrize(
    ("engine", "atomic", "operations", "refused"),
    [
        ("no_transactions", True, INDEX, False),
        ("no_transactions", True, f"{INDEX}, {STATE_ONLY}", False),
        ("no_transactions", True, f"{INDEX}, {ANOTHER_LABEL}", False),
        ("no_transactions", True, f"{INDEX}, migrations.RunSQL('SELECT 1')", True),
        ("django.db.backends.sqlite3", False, f"{INDEX}, {INDEX.replace('by_name', 'also')}", True),
        ("django.db.backends.sqlite3", True, f"{INDEX}, {INDEX.replace('by_name', 'also')}", False),
    ],
)
def test_where_no_transaction_undoes_a_migration_it_holds_one_schema_operation(
    running: Project, engine: str, atomic: bool, operations: str, refused: bool
) -> None:
    new = next_release(running, ROOM, operations, atomic=atomic)
    new.env["ENGINE"] = engine
    new.write("no_transactions/__init__.py", "")
    new.write("no_transactions/base.py", NO_TRANSACTIONS)
    said = [entry["line"] for entry in new.judge("judge", "--needs", running.root / "needs.json")["refused"]]
    assert bool(said) is refused
    assert all("leaves it half done" in line for line in said)
    if refused:
        new.migrate()
        back = new.judge("judge", "--rollback", "--needs", running.root / "needs.json")
        assert not back["refused"], "what is done is not half done"


def test_a_model_change_without_a_migration_is_named_with_the_command_that_makes_it(running: Project) -> None:
    assert running.judge("problems") == {"model_changes": [], "conflicts": []}
    new = next_release(running, f"{ROOM}    floor = models.IntegerField()\n")
    for answer in (new.judge("problems"), new.judge("judge", "--needs", running.root / "needs.json")):
        assert [entry["line"] for entry in answer["model_changes"]] == [
            (
                "stays: model changes without a migration (Add field floor to room). "
                "Way out: python manage.py makemigrations stays"
            )
        ]


def test_what_an_installed_package_forgot_is_not_held_against_the_project(running: Project) -> None:
    for folder, blamed in (("site-packages", []), ("own", ["parcel"])):
        package = Project(running.root / folder, running.database)
        package.app("parcel", "class Box(models.Model): pass")
        running.env |= {"PYTHONPATH": str(package.root), "APPS": "parcel"}
        assert [entry["app"] for entry in running.judge("problems")["model_changes"]] == blamed


def test_two_last_migrations_after_a_merge_are_named_with_the_command_that_joins_them(
    running: Project,
) -> None:
    new = next_release(running, ROOM)
    for name in ("0002_left", "0002_right"):
        new.migration("stays", name, "", after="0001_initial")
    for answer in (new.judge("problems"), new.judge("judge", "--needs", running.root / "needs.json")):
        assert [entry["line"] for entry in answer["conflicts"]] == [
            (
                "stays: more than one last migration (0002_left, 0002_right). "
                "Way out: python manage.py makemigrations --merge"
            )
        ]


def test_needs_are_the_tables_that_django_manages_and_nothing_else(tmp_path: Path) -> None:
    apps = "django.contrib.contenttypes django.contrib.auth"
    project = Project(tmp_path / "app", tmp_path / "db", {"APPS": apps, "USER_MODEL": "people.Person"})
    project.app(
        "people",
        "from django.contrib.auth.models import AbstractUser\n"
        "class Person(AbstractUser): pass\n"
        "class View(models.Model):\n    class Meta: managed = False\n"
        "class Glance(View):\n    class Meta: proxy = True\n"
        "class Pet(models.Model):\n"
        "    owner = models.ForeignKey('auth.Group', models.CASCADE, db_column='group')\n"
        "    friends = models.ManyToManyField('self')\n",
    )
    project.migration("people", "0002_squash", "", replaces=[("people", "0001_gone")])
    needs = project.judge("needs")
    assert {table for table in needs["tables"] if not table.startswith(("auth_", "django_"))} == {
        "people_person",
        "people_person_groups",
        "people_person_user_permissions",
        "people_pet",
        "people_pet_friends",
    }
    assert "auth_user" not in needs["tables"], "it was swapped out"
    assert needs["tables"]["people_pet"]["id"]["db_default"], "the database numbers the rows"
    assert not needs["tables"]["people_pet"]["id"]["sent"]
    assert needs["tables"]["people_pet"]["group"] == {
        "null": False,
        "type": "AutoField",
        "db_default": False,
        "sent": True,
    }
    assert needs["rules"]["people_pet"] == {
        "foreign key (group) to auth_group": {"kind": "references", "columns": ["group"], "name": ""}
    }
    assert [name for app, name in needs["migrations"] if app == "people"] == ["0001_gone", "0002_squash"]


def test_what_the_project_prints_does_not_spoil_the_answer(running: Project) -> None:
    with (running.root / "settings.py").open("a") as settings:
        settings.write("print('hello')\n")
    assert running.judge("problems") == {"model_changes": [], "conflicts": []}


def test_what_lies_beside_the_judge_does_not_hide_the_releases_modules(running: Project) -> None:
    beside = running.write("../judge/parcel.py", "raise ImportError('not the package')")
    package = Project(running.root / "site-packages", running.database)
    package.app("parcel", "")
    running.env |= {"PYTHONPATH": str(package.root), "APPS": "parcel"}
    done = running.run(shutil.copy(JUDGE, beside.parent), "problems")
    assert done.returncode == 0, done.stderr


def test_what_keeps_it_from_judging_is_one_line(running: Project) -> None:
    new = next_release(running, ROOM, 'migrations.RemoveField("Room", "nothing")')
    assert "stays.0002_next: Remove field nothing from Room" in failure(
        new, "judge", "--needs", running.root / "needs.json"
    )

    disordered = next_release(running, ROOM)
    disordered.migration("stays", "0000_first", "")
    disordered.migration("stays", "0001_initial", CREATE_ROOM, after="0000_first")
    assert "applied before its dependency stays.0000_first" in failure(disordered, "judge")

    scribble = running.write("scribble.json", "[]")
    assert "is not what `needs` prints" in failure(running, "judge", "--needs", scribble)
    assert "elsewhere" in failure(running, "--database", "elsewhere", "judge")
    running.database.write_bytes(b"no database " * 99)
    assert "not a database" in failure(running, "judge")

    settings = running.write("settings.py", "raise SystemExit('settings: SECRET_KEY is missing')")
    assert failure(running, "needs") == "settings: SECRET_KEY is missing\n"
    settings.write_text("import nothing_like_it")
    assert "No module named 'nothing_like_it'" in failure(running, "needs")
