"""Errors as problem details (RFC 9457)."""

from http import HTTPStatus
from typing import Any

from django.core.exceptions import RequestDataTooBig
from rest_framework import status
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response
from rest_framework.views import exception_handler

from marefia import away

CONTENT_TYPE = "application/problem+json"


class Conflict(APIException):
    """409: the request is well-formed, but what it asks for is taken."""

    status_code = status.HTTP_409_CONFLICT
    default_detail = "Conflict."


def handle(error: Exception, context: dict[str, Any]) -> Response | None:
    """Return the response to an exception of a view, or None for what is a fault of ours."""
    request = context["request"]  # also where a view renders something else, or nothing was acceptable
    request.accepted_renderer, request.accepted_media_type = JSONRenderer(), JSONRenderer.media_type
    if isinstance(error, away.ERRORS):
        away.note(error)
        return _problem(503, {"detail": away.SORRY}, away.RETRY_AFTER)
    if isinstance(error, RequestDataTooBig):  # to Django a suspicion, answered with a page
        return _problem(413, {"detail": "The body is too large."}, {})
    response = exception_handler(error, context)
    if response is None:
        return None
    if isinstance(error, ValidationError):
        body = {"detail": "The input is not valid.", "errors": response.data}
    else:
        body = {"detail": response.data.get("detail", "")}
    headers = {
        key: value for key, value in response.headers.items() if key in {"WWW-Authenticate", "Retry-After"}
    }
    return _problem(response.status_code, body, headers)


def _problem(code: int, body: dict[str, Any], headers: dict[str, str]) -> Response:
    problem = {"type": "about:blank", "title": HTTPStatus(code).phrase, "status": code, **body}
    return Response(problem, status=code, headers=headers, content_type=CONTENT_TYPE)
