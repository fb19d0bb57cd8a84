"""The keys of POSTs in the admin: to look at, and to give back."""
# mypy: disable-error-code="type-arg"
# These classes are generic in the stubs only.

from django.contrib import admin
from django.http import HttpRequest

from marefia.api.models import IdempotencyKey


@admin.register(IdempotencyKey)
class IdempotencyKeyAdmin(admin.ModelAdmin):
    """Read-only; one that is deleted is free again."""

    list_display = ["id", "user", "status", "claimed_at"]
    list_select_related = ["user"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Keys come from requests."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: IdempotencyKey | None = None) -> bool:
        """Keys say what was answered."""
        return False
