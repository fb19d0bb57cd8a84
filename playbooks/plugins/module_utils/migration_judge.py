"""Judges migrations before they run: can the release that is serving live with the changed database?

While a rollout migrates, the running release goes on reading and writing. So what that release *needs* (the
tables, columns and constraints of its models) decides: a column that it no longer uses may go, one that it
uses may not. `needs` writes that down, `judge` replays migrations against it, `problems` finds missing and
conflicting ones. docs/migrations.md explains the rules and the override.

One file, because it is handed over to run inside a release: with the release's Python, its application folder
as working directory and DJANGO_SETTINGS_MODULE set. It knows Django (4.2 or later) and nothing else. Prints
one JSON document; what keeps it from judging is one line on stderr and exit status 2.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

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
from django.db.migrations.recorder import MigrationRecorder
from django.db.migrations.state import ProjectState
from django.db.models import expressions, functions

Column = dict[str, Any]
Rule = dict[
    str, Any
]  # "kind": unique, check, references, other or unclear; "columns": those that it looks at


@dataclass
class Schema:
    """What models expect of the database: {table: {name: column}} and {table: {definition: rule}}."""

    tables: dict[str, dict[str, Column]] = field(default_factory=dict)
    rules: dict[str, dict[str, Rule]] = field(default_factory=dict)


@dataclass
class Harm:
    """What the running release would suffer, and the way to get there without."""

    table: str | None
    column: str | None
    reason: str
    remedy: str


@dataclass
class Effect:
    """What an operation does to the database: harms, and how many changes of the schema and of data."""

    harms: list[Harm]
    schema: int = 0
    data: int = 0


# --- What models expect of the database

INTEGERS = BaseDatabaseOperations.integer_field_ranges
STRINGS = {"CharField", "SlugField", "FileField", "FilePathField"}
SIZES = {"CharField": ["max_length"], "DecimalField": ["max_digits", "decimal_places"]}
PURE = {
    functions.Length,
    functions.Lower,
    functions.Upper,
    functions.Trim,
    functions.Collate,
    functions.Concat,
}
PURE |= {functions.ConcatPair, functions.Coalesce, expressions.CombinedExpression, expressions.OrderBy}
CONSTANTS = {functions.Now, functions.Pi, functions.Random}
COMPARISONS = re.compile("i?(exact|contains|startswith|endswith)|[gl]te?|in|range")  # NULL with what is NULL


def schema_of(apps: Apps, connection: BaseDatabaseWrapper, of_code: bool = False) -> Schema:
    """Tables that Django manages, M2M tables among them; `apps` is a rendered state or the real registry.

    :param of_code: say of each column whether its value is sent, which is none of the database's business.
    """
    schema = Schema()
    for model in apps.get_models(include_auto_created=True):
        meta = model._meta
        if meta.managed and not meta.proxy:
            columns = {
                one.column: column_of(one, connection) | ({"sent": is_sent(one)} if of_code else {})
                for one in meta.local_concrete_fields
                if one.column
            }
            schema.tables.setdefault(meta.db_table, {}).update(columns)
            schema.rules.setdefault(meta.db_table, {}).update(rules_of(model))
    return schema


def column_of(column: models.Field[Any, Any], connection: BaseDatabaseWrapper) -> Column:
    """Comparable across vendors: a foreign key has the type of its target, a custom field the vendor's type.

    `db_default` says that the database has a value where none is sent: a default, an identity, an expression.
    """
    default = getattr(column, "db_default", models.NOT_PROVIDED)
    target: Any = column
    while isinstance(target, models.ForeignKey):
        target = target.target_field
    if getattr(target, "generated", False):
        target = target.output_field
    kind = "CharField" if target.get_internal_type() in STRINGS else target.get_internal_type()
    if kind not in connection.data_types:
        kind = target.db_type(connection) or kind
    collation = getattr(target, "db_collation", None)
    return {
        "null": column.null,
        "type": kind,
        **{size: getattr(target, size) for size in SIZES.get(kind, [])},
        **({"collation": collation} if collation else {}),
        "db_default": numbered_or_generated(column)
        or (default is not models.NOT_PROVIDED and is_pure(default, is_some_value)),
    }


def is_sent(column: models.Field[Any, Any]) -> bool:
    """Whether Django sends a value of its own: each insert names the column, whatever the database has for it."""
    by_database = getattr(column, "db_default", models.NOT_PROVIDED) is not models.NOT_PROVIDED
    return column.has_default() or not (by_database or numbered_or_generated(column))


def numbered_or_generated(column: models.Field[Any, Any]) -> bool:
    """Whether the database makes the value, without a default."""
    return isinstance(column, models.AutoField) or getattr(column, "generated", False)


def is_pure(expression: Any, leaf: Callable[[Any], bool]) -> bool:
    """Whether what passes as `leaf` is put together only by what neither fails nor makes NULL of it."""
    if type(expression) not in PURE:
        return leaf(expression)
    own = getattr(expression, "extra", None) or getattr(expression, "connector", "+") not in "+-*"
    return not own and all(is_pure(one, leaf) for one in expression.get_source_expressions())


def is_some_value(default: Any) -> bool:
    """A value that is never NULL: not None, or of a function that always has one."""
    return type(default) in CONSTANTS or (
        is_plain(default) and getattr(default, "value", default) is not None
    )


def is_plain(value: Any) -> bool:
    """A value or another field, no expression."""
    known = isinstance(value, models.F) or type(value) is models.Value
    return known or not (value is None or hasattr(value, "resolve_expression"))


def is_plain_condition(condition: Any) -> bool:
    """Whether it compares with nothing but plain values."""
    if isinstance(condition, models.Q):
        return all(map(is_plain_condition, condition.children))
    return condition is None or (isinstance(condition, tuple) and is_plain(condition[1]))


def rules_of(model: type[models.Model]) -> dict[str, Rule]:
    """Unique sets of columns, foreign keys, constraints, and expressions that may fail, of one table.

    By what they say: the name of a constraint is none of it.
    """
    meta: Any = model._meta
    rules: dict[str, Rule] = {}

    def add(kind: str, names: Any, text: str = "", name: str = "") -> None:
        columns = [meta.get_field(name).column for name in names]
        rules[text or f"unique ({', '.join(columns)})"] = {"kind": kind, "columns": columns, "name": name}

    for one in meta.local_concrete_fields:
        if one.unique and not one.primary_key:
            add("unique", [one.name])
        if getattr(one, "db_constraint", False):
            target = one.target_field.model._meta.db_table
            add("references", [one.name], f"foreign key ({one.column}) to {target}")
    for names in meta.unique_together:
        add("unique", names)
    for text in may_fail(meta):
        add("unclear", [], text)
    for constraint in meta.constraints:
        path, arguments, options = constraint.deconstruct()
        name = f"constraint {options.pop('name', '')}: "
        said = sorted(each for each in options.items() if not each[0].startswith("violation_error"))
        text = f"{path.rpartition('.')[2]} {[*arguments, *said]!r}"
        if "fields" in options and "nulls_distinct" not in options:
            simple = len(said) == 1
            add("unique", options["fields"], "" if simple else text, "" if simple else name)
        else:
            checked = checked_fields(options.get("condition", options.get("check")))
            known = path.endswith(".CheckConstraint") and checked is not None
            add("check" if known else "other", checked or [], text, name)
    return rules


def may_fail(meta: Any) -> Iterator[str]:
    """Indexes and generated columns that may make an insert fail: all but plain and well-known expressions."""
    for one in meta.local_concrete_fields:
        if getattr(one, "generated", False) and not is_pure(one.expression, is_plain):
            yield f"{one.column} generated as {one.expression!r}"
    for index in meta.indexes:
        plain = is_plain_condition(index.condition) and type(index).__module__.startswith("django.")
        if not (plain and all(is_pure(one, is_plain) for one in index.expressions)):
            _, own, options = index.deconstruct()
            yield f"index {[*own, *sorted(each for each in options.items() if each[0] != 'name')]!r}"


def checked_fields(condition: Any, negated: bool = False) -> list[str] | None:
    """Fields of a condition that NULL in all of them satisfies, or None if that cannot be seen."""
    if not isinstance(condition, models.Q) or condition.connector not in {models.Q.AND, models.Q.OR}:
        return None
    names: list[str] = []
    negated = negated or condition.negated
    for child in condition.children:
        if not isinstance(child, tuple):
            inner = checked_fields(child, negated)
        else:
            name, _, lookup = child[0].partition("__")
            kept = lookup == "isnull" and child[1] is True and not negated
            compared = COMPARISONS.fullmatch(lookup or "exact") and is_plain(child[1])
            inner = [name] if name != "pk" and (kept or compared) else None
        if inner is None:
            return None
        names += inner
    return names


# --- What a change would do to the running release


def gone(table: str, column: str | None, renamed: bool = False) -> Harm:
    """A table (no column) or a column that the running release uses, dropped or renamed."""
    reason = f"the running release still uses {f'column {table}.{column}' if column else f'table {table}'}"
    if renamed:
        keep = f'db_column="{column}"' if column else f'db_table="{table}"'
        if column:  # may be one of a table that Django made for a many-to-many field
            keep += "; in an automatic many-to-many table by a through model that says so"
        remedy = f"keep the name in the database ({keep}), or add the new one and drop the old one later"
        return Harm(table, column, f"{reason}, which would be renamed", remedy)
    how = "nullable or with a db_default, then removed" if column else "removed"
    remedy = f"a release that no longer uses it comes first ({how} with state_operations only), then drop it"
    return Harm(table, column, reason, remedy)


def no_value(table: str, column: str) -> Harm:
    """A NOT NULL column for which the running release sends nothing and the database has nothing."""
    reason = (
        f"the running release's inserts into {table} would fail: {column} is NOT NULL without a db_default"
    )
    remedy = "make it nullable or give it a db_default (default= is not one), and tighten it later"
    return Harm(table, column, reason, remedy)


def may_be_null(table: str, column: str) -> Harm:
    """A column that the running release's models call nullable, made NOT NULL."""
    reason = f"the running release may write NULL to {table}.{column}, which would become NOT NULL"
    remedy = (
        "a release whose code always writes a value comes first (null=False with state_operations only),"
        " then tighten it (null=True with state_operations only, and the real null=False)"
    )
    return Harm(table, column, reason, remedy)


