"""What every request passes: an id, a log line, two metrics, a clear answer when the database is away."""

import re
from time import perf_counter

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django_structlog.middlewares import RequestMiddleware

from marefia import away
from marefia.ops import metrics

REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{7,63}")
QUIET = frozenset({"/livez", "/readyz", "/metrics"})  # asked every few seconds by machines


class ObserveMiddleware(RequestMiddleware):
    """django-structlog's request context, with one line a request and without what must not be logged."""

    def __call__(self, request: HttpRequest) -> HttpResponseBase:  # type: ignore[override]  # this service is WSGI only
        if request.path in QUIET:
            return self.get_response(request)  # type: ignore[return-value]
        started = perf_counter()
        request_id = request.META.get("HTTP_X_REQUEST_ID", "")
        if not REQUEST_ID.fullmatch(request_id):
            request.META.pop("HTTP_X_REQUEST_ID", None)
        self.prepare(request)
        request_id = structlog.contextvars.get_contextvars()["request_id"]
        response: HttpResponseBase = self.get_response(request)  # type: ignore[assignment]
        seconds = perf_counter() - started
        structlog.contextvars.bind_contextvars(milliseconds=round(seconds * 1000, 1))
        response.headers["X-Request-ID"] = request_id
        self.handle_response(request, response)  # type: ignore[arg-type]
        metrics.count(view_name(request), method_name(request), response.status_code, seconds)
        return response

    @staticmethod
    def format_request(request: HttpRequest) -> str:
        """Say which request it is, without its query and without the token of a password reset."""
        path = re.sub(r"^(/accounts/reset/).*", r"\1...", request.path)
        return f"{request.method} {path}"


class ContentSecurityPolicyMiddleware:
    """Tell browsers what a page may load: settings.SECURE_CSP, in the form and by the name of Django 6.0's own."""

    def __init__(self, get_response):  # type: ignore[no-untyped-def]
        self.get_response = get_response
        self.policy = "; ".join(f"{name} {' '.join(where)}" for name, where in settings.SECURE_CSP.items())

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response: HttpResponseBase = self.get_response(request)
        response.headers["Content-Security-Policy"] = self.policy
        return response


class DatabaseAwayMiddleware:
    """Answer 503 to a request that needed a database that is away: the others, and readiness, go on."""

    def __init__(self, get_response):  # type: ignore[no-untyped-def]
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response: HttpResponseBase = self.get_response(request)
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Take over from Django's page for a failure, for this one failure."""
        return away.refuse(exception) if isinstance(exception, away.ERRORS) else None


def view_name(request: HttpRequest) -> str:
    """Return the URL pattern's name: few values, whatever clients ask for."""
    match = request.resolver_match
    return (match.view_name if match else "") or "none"


def method_name(request: HttpRequest) -> str:
    """Return the method, those that nobody needs as one."""
    return request.method if request.method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} else "other"
