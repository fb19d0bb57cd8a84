"""What the API says and accepts."""

import uuid
from typing import Any

from rest_framework import serializers

from marefia.accounts.models import User
from marefia.stays.models import Amenity, Booking, Listing


class ListingSerializer(serializers.ModelSerializer[Listing]):
    """A place to stay; `price` is ETB a night, `amenities` are names that exist."""

    host = serializers.SerializerMethodField()
    amenities = serializers.SlugRelatedField(
        slug_field="name", many=True, queryset=Amenity.objects.all(), required=False
    )

    class Meta:
        model = Listing
        fields = (
            "id",
            "title",
            "place",
            "description",
            "price",
            "capacity",
            "amenities",
            "host",
            "nights_booked",
            "created_at",
        )
        read_only_fields = ("nights_booked", "created_at")

    def get_host(self, listing: Listing) -> str:
        """Name the host; the address is private."""
        return listing.host.get_full_name()


class BookingSerializer(serializers.ModelSerializer[Booking]):
    """A booking. `reference` is the client's: sent again, it finds the same booking."""

    listing = serializers.IntegerField(source="listing_id", min_value=1, max_value=2**63 - 1)
    reference = serializers.UUIDField(required=False)

    class Meta:
        model = Booking
        fields = (
            "id",
            "listing",
            "check_in",
            "check_out",
            "guests",
            "total",
            "status",
            "reference",
            "created_at",
        )
        read_only_fields = ("total", "status", "created_at")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Give a reference to a booking that came without."""
        return {"reference": uuid.uuid4()} | attrs


class StatusSerializer(serializers.Serializer[Booking]):
    """The one change that a guest can make to a booking."""

    status = serializers.ChoiceField(choices=["cancelled"])


class CredentialsSerializer(serializers.Serializer[User]):
    """What a login takes, unless it comes as HTTP Basic."""

    email = serializers.EmailField()
    password = serializers.CharField(max_length=200, trim_whitespace=False)


class TokenSerializer(serializers.Serializer[User]):
    """A new token, said this once."""

    token = serializers.CharField()
    expiry = serializers.DateTimeField()