def narrowed(table: str, column: str, what: str) -> Harm:
    """A column that takes or holds less than what the running release may write or read."""
    remedy = "add a new column, fill it, use it from the next release on, and drop the old one after that"
    return Harm(
        table, column, f"{table}.{column}, which the running release uses, would change {what}", remedy
    )


def new_rule(table: str, rule: str) -> Harm:
    """A constraint that rows of the running release may violate."""
    remedy = "let the code keep the rule in this release and add the constraint in the next one"
    return Harm(table, None, f"what the running release writes to {table} may violate: {rule}", remedy)


def unclear(table: str | None, text: str) -> Harm:
    """What may or may not hurt."""
    remedy = "use Django's own operations, or say in the migration's rollout_override why it is safe"
    reason = f"it cannot be seen that the running release can live with: {shortened(text)}"
    return Harm(table, None, reason, remedy)


def harms_between(before: Schema, after: Schema, needs: Schema, renamed: bool) -> list[Harm]:
    """Differences of two schemas that hurt a release with these needs; a lost table hides what follows."""
    tables = sorted(needs.tables.keys() & before.tables.keys())
    if lost := [gone(table, None, renamed) for table in tables if table not in after.tables]:
        return lost
    return [harm for table in tables for harm in table_harms(table, before, after, needs, renamed)]


