"""`/api/v2/listings`: what v1 says in texts, as objects.

Money has its currency, amenities their ids and the host an identity; what is read can be written back as it is; and a
parameter that nobody reads is an error. What else is written of a listing is as in v1.
"""

from decimal import Decimal
from typing import Any

from django.db.models import QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers
from rest_framework.generics import ListAPIView

from marefia.accounts.models import User
from marefia.api.amenities import AmenitiesFilter, AmenityIds, AmenityObjects, AmenitySerializer
from marefia.api.examples import LISTING_V2, LISTING_WRITTEN, examples
from marefia.api.listings import ListingFilter, Listings
from marefia.api.pages import Ordering, Pages
from marefia.api.queries import Strict
from marefia.api.serializers import ListingSerializer
from marefia.stays.models import Amenity, Listing


class MoneySerializer(serializers.Serializer[Listing]):
    """An amount with two decimals, as a text, and its currency."""

    amount = serializers.DecimalField(
        source="price", max_digits=10, decimal_places=2, min_value=Decimal("0.01")
    )
    currency = serializers.ChoiceField(choices=["ETB"], default="ETB")

    def to_internal_value(self, data: Any) -> Any:
        """Return what the model keeps: all money is ETB."""
        return {name: value for name, value in super().to_internal_value(data).items() if name == "price"}

    def to_representation(self, listing: Listing) -> dict[str, str]:
        """Return the price."""
        return {"amount": f"{listing.price:.2f}", "currency": "ETB"}


@extend_schema_serializer(component_name="Host")
class HostSerializer(serializers.Serializer[User]):
    """Who offers a place. The address is private."""

    id = serializers.IntegerField(read_only=True)
    name = serializers.CharField(source="get_full_name", read_only=True)


@extend_schema_serializer(component_name="ListingV2", examples=examples(LISTING_V2, *LISTING_WRITTEN))
class ListingSerializerV2(serializers.ModelSerializer[Listing]):
    """A place to stay; the price is for a night."""

    price = MoneySerializer(source="*")
    capacity = serializers.IntegerField(min_value=1, max_value=50)
    amenities = AmenityObjects(required=False)
    host = HostSerializer(read_only=True)

    class Meta:
        model = Listing
        fields = ListingSerializer.Meta.fields
        read_only_fields = ("nights_booked", "created_at")


class ListingFilterV2(ListingFilter):
    """As in v1, but for amenities: `?amenities=1&amenities=4`."""

    amenities = extend_schema_field(AmenityIds(help_text="ids; a place has all of them"))(
        AmenitiesFilter(read=AmenityIds)
    )


class ListingViewSetV2(Listings):
    """Places to stay. Hosts write their own."""

    serializer_class = ListingSerializerV2
    filter_backends = [Strict, filters.DjangoFilterBackend, Ordering]
    filterset_class = ListingFilterV2

    def get_queryset(self) -> QuerySet[Listing]:
        """Return the rows with what is shown of others."""
        return super().get_queryset().prefetch_related("amenities")


class AmenitiesView(ListAPIView[Amenity]):
    """`/api/v2/amenities`: what places may offer."""

    queryset = Amenity.objects.all()
    serializer_class = AmenitySerializer
    pagination_class = Pages
    filter_backends = [Strict]
