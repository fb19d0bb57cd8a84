"""Judges migrations before they run: can the release that is serving live with the changed database?

While a rollout migrates, the running release goes on reading and writing, so what it *needs* (the tables and
columns of its models) decides: a column that it no longer uses may go, one that it uses may not. `needs` writes
that down, `judge` replays the migrations to come against it, `problems` looks for missing and conflicting ones.

A script, and one file, because it runs inside the release: with the release's Python, its application folder as
working directory and DJANGO_SETTINGS_MODULE set. It knows Django (4.2 or later) and nothing else.
Prints one JSON document; what keeps it from judging is one line on stderr and exit status 2.
docs/migrations.md explains the rules and the override.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypedDict

import django
import sqlparse
from django.apps import apps as real_apps
from django.apps.registry import Apps
from django.conf import settings
from django.db import connections, models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.base.operations import BaseDatabaseOperations
from django.db.migrations import Migration, operations
from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.migrations.questioner import MigrationQuestioner
from django.db.migrations.state import ProjectState

Column = dict[str, Any]
Node = tuple[str, str]


class Rule(TypedDict):
    """A constraint. `kind` is unique, check, references or other; `columns` are those it looks at."""

    kind: str
    columns: list[str]


@dataclass
class Schema:
    """What a set of models expects of the database: {table: {column: ...}} and {table: {definition: rule}}."""

    tables: dict[str, dict[str, Column]] = field(default_factory=dict)
    rules: dict[str, dict[str, Rule]] = field(default_factory=dict)


@dataclass
class Harm:
    """What the running release would suffer, and how to get there without."""

    table: str | None
    column: str | None
    reason: str
    remedy: str


@dataclass
class Effect:
    """What one operation does to the database: harms, and how many statements of each sort."""

    harms: list[Harm]
    schema: int = 0
    data: int = 0


# --- What models expect of the database

INTEGERS = BaseDatabaseOperations.integer_field_ranges
STRINGS = {"CharField", "SlugField", "FileField", "FilePathField"}


def schema_of(apps: Apps, connection: BaseDatabaseWrapper) -> Schema:
    """Tables that Django manages, M2M tables among them; `apps` is a rendered state or the real registry."""
    schema = Schema()
    for model in apps.get_models(include_auto_created=True):
        meta = model._meta
        if meta.proxy or not meta.managed:
            continue
        columns = {f.column: column_of(f, connection) for f in meta.local_concrete_fields if f.column}
        schema.tables.setdefault(meta.db_table, {}).update(columns)
        schema.rules.setdefault(meta.db_table, {}).update(rules_of(model))
    return schema


def column_of(column: models.Field[Any, Any], connection: BaseDatabaseWrapper) -> Column:
    """Comparable across vendors: a foreign key has the type of its target, a custom type the vendor's own."""
    target: Any = column
    while isinstance(target, models.ForeignKey):
        target = target.target_field
    kind = target.get_internal_type()
    if kind in STRINGS:
        kind = "CharField"
    elif kind not in connection.data_types:
        kind = target.db_type(connection) or kind
    generated = getattr(column, "generated", False)
    has_default = getattr(column, "db_default", models.NOT_PROVIDED) is not models.NOT_PROVIDED
    found = {
        "null": column.null,
        "type": kind,
        "db_default": has_default or generated or isinstance(column, models.AutoField),
        "generated": generated,
    }
    if kind == "CharField":
        found["max_length"] = target.max_length
    if kind == "DecimalField":
        found |= {"max_digits": target.max_digits, "decimal_places": target.decimal_places}
    return found


def rules_of(model: type[models.Model]) -> dict[str, Rule]:
    """Unique columns and sets of columns, foreign keys and named constraints of one table."""
    meta = model._meta
    rules: dict[str, Rule] = {}

    def add_unique(columns: list[str]) -> None:
        rules[f"unique ({', '.join(columns)})"] = {"kind": "unique", "columns": columns}

    for one in meta.local_concrete_fields:
        if one.unique and not one.primary_key:
            add_unique([one.column])
        if isinstance(one, models.ForeignKey) and one.db_constraint:
            text = f"foreign key ({one.column}) to {one.target_field.model._meta.db_table}"
            rules[text] = {"kind": "references", "columns": [one.column]}
    for names in meta.unique_together:
        add_unique(columns_of(model, names))
    for constraint in meta.constraints:
        path, arguments, options = constraint.deconstruct()
        name = options.pop("name", "")
        text = f"constraint {name}: {path.rpartition('.')[2]} {[*arguments, *sorted(options.items())]!r}"
        if set(options) == {"fields"}:
            add_unique(columns_of(model, options["fields"]))
        elif "fields" in options and "nulls_distinct" not in options:
            rules[text] = {"kind": "unique", "columns": columns_of(model, options["fields"])}
        else:
            checked = check_columns(model, options.get("condition", options.get("check")))
            known = path.endswith(".CheckConstraint") and checked is not None
            rules[text] = {"kind": "check" if known else "other", "columns": checked or []}
    return rules


