"""Pages for what is not there and for what failed; problem details (RFC 9457) below /api."""

import sys

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views import defaults

from marefia import away


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 404 in the form that the client reads."""
    if request.path.startswith("/api/"):
        problem = {"type": "about:blank", "title": "Not Found", "status": 404}
        return JsonResponse(problem, status=404, content_type="application/problem+json")
    return defaults.page_not_found(request, exception)


def failed(request: HttpRequest) -> HttpResponse:
    """Answer 503 when the database was away outside of a view (in a session, say), else 500."""
    error = sys.exc_info()[1]
    if isinstance(error, away.ERRORS):
        return away.refuse(error)
    if request.path.startswith("/api/"):
        problem = {"type": "about:blank", "title": "Internal Server Error", "status": 500}
        return JsonResponse(problem, status=500, content_type="application/problem+json")
    return defaults.server_error(request)