def table_harms(table: str, before: Schema, after: Schema, needs: Schema, renamed: bool) -> Iterator[Harm]:
    """What hurts in one table that is still there."""
    needed, old, new = needs.tables[table], before.tables[table], after.tables[table]
    if lost := [gone(table, column, renamed) for column in old if column in needed and column not in new]:
        yield from lost
        return
    for column, now in new.items():
        if old.get(column) != now:
            yield from column_harms(table, column, now, needed.get(column))
    known_rules = before.rules[table].keys() | needs.rules.get(table, {}).keys()
    for text, rule in after.rules[table].items():
        if text not in known_rules and rule["kind"] == "unclear":
            yield unclear(table, text)
        elif text not in known_rules and may_violate(rule, new, needed):
            yield new_rule(table, rule["name"] + text)


def column_harms(table: str, column: str, new: Column, needed: Column | None) -> Iterator[Harm]:
    """A changed or added column against what is needed of it (None: it is unknown)."""
    unfilled = not new["null"] and not new["db_default"]
    if needed is None:
        if unfilled:
            yield no_value(table, column)
        return
    if unfilled and not needed["sent"]:
        yield no_value(table, column)
    elif needed["null"] and not new["null"]:
        yield may_be_null(table, column)
    if not is_widened(needed, new):
        yield narrowed(table, column, f"from {described(needed)} to {described(new)}")