def columns_of(model: type[models.Model], names: Iterable[str]) -> list[str]:
    """Columns of these fields, in this order."""
    return [model._meta.get_field(name).column for name in names]


def check_columns(model: type[models.Model], condition: Any) -> list[str] | None:
    """Columns of a condition that NULL satisfies, or None when that cannot be seen (isnull, expressions)."""
    if not isinstance(condition, models.Q):
        return None
    names: list[str] = []
    for child in condition.children:
        if isinstance(child, models.Q):
            inner = check_columns(model, child)
            if inner is None:
                return None
            names += inner
            continue
        if not isinstance(child, tuple) or "isnull" in child[0] or child[1] is None:
            return None
        name, value = child
        names += columns_of(model, [name.split("__")[0]])
        if isinstance(value, models.F):
            names += columns_of(model, [value.name])
        elif hasattr(value, "resolve_expression"):
            return None
    return names


# --- What a change would do to the running release

NEW_RULE = "let the code keep the rule in this release and add the constraint in the next one"
CANNOT_SEE = "use Django's own operations, or say in the migration's rollout_override why it is safe"


def gone(table: str, column: str | None, renamed: bool = False) -> Harm:
    """A table (no column) or a column that the running release uses, dropped or renamed."""
    what = f"column {table}.{column}" if column else f"table {table}"
    if renamed:
        option = "db_column" if column else "db_table"
        remedy = f"keep the name in the database ({option}), or add the new one, fill it, and drop the old one later"
        return Harm(table, column, f"the running release still uses {what}, which would be renamed", remedy)
    nullable = "nullable or with a db_default, then " if column else ""
    remedy = (
        f"first a release that no longer uses it ({nullable}removed with state_operations only), then drop it"
    )
    return Harm(table, column, f"the running release still uses {what}", remedy)


def no_value(table: str, column: str) -> Harm:
    """A NOT NULL column for which the running release sends nothing and the database has nothing."""
    return Harm(
        table,
        column,
        f"the running release's inserts into {table} would fail: {column} is NOT NULL without a database default",
        "make it nullable or give it a db_default (default= is not one), and tighten it in the next release",
    )


def narrowed(table: str, column: str, what: str) -> Harm:
    """A column that takes or holds less than what the running release may write or read."""
    return Harm(
        table,
        column,
        f"{table}.{column}, which the running release uses, would change {what}",
        "add a new column, fill it, use it from the next release on, and drop the old one after that",
    )


def new_rule(table: str, rule: str) -> Harm:
    """A constraint that rows of the running release may violate."""
    return Harm(table, None, f"what the running release writes to {table} may violate: {rule}", NEW_RULE)


def harms_between(before: Schema, after: Schema, needs: Schema, renamed: bool) -> Iterator[Harm]:
    """Differences of two schemas that hurt a release with these needs."""
    for table in needs.tables.keys() & before.tables.keys():
        if table not in after.tables:
            yield gone(table, None, renamed)
            continue
        needed, old, new = needs.tables[table], before.tables[table], after.tables[table]
        yield from (gone(table, column, renamed) for column in old if column in needed and column not in new)
        for column in new:
            if old.get(column) != new[column]:
                yield from column_harms(table, column, old.get(column), new[column], needed.get(column))
        known_rules = before.rules[table].keys() | needs.rules.get(table, {}).keys()
        for text, rule in after.rules[table].items():
            if text not in known_rules and may_violate(rule, new, needed):
                yield new_rule(table, text)


