"""The sandbox as a Django application."""

from django.apps import AppConfig


class SandboxConfig(AppConfig):
    """Chapa, played."""

    name = "marefia.sandbox"

    def ready(self) -> None:
        """Register what the worker does."""
        from marefia.sandbox import deliveries  # noqa: F401
