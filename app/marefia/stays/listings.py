"""Reading many listings at once."""

from collections.abc import Sequence

from marefia.stays.models import Listing


def name_amenities(listings: Sequence[Listing]) -> None:
    """Give each listing its `amenity_names`, sorted: one query for all, and no objects for the names."""
    names: dict[int, list[str]] = {listing.pk: [] for listing in listings}
    pairs = Listing.amenities.through.objects.filter(listing__in=list(names)).order_by("amenity__name")
    for listing_id, name in pairs.values_list("listing_id", "amenity__name"):
        names[listing_id].append(name)
    for listing in listings:
        listing.amenity_names = names[listing.pk]