def column_harms(
    table: str, column: str, old: Column | None, new: Column, needed: Column | None
) -> Iterator[Harm]:
    """A changed (or, without `old`, an added) column against what is needed of it (None: it is unknown)."""
    needs_value = not new["null"] and not new["db_default"]
    if needed is None:
        if needs_value:
            yield no_value(table, column)
        return
    if needs_value and needed["db_default"]:
        yield no_value(table, column)
    elif needed["null"] and not new["null"] and (old is None or old["null"]):
        yield Harm(
            table,
            column,
            f"the running release may write NULL to {table}.{column}, which would become NOT NULL",
            "release code that always writes a value first, then make it NOT NULL in the next release",
        )
    if new["generated"] and not needed["generated"]:
        yield narrowed(table, column, "into a generated column")
    elif not is_widened(needed, new):
        before, after = (describe_type(each) for each in (needed, new))
        yield narrowed(table, column, f"from {before} to {after}")


def is_widened(old: Column, new: Column) -> bool:
    """Whether each value of the old type is one of the new type, and reads back as the same."""
    if old["type"] in INTEGERS and new["type"] in INTEGERS:
        (low, high), (new_low, new_high) = INTEGERS[old["type"]], INTEGERS[new["type"]]
        return bool(new_low <= low and high <= new_high)
    if old["type"] == "CharField" and new["type"] == "TextField":
        return True
    if old["type"] != new["type"]:
        return False
    if old["type"] == "CharField" and new["max_length"] is not None:
        return old["max_length"] is not None and old["max_length"] <= new["max_length"]
    if old["type"] == "DecimalField":
        places = new["decimal_places"] - old["decimal_places"]
        return 0 <= places <= new["max_digits"] - old["max_digits"]
    return True


def describe_type(column: Column) -> str:
    """As in a model: CharField(50), DecimalField(8, 2)."""
    sizes = [str(column[key]) for key in ("max_length", "max_digits", "decimal_places") if key in column]
    return f"{column['type']}({', '.join(sizes)})" if sizes else column["type"]


def may_violate(rule: Rule, table: dict[str, Column], needed: dict[str, Column]) -> bool:
    """Only columns that the running release never writes make a new constraint harmless.

    For a unique one these have to be NULL in its rows too: two rows with the same default collide.
    """
    if rule["kind"] == "other" or any(column in needed for column in rule["columns"]):
        return True
    return rule["kind"] == "unique" and not all(
        table[column]["null"] and not table[column]["db_default"] for column in rule["columns"]
    )


# --- Raw SQL: strict with what defines (only what is known to be harmless), lenient with data

NAME = r"[^\s(),]+"
DATA = re.compile(
    r"(select|insert|update|delete|replace|merge|with|values|call|truncate|copy|set|pragma|analyze|vacuum)\b"
)
HARMLESS = re.compile(
    r"create (or replace )?((temp|temporary|unlogged|virtual) )?"
    r"(table|view|materialized view|sequence|schema|extension|function|procedure|index|fulltext index"
    r"|spatial index)\b|drop index\b|alter index\b|reindex\b|comment on\b|grant\b"
)
HARMLESS_ACTION = re.compile(
    r"rename (constraint|index|key)\b|drop (constraint|index|key|foreign key|check)\b|validate constraint\b"
    r"|add ((fulltext|spatial) )?(index|key)\b|alter (index|constraint)\b"
)


def sql_effect(sql: Any, needs: Schema) -> Effect:
    """Of RunSQL's argument: text, or a list of texts and (text, parameters)."""
    effect = Effect([])
    for part in [sql] if isinstance(sql, str) else sql:
        for statement in sqlparse.parse(part if isinstance(part, str) else part[0]):
            text = normalised(statement)
            if DATA.match(text):
                effect.data += 1
            elif text:
                effect.schema += 1
                effect.harms += statement_harms(text, needs)
    return effect


def normalised(statement: sqlparse.sql.Statement) -> str:
    """Lower-case words with one space between, without comments, quotes and the contents of literals."""
    words = []
    for token in statement.flatten():
        kind = str(token.ttype)
        if token.is_whitespace or kind.startswith("Token.Comment"):
            continue
        literal = kind in {"Token.Literal", "Token.Literal.String.Single"}
        words.append("''" if literal else " ".join(token.value.split()).strip('"`').lower())
    return re.sub(r" ?\. ?", ".", " ".join(words)).rstrip(" ;")


