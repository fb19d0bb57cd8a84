"""Pages for what is not there and for what failed; problem details (RFC 9457) below /api."""

import sys
from http import HTTPStatus

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views import defaults

from marefia import away


def refused(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 400 to what Django refuses before any view sees it (an unknown host, say)."""
    return _problem(400) if _is_api(request) else defaults.bad_request(request, exception)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 404 in the form that the client reads."""
    return _problem(404) if _is_api(request) else defaults.page_not_found(request, exception)


def failed(request: HttpRequest) -> HttpResponse:
    """Answer 503 when the database was away outside of a view (in a session, say), else 500."""
    error = sys.exc_info()[1]
    if isinstance(error, away.ERRORS):
        return away.refuse(error)
    return _problem(500) if _is_api(request) else defaults.server_error(request)


def _is_api(request: HttpRequest) -> bool:
    return request.path.startswith("/api/")


def _problem(code: int) -> HttpResponse:
    problem = {"type": "about:blank", "title": HTTPStatus(code).phrase, "status": code}
    return JsonResponse(problem, status=code, content_type="application/problem+json")
