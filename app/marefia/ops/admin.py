"""The schedule in the admin."""
# mypy: disable-error-code="type-arg"
# These classes are generic in the stubs only.

from django.contrib import admin

from marefia.ops.models import Lease, ScheduledRun


@admin.register(Lease)
class LeaseAdmin(admin.ModelAdmin):
    """Who schedules. Deleting a lease frees it."""

    list_display = ["name", "holder", "number", "expires_at"]


@admin.register(ScheduledRun)
class ScheduledRunAdmin(admin.ModelAdmin):
    """What ran when."""

    list_display = ["name", "last_run_at", "runs"]
