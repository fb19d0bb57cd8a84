"""The outbox as a Django application."""

from django.apps import AppConfig


class OutboxConfig(AppConfig):
    """At the very bottom: imports no other part."""

    name = "marefia.outbox"

    def ready(self) -> None:
        """Register the handler of mail."""
        from marefia.outbox import mail  # noqa: F401
