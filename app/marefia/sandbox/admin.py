"""The sandbox in the admin: what it was asked for, and how it is to fail."""
# mypy: disable-error-code="type-arg"
# These classes are generic in the stubs only.

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest

from marefia.sandbox.models import Fault, Transaction


class OnlyHere(admin.ModelAdmin):
    """Nothing of the sandbox is there where the service has the real Chapa."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return settings.SANDBOX and super().has_module_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return settings.SANDBOX and super().has_view_permission(request, obj)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return settings.SANDBOX and super().has_add_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return settings.SANDBOX and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return settings.SANDBOX and super().has_delete_permission(request, obj)


@admin.register(Transaction)
class TransactionAdmin(OnlyHere):
    """Transactions, which their own page ends."""

    list_display = ["tx_ref", "reference", "amount", "currency", "status", "created_at"]
    list_filter = ["status"]
    search_fields = ["tx_ref", "reference"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """A merchant asks for them."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Transaction | None = None) -> bool:
        """See above."""
        return False


@admin.register(Fault)
class FaultAdmin(OnlyHere):
    """What the next calls meet."""

    list_display = ["kind", "left", "seconds"]