def is_widened(old: Column, new: Column) -> bool:
    """Whether each value of the old type is one of the new type, and reads back and compares as the same."""
    if old.get("collation") != new.get("collation"):
        return False
    if old["type"] in INTEGERS and new["type"] in INTEGERS:
        (low, high), (new_low, new_high) = INTEGERS[old["type"]], INTEGERS[new["type"]]
        return bool(new_low <= low and high <= new_high)
    if old["type"] == "CharField":
        if new["type"] == "TextField" or new.get("max_length", 0) is None:
            return True
        return bool(new["type"] == "CharField" and (old["max_length"] or sys.maxsize) <= new["max_length"])
    if old["type"] == new["type"] == "DecimalField":
        places = new["decimal_places"] - old["decimal_places"]
        return bool(0 <= places <= new["max_digits"] - old["max_digits"])
    return bool(old["type"] == new["type"])


def described(column: Column) -> str:
    """As in a model: CharField(50), DecimalField(8, 2); with a collation that is not the default one."""
    sizes = ", ".join(str(column[size]) for size in SIZES.get(column["type"], []))
    collation = f" collate {column['collation']}" if "collation" in column else ""
    return (f"{column['type']}({sizes})" if sizes else str(column["type"])) + collation


def may_violate(rule: Rule, table: dict[str, Column], needed: dict[str, Column]) -> bool:
    """A new constraint is harmless only on columns that the running release never writes: NULL in its rows.

    A default may break it: two rows with the same one collide, and it may name a row that does not exist.
    """
    columns = [table[column] for column in rule["columns"]]
    if rule["kind"] == "other" or any(column in needed for column in rule["columns"]):
        return True
    return any(not one["null"] or one["db_default"] for one in columns)


# --- Raw SQL: strict with what defines (only what is known to be harmless), lenient with data