def statement_harms(text: str, needs: Schema) -> Iterator[Harm]:
    """One statement that defines something."""
    tables = {bare(table): (table, columns) for table, columns in needs.tables.items()}
    if found := re.fullmatch(r"drop table (?:if exists )?(.+?)(?: cascade| restrict)?", text):
        dropped = (bare(name) for name in found[1].split(","))
        yield from (gone(tables[name][0], None) for name in dropped if name in tables)
    elif found := re.match(rf"rename table ({NAME}) to", text):
        if bare(found[1]) in tables:
            yield gone(tables[bare(found[1])][0], None, renamed=True)
    elif found := re.match(rf"alter table (?:if exists )?(?:only )?({NAME}) (.+)", text):
        if bare(found[1]) in tables:
            table, columns = tables[bare(found[1])]
            lower = {name.lower(): (name, column) for name, column in columns.items()}
            for action in split_actions(found[2]):
                yield from action_harms(action, table, lower)
    elif found := re.match(rf"create (?:unique index|.*\btrigger) .*?\bon (?:only )?({NAME})", text):
        if bare(found[1]) in tables:
            yield new_rule(tables[bare(found[1])][0], shortened(text))
    elif not HARMLESS.match(text):
        yield unclear(None, text)


def action_harms(action: str, table: str, needed: dict[str, tuple[str, Column]]) -> Iterator[Harm]:
    """One action of ALTER TABLE on a table that the running release uses; `needed` by lower-case name."""
    if HARMLESS_ACTION.match(action):
        return
    if re.match(r"rename (to|as) ", action):
        yield gone(table, None, renamed=True)
    elif re.match(r"add (constraint|unique|check|primary|foreign|exclude)\b", action):
        yield new_rule(table, shortened(action))
    elif found := re.match(rf"(drop|rename) (?:column )?(?:if exists )?({NAME})", action):
        if found[2] in needed:
            yield gone(table, needed[found[2]][0], renamed=found[1] == "rename")
    elif found := re.match(rf"add (?:column )?(?:if not exists )?({NAME}) (.+)", action):
        yield from added_column_harms(table, found[1], found[2])
    elif found := re.match(rf"(?:alter|modify|change) (?:column )?({NAME}) (.+)", action):
        yield from altered_column_harms(table, found[1], found[2], needed.get(found[1]))
    else:
        yield unclear(table, action)


def added_column_harms(table: str, column: str, definition: str) -> Iterator[Harm]:
    """ADD COLUMN, and MODIFY or CHANGE of a column that the running release does not know."""
    if re.search(r"\b(unique|check|primary key)\b", definition):
        yield new_rule(table, shortened(f"{column} {definition}"))
    if "not null" in definition and not re.search(r"\b(default|generated|auto_increment)\b", definition):
        yield no_value(table, column)


def altered_column_harms(
    table: str, column: str, change: str, needed: tuple[str, Column] | None
) -> Iterator[Harm]:
    """ALTER, MODIFY or CHANGE of one column. Types are not compared here: any change of a used one counts."""
    if re.match(r"drop not null|set default", change):
        return
    if needed is None:
        if re.match(r"set not null|drop default", change):
            yield no_value(table, column)
        else:
            yield from added_column_harms(table, column, change)
    elif re.match(r"set not null", change):
        if needed[1]["null"]:
            yield unclear(table, f"{column} {change}")
    elif re.match(r"drop default", change):
        if needed[1]["db_default"] and not needed[1]["null"]:
            yield no_value(table, needed[0])
    else:
        yield narrowed(table, needed[0], f"by SQL ({shortened(change)})")


def split_actions(text: str) -> list[str]:
    """The parts between commas outside of parentheses."""
    parts, depth = [""], 0
    for word in text.split():
        depth += (word == "(") - (word == ")")
        if word == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += f" {word}"
    return [part.strip() for part in parts]


def bare(name: str) -> str:
    """A table's name without schema, quotes and case."""
    return name.strip().rpartition(".")[2].strip('"`').lower()


def unclear(table: str | None, text: str) -> Harm:
    """What may or may not hurt."""
    return Harm(
        table,
        None,
        f"it cannot be seen that the running release can live with: {shortened(text)}",
        CANNOT_SEE,
    )


def shortened(text: str) -> str:
    """For a line that a person reads."""
    return text if len(text) <= 80 else f"{text[:77]}..."


# --- Replaying migrations


