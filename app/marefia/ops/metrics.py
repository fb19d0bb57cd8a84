"""What is measured, and the page that shows it: summed over gunicorn's workers when there are several."""

import os
from pathlib import Path
from typing import Any

import structlog
from django.http import HttpRequest, HttpResponse
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

log = structlog.stdlib.get_logger(__name__)
REQUESTS = Counter("marefia_requests_total", "Answered requests.", ["view", "method", "status"])
SECONDS = Histogram(
    "marefia_request_seconds",
    "Seconds from a request to its response, all middleware included.",
    ["view"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)


def open_files() -> None:
    """Open this process's files now: a later first count fails once its folder has gone to another master."""
    REQUESTS.labels("none", "GET", 200)
    SECONDS.labels("none")


def count(view: str, method: str, status: int, seconds: float) -> None:
    """Count a request. One that cannot be counted (no room, no folder) was answered all the same."""
    try:
        REQUESTS.labels(view, method, status).inc()
        SECONDS.labels(view).observe(seconds)
    except OSError as error:
        log.warning("request_not_counted", reason=str(error))


class Collector(MultiProcessCollector):
    """Sums what the workers' files say. One that boots has an empty file for a moment: it has counted nothing yet."""

    def collect(self) -> Any:
        written = [str(file) for file in Path(self._path).glob("*.db") if file.stat().st_size]
        return self.merge(written, accumulate=True)  # type: ignore[no-untyped-call]


def page(request: HttpRequest) -> HttpResponse:
    """`GET /metrics`, in Prometheus's text format."""
    registry = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        Collector(registry)  # type: ignore[no-untyped-call]
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