NAME = r"[^\s(),]+"
DATA = re.compile(
    r"(select|insert|update|delete|replace|merge|with|values|call|truncate|copy|set|pragma|analyze|vacuum)\b"
)
SCHEMA_AS_DATA = (
    re.compile(  # SQLite's: the schema as text in a table; '' is a name in the quotes of a literal
        r"pragma ([^\s(=]+\.)?\"?(writable_schema\b|'')"
        r"|\b(update( or \w+)?|delete from|into) ([^\s(]+\.)?\"?(sqlite(_temp)?_(master|schema)\b|'')"
    )
)
ODD = '""'
QUOTED_NAME = re.compile(r"\b(table|exists|only|on|column|add|drop|rename) ([^\s(]+\.)?''")
HIDDEN = re.compile(r"\\'|/\*!")  # databases differ on where a literal or a comment ends
LITERAL = (
    r"(''|[-+]?[\d.]+(e[-+]?\d+)?|true|false|now \( \)|current_(timestamp|date|time)( \( \d+ \))?)( :: \w+)?"
)
DEFAULT = re.compile(rf"default {LITERAL}(?= (not null|null|collate|comment|after|first|on update)\b|$)")
NUMBERED = re.compile(r"\bgenerated (always|by default) as identity\b|(?<!\")\bauto_increment\b")
COMPUTED = re.compile(  # what may fail for some row: all but plain conditions, prefixes and changes of case
    r"(?<![\w$\".])(?!(lower|upper|include|where|and|or|not|in|with)\b)[\w$\".]+ \((?! \d+ \))"
    r"|[^\w\s(),.=<>'$\"]"
)
CREATED_ON = re.compile(rf"create (?:\w+ )*?(unique index|trigger|index)\b.*? on (?:only )?({NAME})(.*)")
HARMLESS = re.compile(
    r"(?!create or replace (temporary )?table)"
    r"create (or replace )?((temp|temporary|unlogged|virtual|materialized) )?"
    r"(table|view|sequence|schema|extension|function|procedure)\b"
    r"|(drop|alter) index\b|reindex\b|comment on\b|grant\b"
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
            if SCHEMA_AS_DATA.search(text) or HIDDEN.search(str(statement)):
                effect.schema += 1
                effect.harms.append(unclear(None, text))
            elif DATA.match(text):
                effect.data += 1
            elif text:
                effect.schema += 1
                effect.harms += statement_harms(text, needs)
    return effect


def normalised(statement: sqlparse.sql.Statement) -> str:
    """Lower-case words with one space between, without comments and literals' contents.

    Quoted names stand in double quotes, so that none reads as a keyword; ODD for one that is more than a word.
    """
    words = []
    for token in statement.flatten():
        kind, word = str(token.ttype), " ".join(token.value.split()).lower()
        if kind in {"Token.Literal", "Token.Literal.String.Single"}:
            words.append("''")
        elif len(word) > 1 and word[0] in '"`[':
            words.append(f'"{word[1:-1]}"' if re.fullmatch(r"[\w$]+", word[1:-1]) else ODD)
        elif word and not kind.startswith("Token.Comment"):
            words.append(word)
    text = re.sub(r"\[ ([\w$]+) \]", r'"\1"', " ".join(words).replace(" [ ]", ""))
    return re.sub(r" ?\. ?", ".", re.sub(r"""[\[\]`]|(?<!\S)"(?!\S)""", ODD, text)).rstrip(" ;")


def statement_harms(text: str, needs: Schema) -> Iterator[Harm]:
    """One statement that defines something."""
    tables = {bare(table): table for table in needs.tables}
    if QUOTED_NAME.search(text) or ODD in text:
        yield unclear(None, text)
    elif found := re.fullmatch(r"drop table (?:if exists )?(.+?)(?: cascade| restrict)?", text):
        yield from (gone(tables[bare(name)], None) for name in found[1].split(",") if bare(name) in tables)
    elif found := re.match(rf"(rename table|alter table) (?:if exists )?(?:only )?({NAME}) (.+)", text):
        if table := tables.get(bare(found[2])):
            needed = {name.lower(): column for name, column in needs.tables[table].items()}
            for action in split_actions(("rename " if found[1] == "rename table" else "") + found[3]):
                yield from action_harms(action, table, needed)
    elif found := CREATED_ON.match(text):
        table = tables.get(bare(found[2]))
        if table and found[1] != "index":
            yield new_rule(table, shortened(text))
        elif table and COMPUTED.search(found[3].partition("(")[2]):
            yield unclear(table, text)
    elif not HARMLESS.match(text):
        yield unclear(None, text)


def action_harms(action: str, table: str, needed: dict[str, Column]) -> Iterator[Harm]:
    """One action of ALTER TABLE on a table that the running release uses; `needed` by lower-case name."""
    if HARMLESS_ACTION.match(action):
        if action.startswith("add") and COMPUTED.search(action.partition("(")[2]):
            yield unclear(table, action)
    elif re.match(r"rename (to|as) ", action):
        yield gone(table, None, renamed=True)
    elif re.match(r"add (constraint|unique|check|primary|foreign|exclude)\b", action):
        yield new_rule(table, shortened(action))
    elif found := re.match(rf"(drop|rename) (?:column )?(?:if exists )?({NAME})", action):
        if bare(found[2]) in needed:
            yield gone(table, bare(found[2]), renamed=found[1] == "rename")
    elif found := re.match(rf"add (?:column )?(?:if not exists )?({NAME}) (.+)", action):
        yield from definition_harms(table, bare(found[1]), found[2])
    elif found := re.match(rf"(?:alter|modify|change) (?:column )?({NAME}) (.+)", action):
        yield from alteration_harms(table, bare(found[1]), found[2], needed.get(bare(found[1])))
    else:
        yield unclear(table, action)


def definition_harms(table: str, column: str, definition: str) -> Iterator[Harm]:
    """A column that the running release does not know, added or defined anew."""
    defaults = re.findall(r"(?<!set )\bdefault (?!as identity)(?!null\b)", definition)
    if re.search(r"\b(unique|check|primary key)\b", definition) or (
        defaults and " references " in definition
    ):
        yield new_rule(table, shortened(f"{column} {definition}"))
    if re.search(r"\bas \(", definition):
        yield unclear(table, f"{column} {definition}")
    filled = NUMBERED.search(definition) or (definition.count("default ") == 1 and DEFAULT.search(definition))
    if "not null" in definition and not filled:
        yield no_value(table, column)


def alteration_harms(table: str, column: str, change: str, needed: Column | None) -> Iterator[Harm]:
    """ALTER, MODIFY or CHANGE of one column. Types are not compared: each change of a used one counts."""
    if re.match(rf"drop not null|set {DEFAULT.pattern}", change):
        return
    tightens, empties = re.match(r"set not null", change), re.match(r"(drop|set) default", change)
    if needed is None:
        harms = [no_value(table, column)] if tightens or empties else []
        yield from harms or definition_harms(table, column, change)
    elif tightens:
        if needed["null"]:
            yield may_be_null(table, column)
    elif empties:
        if not (needed["sent"] or needed["null"]):
            yield no_value(table, column)
    else:
        yield narrowed(table, column, f"by SQL ({shortened(change)})")


def split_actions(text: str) -> list[str]:
    """The parts between commas outside of parentheses."""
    parts, depth = [""], 0
    for word in text.split():
        depth += (word == "(") - (word == ")")
        if word == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] = f"{parts[-1]} {word}".strip()
    return parts