@dataclass
class Replay:
    """Follows the models' state from migration to migration, as `migrate` does, and judges on the way."""

    state: ProjectState
    needs: Schema
    connection: BaseDatabaseWrapper

    def operate(self, operation: Operation, app: str) -> Effect:
        """What the operation does to the database; moves the state on."""
        if isinstance(operation, operations.SeparateDatabaseAndState):
            aside = Replay(self.state.clone(), self.needs, self.connection)
            effects = [aside.operate(inner, app) for inner in operation.database_operations]
            operation.state_forwards(app, self.state)
            return total(effects)
        stateful = not isinstance(
            operation,
            operations.RunSQL
            | operations.RunPython
            | operations.AlterModelOptions
            | operations.AlterModelManagers,
        )
        before = schema_of(self.state.apps, self.connection) if stateful else Schema()
        operation.state_forwards(app, self.state)
        if isinstance(operation, operations.RunSQL):
            return sql_effect(operation.sql, self.needs)
        if not stateful:
            return Effect([], data=int(isinstance(operation, operations.RunPython)))
        if not is_djangos(operation):
            return Effect(
                [unclear(None, f"{type(operation).__name__}, an operation of its own kind")], schema=1
            )
        after = schema_of(self.state.apps, self.connection)
        renamed = "Rename" in type(operation).__name__ or isinstance(operation, operations.AlterModelTable)
        harms = list(harms_between(before, after, self.needs, renamed))
        index = "Index" in type(operation).__name__ or "Constraint" in type(operation).__name__
        return Effect(harms, schema=int(before != after or index))


def is_djangos(operation: Operation) -> bool:
    """Whether the class is one of Django's operations or derived from one."""
    return any(
        base.__module__.startswith("django.") and base not in (Operation, object)
        for base in type(operation).__mro__
    )


def total(effects: list[Effect]) -> Effect:
    """Several operations as one."""
    harms = [harm for effect in effects for harm in effect.harms]
    return Effect(harms, sum(effect.schema for effect in effects), sum(effect.data for effect in effects))


GO_FORWARD = "go forward instead: mend it in a new release"


def judge_migration(migration: Migration, replay: Replay, rollback: bool) -> list[dict[str, Any]]:
    """Each thing in a migration that the release with these needs cannot live with."""
    node = f"{migration.app_label}.{migration.name}"
    found: list[tuple[str, Harm]] = []
    effects: list[Effect] = []
    for operation in migration.operations:
        effects.append(replay.operate(operation, migration.app_label))
        found += [(operation.describe(), harm) for harm in effects[-1].harms]
    whole = total(effects)
    undone_by_itself = migration.atomic and replay.connection.features.can_rollback_ddl
    if not rollback and not undone_by_itself and whole.schema and whole.schema + whole.data > 1:
        found.append(("the whole migration", HALF_DONE))
    entries = []
    for operation_text, harm in found:
        entry = {"migration": node, "operation": operation_text, **asdict(harm)}
        if rollback:
            entry["reason"] = harm.reason.replace("the running release", "the older release")
            entry["remedy"] = GO_FORWARD
        entry["line"] = f"{node}: {operation_text}: {entry['reason']}. Way out: {entry['remedy']}."
        entries.append(entry)
    return entries


HALF_DONE = Harm(
    None,
    None,
    "a failure in the middle would leave it half done, because no transaction covers it",
    "one schema operation in a migration, and data in another",
)


def override_of(migration: Migration) -> str:
    """Why a person says that the running release can live with it: in the migration, or, where that belongs to a
    package, in the settings' ROLLOUT_OVERRIDES {"app.name": reason}. Without a reason there is no override.
    """
    by_settings = getattr(settings, "ROLLOUT_OVERRIDES", {})
    name = f"{migration.app_label}.{migration.name}"
    reason = getattr(migration, "rollout_override", by_settings.get(name, ""))
    return reason.strip() if isinstance(reason, str) else ""


# --- Commands


def load(database: str) -> MigrationLoader:
    """Migrations of this release and what the database has of them. A SQLite file is not created by looking."""
    connection = connections[database]
    name = str(connection.settings_dict["NAME"])
    on_disk = connection.vendor == "sqlite" and ":memory:" not in name and not name.startswith("file:")
    loader = MigrationLoader(None if on_disk and not Path(name).exists() else connection)
    if loader.connection:
        loader.check_consistent_history(connection)
    return loader


def own_labels() -> set[str]:
    """Apps of the project itself, which can be told to mend its migrations; not those of installed packages."""
    return {
        config.label
        for config in real_apps.get_app_configs()
        if not {"site-packages", "dist-packages"} & set(Path(config.path).parts)
    }


