"""Stays as a Django application."""

from django.apps import AppConfig


class StaysConfig(AppConfig):
    """Listings, bookings, reviews."""

    name = "marefia.stays"

    def ready(self) -> None:
        """Register the outbox's handlers."""
        from marefia.stays import work  # noqa: F401
