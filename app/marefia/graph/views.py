"""`/graphql`, as https://graphql.github.io/graphql-over-http/draft/ has it.

Stricter in one point: a request that is not valid is a 400 also for who accepts `application/json` only.
"""

from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest
from rest_framework import exceptions, status
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.permissions import AllowAny
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils import json
from rest_framework.views import APIView

from marefia import away
from marefia.graph import limits
from marefia.graph.context import Context
from marefia.graph.errors import formatted
from marefia.graph.execution import Asked, RefusedError, WritesError, run
from marefia.parsers import JSONParser


class ResultRenderer(JSONRenderer):
    """JSON whose sender is known to speak GraphQL."""

    media_type = "application/graphql-response+json"
    charset = "utf-8"


class Negotiation(DefaultContentNegotiation):
    """By the client's preference (`q`), which DRF's own does not look at."""

    def select_renderer(self, request: Request, renderers: Any, format_suffix: Any = None) -> Any:
        """Return renderer and media type; raise NotAcceptable."""
        by_type = {renderer.media_type: renderer for renderer in renderers}
        preferred = request._request.get_preferred_type(list(by_type))
        if preferred is None:
            raise exceptions.NotAcceptable
        return by_type[preferred], preferred


class GraphQLView(APIView):
    """Queries by GET or POST, mutations by POST; logged in by token, or by session and CSRF token."""

    schema = None  # OpenAPI has no words for it
    permission_classes = [AllowAny]
    parser_classes = [JSONParser]
    renderer_classes = [ResultRenderer, JSONRenderer]
    content_negotiation_class = Negotiation

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        """Read it as UTF-8, whatever charset it claims."""
        request.encoding = "utf-8"
        return super().initialize_request(request, *args, **kwargs)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Refuse a body that is too large before a byte of it is read; none is longer than its Content-Length."""
        length = request.META.get("CONTENT_LENGTH") or "0"
        if length.isdecimal() and int(length) > limits.BODY:
            raise RequestDataTooBig
        super().initial(request, *args, **kwargs)

    def get(self, request: Request) -> Response:
        """Answer a query in the URL."""
        parameters: dict[str, Any] = request.query_params.dict()
        for name in ("variables", "extensions"):
            parameters[name] = _from_json(parameters.get(name) or "null")
        parameters["operationName"] = parameters.get("operationName") or None
        return self._answer(request, parameters, may_write=False)

    def post(self, request: Request) -> Response:
        """Answer a query or do what a mutation says."""
        return self._answer(request, request.data, may_write=True)

    def _answer(self, request: Request, parameters: Any, *, may_write: bool) -> Response:
        context = Context(request.user, request.build_absolute_uri("/")[:-1])
        try:
            return Response(run(_asked(parameters), context, may_write=may_write))
        except RefusedError as error:
            errors = [formatted(each) for each in error.errors]
            return Response({"errors": errors}, status=status.HTTP_400_BAD_REQUEST)
        except WritesError as error:
            self.headers["Allow"] = "POST"
            raise exceptions.MethodNotAllowed("GET", "A mutation takes a POST.") from error

    def get_exception_handler(self) -> Any:
        """Say what went wrong as GraphQL does."""
        return _refused


def _from_json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise exceptions.ParseError("`variables` and `extensions` are JSON.") from error


def _asked(parameters: Any) -> Asked:
    """Return the parameters; raise ParseError for those of wrong types. Several requests in one are none."""
    if not isinstance(parameters, dict):
        raise exceptions.ParseError("A request is one JSON object.")
    query, name, variables, extensions = (
        parameters.get(each) for each in ("query", "operationName", "variables", "extensions")
    )
    right = {
        "`query` has to be a string.": isinstance(query, str),
        "`operationName` has to be a string.": isinstance(name, str | None),
        "`variables` has to be an object.": isinstance(variables, dict | None),
        "`extensions` has to be an object.": isinstance(extensions, dict | None),
    }
    for rule, kept in right.items():
        if not kept:
            raise exceptions.ParseError(rule)
    if fault := limits.fault_of([query, name, variables]):
        raise exceptions.ParseError(fault)
    return Asked(str(query), variables or {}, name)


def _refused(error: Exception, _context: dict[str, Any]) -> Response | None:
    """Return the response to what prevents an execution, or None for what is a fault of ours."""
    if isinstance(error, away.ERRORS):
        away.note(error)
        return _said(503, away.SORRY, away.RETRY_AFTER)
    if isinstance(error, RequestDataTooBig):
        return _said(413, f"The body is larger than {limits.BODY} bytes.")
    if not isinstance(error, exceptions.APIException):
        return None
    headers = {"WWW-Authenticate": str(error.auth_header)} if hasattr(error, "auth_header") else {}
    return _said(error.status_code, str(error.detail), headers)


def _said(code: int, message: str, headers: dict[str, str] | None = None) -> Response:
    return Response({"errors": [{"message": message}]}, status=code, headers=headers)
