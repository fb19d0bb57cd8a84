"""The sandbox in the admin: what it was asked for, and how it is to fail."""
# mypy: disable-error-code="type-arg"
# These classes are generic in the stubs only.

from django.contrib import admin
from django.http import HttpRequest

from marefia.sandbox.models import Fault, Transaction


@admin.register(Transaction)
class TransactionAdmin(admin.ModelAdmin):
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
class FaultAdmin(admin.ModelAdmin):
    """What the next calls meet."""

    list_display = ["kind", "left", "seconds"]