def bare(name: str) -> str:
    """A table's name without schema, quotes and case."""
    return name.strip().rpartition(".")[2].strip('"').lower()


def shortened(text: str) -> str:
    """For a line that a person reads."""
    return text if len(text) <= 80 else f"{text[:77]}..."


# --- Replaying migrations

MODELS_ONLY = (operations.AlterModelOptions, operations.AlterModelManagers)


@dataclass
class Replay:
    """Follows the models' state from migration to migration, as `migrate` does, and judges on the way."""

    state: ProjectState
    needs: Schema
    connection: BaseDatabaseWrapper
    rollback: bool

    def operate(self, operation: Operation, app: str) -> Effect:
        """What the operation does to the database; moves the state on."""
        kind = type(operation).__name__
        if not is_djangos(operation):
            operation.state_forwards(app, self.state)
            return Effect([unclear(None, f"{kind}, an operation of its own kind")], schema=1)
        if isinstance(operation, operations.SeparateDatabaseAndState):
            aside = Replay(self.state.clone(), self.needs, self.connection, self.rollback)
            effects = [aside.operate(inner, app) for inner in operation.database_operations]
            operation.state_forwards(app, self.state)
            return total(effects)
        if isinstance(operation, (operations.RunSQL, operations.RunPython, *MODELS_ONLY)):
            operation.state_forwards(app, self.state)
            if isinstance(operation, operations.RunSQL):
                return sql_effect(operation.sql, self.needs)
            return Effect([], data=int(isinstance(operation, operations.RunPython)))
        before = schema_of(self.state.apps, self.connection)
        operation.state_forwards(app, self.state)
        after = schema_of(self.state.apps, self.connection)
        renamed = kind.startswith("Rename") or kind == "AlterModelTable"
        changes = before != after or "Index" in kind or "Constraint" in kind
        return Effect(harms_between(before, after, self.needs, renamed), schema=int(changes))

    def judge(self, migration: Migration) -> list[dict[str, Any]]:
        """Each thing in a migration that a release with these needs cannot live with."""
        effects: list[Effect] = []
        found: list[tuple[str, Harm]] = []
        if any(
            getattr(type(migration), name) is not getattr(Migration, name) for name in ("apply", "unapply")
        ):
            found.append(("the whole migration", unclear(None, "an apply or unapply of its own")))
        for operation in migration.operations:
            try:
                effects.append(self.operate(operation, migration.app_label))
            except Exception as error:
                raise ValueError(f"{label(migration)}: {operation.describe()}: {error!r}") from error
            found += [(operation.describe(), harm) for harm in effects[-1].harms]
        whole = total(effects)
        in_transaction = migration.atomic and self.connection.features.can_rollback_ddl
        if not (self.rollback or in_transaction) and whole.schema and whole.schema + whole.data > 1:
            reason = "no transaction covers it, so that a failure in the middle leaves it half done"
            remedy = "one schema operation in a migration, and data in another"
            found.append(("the whole migration", Harm(None, None, reason, remedy)))
        return [self.entry(migration, text, harm) for text, harm in found]

    def entry(self, migration: Migration, operation: str, harm: Harm) -> dict[str, Any]:
        """As it is printed."""
        if self.rollback:
            harm.reason = harm.reason.replace("the running release", "the older release")
            harm.remedy = "go forward instead: mend it in a new release"
        line = f"{label(migration)}: {operation}: {harm.reason}. Way out: {harm.remedy}."
        return {"migration": label(migration), "operation": operation, **asdict(harm), "line": line}