def problems_of(loader: MigrationLoader) -> dict[str, Any]:
    """Model changes without a migration, and apps whose migrations have two ends after a merge."""
    detector = MigrationAutodetector(
        loader.project_state(), ProjectState.from_apps(real_apps), MigrationQuestioner()
    )
    changes = []
    for app, missing in sorted(detector.changes(graph=loader.graph).items()):
        if app in own_labels():
            what = [operation.describe() for migration in missing for operation in migration.operations]
            remedy = f"python manage.py makemigrations {app}"
            line = f"{app}: model changes without a migration ({'; '.join(what)}). Run: {remedy}"
            changes.append({"app": app, "operations": what, "remedy": remedy, "line": line})
    conflicts = []
    for app, names in sorted(loader.detect_conflicts().items()):
        remedy = "python manage.py makemigrations --merge"
        line = f"{app}: two migrations are the last one ({', '.join(sorted(names))}). Run: {remedy}"
        conflicts.append({"app": app, "leaves": sorted(names), "remedy": remedy, "line": line})
    return {"model_changes": changes, "conflicts": conflicts}


def needs(options: argparse.Namespace) -> dict[str, Any]:
    """What this release knows (its migrations, squashed ones too) and needs (its models' tables)."""
    known: set[Node] = set()
    for node, migration in MigrationLoader(None).disk_migrations.items():
        known |= {node, *map(tuple, migration.replaces)}
    schema = schema_of(real_apps, connections[options.database])
    return {"migrations": sorted(known), "tables": schema.tables, "rules": schema.rules}


def problems(options: argparse.Namespace) -> dict[str, Any]:
    """What can be said without a database."""
    return problems_of(MigrationLoader(None))


def judge(options: argparse.Namespace) -> dict[str, Any]:
    """Pending migrations against the running release's needs; without needs there is nobody to hurt.

    For a rollback: the applied migrations which the older release does not know, against that release's needs.
    There an override does not count: it speaks of the release that was running then.
    """
    loader = load(options.database)
    applied = loader.applied_migrations
    given = json.loads(options.needs.read_text()) if options.needs else {"migrations": [], "tables": {}}
    known = {tuple(node) for node in given["migrations"]}
    replay = Replay(
        ProjectState(real_apps=loader.unmigrated_apps),
        Schema(given["tables"], given.get("rules", {})),
        connections[options.database],
    )
    plan = [node for leaf in loader.graph.leaf_nodes() for node in loader.graph.forwards_plan(leaf)]
    answer: dict[str, Any] = {"pending": [], "past": [], "refused": [], "overridden": []}
    for node in dict.fromkeys(plan):
        migration = loader.graph.nodes[node]
        replaced = {tuple(each) for each in migration.replaces}
        is_known = node in known or (replaced and replaced <= known)
        if (is_known or node not in applied) if options.rollback else node in applied:
            if node in applied:
                migration.mutate_state(replay.state, preserve=False)
            continue
        answer["past" if options.rollback else "pending"].append(node)
        if not options.needs:
            continue
        entries = judge_migration(migration, replay, options.rollback)
        reason = "" if options.rollback else override_of(migration)
        if reason:
            answer["overridden"] += [{**entry, "override": reason} for entry in entries]
        else:
            answer["refused"] += entries
    clean: dict[str, Any] = {"model_changes": [], "conflicts": []}
    return answer | (clean if options.rollback else problems_of(loader))


def main() -> int:
    """Parse, set Django up, print the answer. Whatever the project prints while it is loaded goes to stderr."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--database", default="default", help="alias in DATABASES (default: %(default)s)")
    commands = parser.add_subparsers(required=True)
    commands.add_parser("needs", help="what this release needs of its database").set_defaults(act=needs)
    commands.add_parser("problems", help="missing and conflicting migrations").set_defaults(act=problems)
    judging = commands.add_parser(
        "judge", help="which migrations a release with these needs cannot live with"
    )
    judging.add_argument("--needs", type=Path, help="what `needs` printed; without it no release is running")
    judging.add_argument(
        "--rollback", action="store_true", help="judge applied migrations the needs do not know"
    )
    judging.set_defaults(act=judge)
    options = parser.parse_args()
    script = os.path.dirname(os.path.abspath(sys.argv[0]))
    sys.path[:] = [os.getcwd(), *(path for path in sys.path if path not in {script, ""})]
    try:
        with contextlib.redirect_stdout(sys.stderr):
            django.setup()
            answer = options.act(options)
    except SystemExit as stopped:  # settings that say themselves what is wrong with them
        if isinstance(stopped.code, str):
            print(stopped.code, file=sys.stderr)
        return 2
    except Exception as error:  # noqa: BLE001 (whatever the project's code raises is one line here)
        print(f"migration judge: {type(error).__name__}: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    print(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
