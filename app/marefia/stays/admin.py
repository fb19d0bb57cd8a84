"""Stays in the admin."""
# mypy: disable-error-code="type-arg"
# These classes are generic in the stubs only.

from django.contrib import admin

from marefia.stays.models import Amenity, Booking, Listing, Review


@admin.register(Amenity)
class AmenityAdmin(admin.ModelAdmin):
    """What listings offer."""

    search_fields = ["name"]


@admin.register(Listing)
class ListingAdmin(admin.ModelAdmin):
    """Places to stay."""

    list_display = ["title", "place", "price", "capacity", "host", "nights_booked"]
    list_filter = ["place"]
    list_select_related = ["host"]
    search_fields = ["title", "place"]
    autocomplete_fields = ["host"]
    filter_horizontal = ["amenities"]


@admin.register(Booking)
class BookingAdmin(admin.ModelAdmin):
    """Bookings are read here; they are made and cancelled where their rules are (stays/bookings.py)."""

    list_display = ["reference", "listing", "guest", "check_in", "check_out", "guests", "total", "status"]
    list_filter = ["status", "listing__place"]
    list_select_related = ["listing", "guest"]
    search_fields = ["reference", "guest__email", "listing__title"]
    date_hierarchy = "check_in"

    def has_add_permission(self, request: object) -> bool:
        """See above."""
        return False

    def has_change_permission(self, request: object, obj: Booking | None = None) -> bool:
        """See above."""
        return False

    def has_delete_permission(self, request: object, obj: Booking | None = None) -> bool:
        """Its nights would stay counted."""
        return False


@admin.register(Review)
class ReviewAdmin(admin.ModelAdmin):
    """What guests said."""

    list_display = ["booking", "rating", "created_at"]
    list_filter = ["rating"]
    autocomplete_fields = ["booking"]
