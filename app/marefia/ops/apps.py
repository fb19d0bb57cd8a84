"""Operations as a Django application."""

from django.apps import AppConfig


class OpsConfig(AppConfig):
    """What whoever runs the service needs."""

    name = "marefia.ops"

    def ready(self) -> None:
        """Register the outbox's handlers."""
        from marefia.ops import work  # noqa: F401
