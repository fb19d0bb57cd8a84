"""One GraphQL request, from its text to its result."""

from dataclasses import dataclass
from inspect import isawaitable
from typing import Any

import structlog
from asgiref.sync import async_to_sync
from graphql import (
    DocumentNode,
    ExecutionResult,
    FragmentDefinitionNode,
    GraphQLError,
    OperationDefinitionNode,
    OperationType,
    execute,
    get_operation_ast,
    get_variable_values,
    parse,
    specified_rules,
    validate,
)
from graphql.execution.collect_fields import collect_fields

from marefia import away
from marefia.graph import limits
from marefia.graph.context import Context
from marefia.graph.errors import formatted
from marefia.graph.schema import schema

GRAPH = schema.graphql_schema
MOST_ERRORS = 10
log = structlog.stdlib.get_logger(__name__)


class RefusedError(Exception):
    """The request is not executed; `errors` say why."""

    def __init__(self, *errors: GraphQLError) -> None:
        super().__init__("; ".join(error.message for error in errors))
        self.errors = errors


class WritesError(Exception):
    """A mutation where only reading is allowed."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The parameters of a request, of the right types."""

    query: str
    variables: dict[str, Any]
    operation_name: str | None


def run(asked: Asked, context: Context, *, may_write: bool) -> dict[str, Any]:
    """Return the response's content.

    Raise RefusedError, WritesError, or what says that the database is away (marefia/away.py).
    """
    document = _checked(asked, may_write=may_write)
    result = async_to_sync(_execute)(document, asked, context)
    content: dict[str, Any] = {"data": result.data}
    if result.errors:
        content["errors"] = _masked(result.errors)
    return content


def _checked(asked: Asked, *, may_write: bool) -> DocumentNode:
    """Return the parsed document, when all of it is right and within the limits."""
    try:
        document = parse(
            asked.query,
            max_lexical_tokens=limits.TOKENS,
            max_comments=limits.COMMENTS,
            max_source_length=limits.LENGTH,
        )
    except GraphQLError as error:
        raise RefusedError(error) from error
    hide = limits.is_closed()
    # What multiplies work first: the rules of the specification are quadratic in places.
    for rules in (limits.rules(), specified_rules):
        if errors := validate(GRAPH, document, rules, MOST_ERRORS, hide_suggestions=hide):
            raise RefusedError(*errors)
    operation = get_operation_ast(document, asked.operation_name)
    if operation is None:
        raise RefusedError(GraphQLError("Which operation? `operationName` has to name one of the document."))
    if operation.operation is not OperationType.QUERY and not may_write:
        raise WritesError
    _measure(document, operation, asked.variables)
    return document


def _measure(document: DocumentNode, operation: OperationDefinitionNode, given: dict[str, Any]) -> None:
    variables = get_variable_values(
        GRAPH,
        operation.variable_definitions or (),
        given,
        max_errors=MOST_ERRORS,
        hide_suggestions=limits.is_closed(),
    )
    if isinstance(variables, list):
        raise RefusedError(*variables)
    fragments = {
        each.name.value: each for each in document.definitions if isinstance(each, FragmentDefinitionNode)
    }
    root = GRAPH.get_root_type(operation.operation)
    if root is None:
        raise RefusedError(GraphQLError(f"There is no {operation.operation.value}."))
    try:
        fields = collect_fields(GRAPH, fragments, variables, root, operation.selection_set)
        limits.Measure(GRAPH, fragments, variables).add(root, fields)
    except GraphQLError as error:
        raise RefusedError(error) from error


async def _execute(document: DocumentNode, asked: Asked, context: Context) -> ExecutionResult:
    result = execute(
        GRAPH,
        document,
        context_value=context,
        variable_values=asked.variables,
        operation_name=asked.operation_name,
    )
    return await result if isawaitable(result) else result


def _masked(errors: list[GraphQLError]) -> list[dict[str, object]]:
    """Return the errors without what is nobody's business: a fault of ours is logged, and no more said of it."""
    faults: dict[int, Exception] = {}
    shown = []
    for error in errors:
        cause = error.original_error
        if cause is None or isinstance(cause, GraphQLError):
            shown.append(formatted(error))
            continue
        if isinstance(cause, away.ERRORS):
            raise cause
        faults[id(cause)] = cause
        shown.append(
            {**error.formatted, "message": "Internal error.", "extensions": {"code": "INTERNAL_ERROR"}}
        )
    for fault in faults.values():
        log.error("graphql_failed", exc_info=fault)
    return shown
