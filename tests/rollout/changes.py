"""Canned changes of a checkout: what engineers commit, good and bad. Each is made by editing files only."""

import ast
import re
from pathlib import Path

from tests.rollout.checkout import Change

APP = "app/marefia"
MODEL = "Booking"
PART = "stays"


def visible_text(text: str) -> Change:
    """A harmless change: every page says something more."""

    def change(checkout: Path) -> None:
        replace(checkout / APP / "templates/base.html", "  </body>", f"    <p>{text}</p>\n  </body>")

    return named(change, f"every page says {text}")


def setting(name: str, value: str, environment: str = "dev") -> Change:
    """Another value in an environment's file, and nothing else."""

    def change(checkout: Path) -> None:
        path = checkout / f"infra/environments/{environment}.env"
        text, found = re.subn(rf"(?m)^{name}=.*$", f"{name}={value}", path.read_text())
        assert found == 1, f"{path} does not set {name}"
        path.write_text(text)

    return named(change, f"{name} is {value}")


def overlay(old: str, new: str, environment: str = "dev") -> Change:
    """Other words in an environment's overlay, and nothing else."""

    def change(checkout: Path) -> None:
        replace(checkout / f"k8s/overlays/{environment}/kustomization.yaml", old, new)

    return named(change, f"{new} in the overlay")


def expanding_migration(column: str) -> Change:
    """A new nullable column: the running release does not notice."""

    def change(checkout: Path) -> None:
        add_field(checkout, column)
        migration(checkout, f"add_{column}", added(column))

    return named(change, f"bookings get {column}")


def defaulted_migration(column: str) -> Change:
    """A new column that the database fills by itself: releases that do not know it write rows all the same."""

    def change(checkout: Path) -> None:
        field = 'models.CharField(max_length=20, db_default="web")'
        add_field(checkout, column, f"    {column} = {field}\n")
        migration(
            checkout, f"add_{column}", f'        migrations.AddField("{MODEL.lower()}", "{column}", {field}),'
        )

    return named(change, f"bookings get {column} by themselves")


def new_table(model: str) -> Change:
    """A table that points to another, and in a migration of its own a row in it for each row there."""

    def change(checkout: Path) -> None:
        field = f'models.ForeignKey("{PART}.{MODEL}", models.CASCADE)'
        append(
            checkout / APP / PART / "models.py",
            f'\n\nclass {model}(models.Model):\n    """One more table."""\n\n    of = {field}\n',
        )
        key = '("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"))'
        migration(
            checkout,
            f"create_{model.lower()}",
            f'        migrations.CreateModel("{model}", fields=[{key}, ("of", {field})]),',
        )
        fills = (
            "def fill(apps: object, schema_editor: object) -> None:\n"
            f'    for each in apps.get_model("{PART}", "{MODEL}").objects.all():\n'
            f'        apps.get_model("{PART}", "{model}").objects.create(of=each)\n'
        )
        migration(checkout, f"fill_{model.lower()}", "        migrations.RunPython(fill),", fills)

    return named(change, f"there is a table of {model}s")


def failing_migration(column: str) -> Change:
    """A migration that adds a column and then fails: half-way, were it not for its transaction."""

    def change(checkout: Path) -> None:
        add_field(checkout, column)
        fails = (
            "def fail(apps: object, schema_editor: object) -> None:\n"
            f'    raise RuntimeError("{column} cannot be filled")\n'
        )
        migration(checkout, f"fill_{column}", f"{added(column)}\n        migrations.RunPython(fail),", fails)

    return named(change, f"bookings get {column}, or so it was meant")


def contracting_migration(column: str) -> Change:
    """The removal of a column that the running release still reads: to be refused."""

    def change(checkout: Path) -> None:
        replace(checkout / APP / PART / "models.py", field_line(column), "")
        migration(
            checkout, f"remove_{column}", f'        migrations.RemoveField("{MODEL.lower()}", "{column}"),'
        )

    return named(change, f"bookings lose {column}")


