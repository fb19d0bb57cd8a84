"""A database that is away: counted, logged, and said with 503 and Retry-After to whoever needed it."""

import structlog
from django.db import InterfaceError, OperationalError
from django.http import HttpResponse
from prometheus_client import Counter

ERRORS = (OperationalError, InterfaceError)
RETRY_AFTER = {"Retry-After": "5"}  # seconds
SORRY = "The database does not answer. Try again soon."
REFUSED = Counter("marefia_database_away_total", "Requests refused because the database did not answer.")


def note(error: BaseException) -> None:
    """Count and log one refused request."""
    REFUSED.inc()
    structlog.stdlib.get_logger(__name__).error("database_away", reason=str(error))


def refuse(error: BaseException) -> HttpResponse:
    """Return the answer for a page."""
    note(error)
    return HttpResponse(f"{SORRY}\n", "text/plain", status=503, headers=RETRY_AFTER)