def is_djangos(operation: Operation) -> bool:
    """Whether what it does to the database is Django's code: its class may be derived, but not do that itself."""
    author = next(base for base in type(operation).__mro__ if "database_forwards" in vars(base))
    return author is not Operation and author.__module__.startswith("django.")


def total(effects: list[Effect]) -> Effect:
    """Several operations as one."""
    harms = [harm for effect in effects for harm in effect.harms]
    return Effect(harms, sum(effect.schema for effect in effects), sum(effect.data for effect in effects))


def label(migration: Migration) -> str:
    """As people write it."""
    return f"{migration.app_label}.{migration.name}"


def override_of(migration: Migration) -> str:
    """Why a person says that the running release can live with it, or ''.

    `rollout_override` in the migration; for a package's migration ROLLOUT_OVERRIDES in the settings.
    """
    in_settings = getattr(settings, "ROLLOUT_OVERRIDES", {}).get(label(migration), "")
    return str(getattr(migration, "rollout_override", in_settings)).strip()


# --- Commands

Nodes = set[tuple[str, ...]]
"""Migrations, each as app and name."""


def load(database: str) -> MigrationLoader:
    """Migrations of this release, and those that are applied. Looking does not create a SQLite file."""
    connection = connections[database]
    name = str(connection.settings_dict["NAME"])
    in_file = connection.vendor == "sqlite" and ":memory:" not in name and not name.startswith("file:")
    if in_file and not Path(name).exists():
        return MigrationLoader(None)
    loader = MigrationLoader(connection)
    loader.check_consistent_history(connection)
    return loader


def is_own(app: str) -> bool:
    """Whether the project can mend this app's migrations: it is not one of an installed package."""
    return not {"site-packages", "dist-packages"} & set(Path(real_apps.get_app_config(app).path).parts)


def problems_of(loader: MigrationLoader) -> dict[str, Any]:
    """Model changes without a migration, and apps whose migrations have two ends after a merge."""
    models_now = ProjectState.from_apps(real_apps)
    detector = MigrationAutodetector(loader.project_state(), models_now, MigrationQuestioner())
    changes, conflicts = [], []
    for app, missing in sorted(detector.changes(graph=loader.graph).items()):
        if is_own(app):
            what = [operation.describe() for migration in missing for operation in migration.operations]
            remedy = f"python manage.py makemigrations {app}"
            line = f"{app}: model changes without a migration ({'; '.join(what)}). Way out: {remedy}"
            changes.append({"app": app, "operations": what, "remedy": remedy, "line": line})
    for app, names in sorted(loader.detect_conflicts().items()):
        remedy = "python manage.py makemigrations --merge"
        line = f"{app}: more than one last migration ({', '.join(sorted(names))}). Way out: {remedy}"
        conflicts.append({"app": app, "leaves": sorted(names), "remedy": remedy, "line": line})
    return {"model_changes": changes, "conflicts": conflicts}


