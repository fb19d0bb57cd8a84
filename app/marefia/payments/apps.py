"""Payments as a Django application."""

from django.apps import AppConfig


class PaymentsConfig(AppConfig):
    """What guests pay."""

    name = "marefia.payments"

    def ready(self) -> None:
        """Register what the worker does, and listen to what becomes of bookings."""
        from marefia.payments import inbox, ledger, work  # noqa: F401
