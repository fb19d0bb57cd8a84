"""The API as a Django application."""

from django.apps import AppConfig


class ApiConfig(AppConfig):
    """REST."""

    name = "marefia.api"

    def ready(self) -> None:
        """Tell the schema of our authentication, and the clean-up of our keys."""
        from marefia.api import schema, work  # noqa: F401
