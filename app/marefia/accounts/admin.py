"""Users in the admin."""
# mypy: disable-error-code="type-arg"
# These classes are generic in the stubs only.

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin

from marefia.accounts.models import Profile, User


class ProfileInline(admin.StackedInline):
    """The profile is edited with its user."""

    model = Profile
    can_delete = False
    min_num = 1


@admin.register(User)
class UserAdmin(DjangoUserAdmin):
    """Django's own, with the address in place of the name."""

    ordering = ["email"]
    list_display = ["email", "first_name", "last_name", "is_staff"]
    search_fields = ["email", "first_name", "last_name"]
    inlines = [ProfileInline]
    fieldsets = [
        (None, {"fields": ("email", "password")}),
        ("Person", {"fields": ("first_name", "last_name")}),
        ("Rights", {"fields": ("is_active", "is_staff", "is_superuser", "groups", "user_permissions")}),
        ("Dates", {"fields": ("last_login", "date_joined")}),
    ]
    add_fieldsets = [(None, {"classes": ("wide",), "fields": ("email", "password1", "password2")})]
