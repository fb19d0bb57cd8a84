"""What one request may ask for, found out before anything is executed."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from graphene import relay
from graphql import (
    DirectiveNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLField,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    Node,
    NoSchemaIntrospectionCustomRule,
    StringValueNode,
    ValidationRule,
    get_argument_values,
    get_named_type,
    is_abstract_type,
    is_composite_type,
    is_list_type,
    is_object_type,
)
from graphql.execution.collect_fields import collect_sub_fields

from marefia.graph import pages

BODY = 1_000_000  # bytes
LENGTH, TOKENS, COMMENTS = 10_000, 1_000, 100  # of a document; its length in characters
ALIASES, DIRECTIVES, DEFINITIONS = 30, 20, 30
VALUES = 1_000  # in variables
DEPTH = 10  # levels of objects
ROWS = 2_000  # that all pages, inside of one another, may hold
LIST = 10  # rows that a list without pages is taken for
WRITE = 100  # rows that a mutation is taken for
NO_TEXT = re.compile("[\0\ud800-\udfff]")  # what no database stores and no UTF-8 says
OF_A_PAGE = ("Connection", "Edge", "PageInfo")


def rules() -> list[type[ValidationRule]]:
    """Return what is checked besides the rules of the specification."""
    return [Counts, Text, *([NoSchemaIntrospectionCustomRule] if is_closed() else [])]


def is_closed() -> bool:
    """Whether the schema is told to nobody, not even by a hint at a name."""
    return bool(settings.ENV.name == "production")


def fault_of(values: Any) -> str | None:
    """Return what is wrong with parsed JSON, wherever in it: too much, or a string that is no text."""
    waiting, seen = [values], 0
    while waiting:
        one = waiting.pop()
        seen += 1
        if isinstance(one, dict):
            waiting += [*one, *one.values()]
        elif isinstance(one, list):
            waiting += one
        elif isinstance(one, str) and NO_TEXT.search(one):
            return "There is a string that is no text."
        if seen + len(waiting) > VALUES:
            return f"There are more than {VALUES} values."
    return None


class Counts(ValidationRule):
    """Not too many of what multiplies work."""

    def __init__(self, context: Any) -> None:
        super().__init__(context)
        self.seen: Counter[str] = Counter()

    def enter_field(self, node: FieldNode, *_: Any) -> None:
        """Count aliases."""
        if node.alias:
            self._count("aliases", ALIASES, node)

    def enter_directive(self, node: DirectiveNode, *_: Any) -> None:
        """Count directives."""
        self._count("directives", DIRECTIVES, node)

    def enter_operation_definition(self, node: Node, *_: Any) -> None:
        """Count operations."""
        self._count("definitions", DEFINITIONS, node)

    def enter_fragment_definition(self, node: Node, *_: Any) -> None:
        """Count fragments."""
        self._count("definitions", DEFINITIONS, node)

    def _count(self, what: str, most: int, node: Node) -> None:
        self.seen[what] += 1
        if self.seen[what] == most + 1:
            self.report_error(GraphQLError(f"There are more than {most} {what}.", node))


class Text(ValidationRule):
    """Strings are text, also those that are written with escapes."""

    def enter_string_value(self, node: StringValueNode, *_: Any) -> None:
        """Look at one."""
        if NO_TEXT.search(node.value):
            self.report_error(GraphQLError("There is a string that is no text.", node))


@dataclass
class Measure:
    """How deep an operation goes, and how many rows it may ask for at most."""

    schema: GraphQLSchema
    fragments: dict[str, FragmentDefinitionNode]
    variables: dict[str, Any]
    rows: int = 0

    def add(
        self, type_: GraphQLObjectType, fields: dict[str, list[FieldNode]], times: int = 1, depth: int = 1
    ) -> None:
        """Add the fields of an object that is there so many times; raise GraphQLError when it is too much."""
        names: Counter[str] = Counter()
        for nodes in fields.values():
            field = type_.fields.get(nodes[0].name.value)  # not there: introspection, which has its own limit
            if field is None:
                continue
            if is_composite_type(get_named_type(field.type)):
                self._add_object(type_, field, nodes, times, depth)
            else:
                names[nodes[0].name.value] += 1
        if names:
            self._count(times * (max(names.values()) - 1), next(iter(fields.values())))

    def _add_object(
        self, type_: GraphQLObjectType, field: GraphQLField, nodes: list[FieldNode], times: int, depth: int
    ) -> None:
        if depth > DEPTH:
            raise GraphQLError(f"This goes deeper than {DEPTH} levels.", nodes)
        each = self._rows(type_, field, nodes[0])
        self._count(times * (WRITE if type_ is self.schema.mutation_type else each), nodes)
        for possible in self._possible(get_named_type(field.type)):
            inner = collect_sub_fields(self.schema, self.fragments, self.variables, possible, nodes)
            self.add(possible, inner, times * max(each, 1), depth + 1)

    def _count(self, rows: int, nodes: list[FieldNode]) -> None:
        self.rows += rows
        if self.rows > ROWS:
            raise GraphQLError(
                f"This asks for more than {ROWS} rows. Pages inside of pages multiply, each counts as full, and"
                " a value under several names as several rows. Ask for less by `first`.",
                nodes,
            )

    def _rows(self, type_: GraphQLObjectType, field: GraphQLField, node: FieldNode) -> int:
        if type_.name.endswith(OF_A_PAGE):
            return 0
        graphene_type = getattr(get_named_type(field.type), "graphene_type", None)
        if isinstance(graphene_type, type) and issubclass(graphene_type, relay.Connection):
            return pages.size(**get_argument_values(field, node, self.variables))
        list_of = field.type.of_type if isinstance(field.type, GraphQLNonNull) else field.type
        return LIST if is_list_type(list_of) else 1

    def _possible(self, type_: Any) -> Iterable[GraphQLObjectType]:
        if is_abstract_type(type_):
            return self.schema.get_possible_types(type_)
        return [type_] if is_object_type(type_) else []
