"""Health, version, metrics, and static files of neighbouring releases."""

from django.urls import path

from marefia.ops import health, metrics, static

urlpatterns = [
    path("livez", health.livez, name="livez"),
    path("readyz", health.readyz, name="readyz"),
    path("version", health.version, name="version"),
    path("metrics", metrics.page, name="metrics"),
    path("static/<path:path>", static.shared, name="static"),
]
