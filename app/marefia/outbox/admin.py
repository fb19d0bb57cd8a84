"""What a person does with the outbox: look at it, and give dead rows another chance."""
# mypy: disable-error-code="type-arg"
# These classes are generic in the stubs only.

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from marefia.outbox.models import OutboxRow, Status


@admin.register(OutboxRow)
class OutboxRowAdmin(admin.ModelAdmin):
    """Read-only but for one action."""

    list_display = ["id", "handler", "status", "attempts", "created_at", "available_at", "last_error"]
    list_filter = ["status", "handler"]
    actions = ["revive"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Rows come from their causes."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: OutboxRow | None = None) -> bool:
        """Rows say what happened."""
        return False

    @admin.action(description="Try again", permissions=["view"])
    def revive(self, request: HttpRequest, rows: QuerySet[OutboxRow]) -> None:
        """Let the next sweep take dead rows up again."""
        rows.filter(status=Status.DEAD).update(
            status=Status.PENDING, attempts=0, available_at=timezone.now(), claim=None, claimed_until=None
        )