def known_to(loader: MigrationLoader) -> Nodes:
    """This release's migrations, and those that its squashes replace."""
    known: Nodes = set()
    for node, migration in loader.disk_migrations.items():
        known |= {node, *map(tuple, migration.replaces)}
    return known


def needs(options: argparse.Namespace) -> dict[str, Any]:
    """What this release knows (its migrations, squashed ones too) and needs (its models' tables)."""
    schema = schema_of(real_apps, connections[options.database], of_code=True)
    return {"migrations": sorted(known_to(MigrationLoader(None))), **asdict(schema)}


def problems(options: argparse.Namespace) -> dict[str, Any]:
    """What can be said without a database."""
    return problems_of(MigrationLoader(None))


def found(loader: MigrationLoader) -> tuple[Nodes, Nodes]:
    """The migrations that are applied, squashes of such ones too, and those that the database itself recorded."""
    recorded = MigrationRecorder(loader.connection).applied_migrations() if loader.connection else {}
    return set(loader.applied_migrations), set(recorded)


def assumed(loader: MigrationLoader, known: Nodes) -> tuple[Nodes, Nodes]:
    """The same of a database in which all that is known is applied, and a squash recorded."""
    migrations = loader.disk_migrations.items()
    squashes = {node for node, each in migrations if each.replaces and known.issuperset(each.replaces)}
    return known | squashes, known | squashes


def judge(options: argparse.Namespace) -> dict[str, Any]:
    """Pending migrations against the running release's needs; without needs there is nobody to hurt.

    `unknown` are the applied ones that this release does not know, as "app.name": of a newer or another release.
    For a rollback: the applied migrations that the older release does not know, against that release's needs.
    There an override does not count: it speaks of the release that was running then.
    Where no database is to be asked (`known`), what the release with these needs knows counts as applied.
    """
    given: dict[str, Any] = {"migrations": [], "tables": {}, "rules": {}}
    if options.needs:
        given = json.loads(options.needs.read_text())
        if not {"migrations", "tables", "rules"} <= set(given):
            raise ValueError(f"{options.needs} is not what `needs` prints")
    known = {tuple(node) for node in given["migrations"]}
    loader = MigrationLoader(None) if options.known else load(options.database)
    present, recorded = assumed(loader, known) if options.known else found(loader)
    state = ProjectState(real_apps=loader.unmigrated_apps)
    schema = Schema(given["tables"], given["rules"])
    replay = Replay(state, schema, connections[options.database], options.rollback)
    answer: dict[str, Any] = {"pending": [], "past": [], "refused": [], "overridden": []}
    if not options.rollback:
        answer["vendor"] = connections[options.database].vendor
        answer["unknown"] = sorted(map(".".join, present - known_to(loader)))
    plan = [node for leaf in loader.graph.leaf_nodes() for node in loader.graph.forwards_plan(leaf)]
    for node in dict.fromkeys(plan):
        migration = loader.graph.nodes[node]
        applied, replaced = node in present, set(map(tuple, migration.replaces))
        if applied and not options.rollback and node not in recorded:  # a squash: `migrate` records it
            answer["pending"].append(node)
        if applied and (not options.rollback or node in known or (replaced and replaced <= known)):
            migration.mutate_state(state, preserve=False)
        elif applied or not options.rollback:
            answer["past" if options.rollback else "pending"].append(node)
            entries = replay.judge(migration) if options.needs else []
            if options.rollback and replaced & known:
                entries = [
                    replay.entry(migration, "the whole migration", unclear(None, "a squash of known ones"))
                ]
            if (reason := override_of(migration)) and not options.rollback:
                answer["overridden"] += [{**entry, "override": reason} for entry in entries]
            else:
                answer["refused"] += entries
    return answer | ({"model_changes": [], "conflicts": []} if options.rollback else problems_of(loader))


def main() -> int:
    """Parse, set Django up, print the answer. What the project prints while it is loaded goes to stderr."""
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
        "--rollback", action="store_true", help="applied migrations that the needs do not know"
    )
    judging.add_argument(
        "--known", action="store_true", help="ask no database: what the needs know counts as applied"
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