def forgetting_migration(column: str) -> Change:
    """The step before a removal: the model forgets the column, the database keeps it."""

    def change(checkout: Path) -> None:
        replace(checkout / APP / PART / "models.py", field_line(column), "")
        forget = f'state_operations=[migrations.RemoveField("{MODEL.lower()}", "{column}")]'
        migration(checkout, f"forget_{column}", f"        migrations.SeparateDatabaseAndState({forget}),")

    return named(change, f"bookings forget {column}")


def unready(checkout: Path) -> None:
    """A release that boots and never gets ready."""
    answer(checkout, "/readyz", "503 Service Unavailable", "never is ready")


def broken_page(checkout: Path) -> None:
    """A release that says it is ready, and whose first page fails."""
    answer(checkout, "/", "500 Internal Server Error", "broken page")


def answer(checkout: Path, path: str, status: str, text: str) -> None:
    """Make the web answer a path with this, before Django sees it."""
    append(
        checkout / APP / "wsgi.py",
        f"""
whole = application


def application(environ, start_response):
    if environ["PATH_INFO"] == "{path}":
        start_response("{status}", [("Content-Length", "{len(text)}")])
        return [b"{text}"]
    return whole(environ, start_response)
""",
    )


def dead_web(checkout: Path) -> None:
    """A release whose web dies each time that it is started; where only a worker exits, gunicorn starts the next."""
    append(
        checkout / "app/gunicorn.conf.py",
        '\n\ndef on_starting(server: Any) -> None:\n    raise SystemExit("this web cannot start")\n',
    )


def dead_worker(checkout: Path) -> None:
    """A release whose web is well and whose worker cannot start."""
    append(
        checkout / APP / "celery.py",
        """
import sys

if "worker" in sys.argv:
    raise SystemExit("this worker cannot start")
""",
    )


def add_field(checkout: Path, column: str, declared: str = "") -> None:
    """Put a column first into the model; a nullable one where nothing else is declared."""
    path = checkout / APP / PART / "models.py"
    text = path.read_text()
    model = next(
        node for node in ast.parse(text).body if isinstance(node, ast.ClassDef) and node.name == MODEL
    )
    documented = isinstance(model.body[0], ast.Expr)
    line = (model.body[0].end_lineno or 0) if documented else model.body[0].lineno - 1
    lines = text.splitlines(keepends=True)
    path.write_text(
        "".join([*lines[:line], "\n" * documented, declared or field_line(column), *lines[line:]])
    )


def field_line(column: str) -> str:
    """The column as its model declares it."""
    return f"    {column} = models.CharField(max_length=40, null=True, blank=True)  # noqa: DJ001\n"


def added(column: str) -> str:
    """The operation that adds the column."""
    field = "models.CharField(max_length=40, null=True, blank=True)"
    return f'        migrations.AddField("{MODEL.lower()}", "{column}", {field}),'


def migration(checkout: Path, name: str, operations: str, before: str = "") -> None:
    """The next migration of the part."""
    folder = checkout / APP / PART / "migrations"
    last = max(path.stem for path in folder.glob("[0-9]*.py"))
    folder.joinpath(f"{int(last[:4]) + 1:04}_{name}.py").write_text(
        "from django.db import migrations, models\n\n\n"
        f"{before}\n\n"
        "class Migration(migrations.Migration):\n"
        f'    dependencies = [("{PART}", "{last}")]\n'
        f"    operations = [\n{operations}\n    ]\n"
    )


def replace(path: Path, old: str, new: str) -> None:
    """Replace what has to stand in a file exactly once."""
    text = path.read_text()
    assert text.count(old) == 1, f"{path} has {text.count(old)} times {old!r}"
    path.write_text(text.replace(old, new))


def append(path: Path, text: str) -> None:
    """Add to the end of a file that has to be there."""
    path.write_text(path.read_text() + text)


def named(change: Change, name: str) -> Change:
    """Give a change the name that its commit gets."""
    change.__name__ = name
    return change
