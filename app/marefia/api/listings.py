"""`/api/v1/listings`, and what its versions have in common."""

import datetime
from decimal import Decimal
from typing import Any

from django import forms
from django.db import transaction
from django.db.models import ProtectedError, QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_field, extend_schema_view
from rest_framework.permissions import SAFE_METHODS, BasePermission, IsAuthenticatedOrReadOnly
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.viewsets import ModelViewSet

from marefia.accounts.models import User
from marefia.api.amenities import AmenitiesFilter, AmenityNames
from marefia.api.idempotency import idempotent
from marefia.api.pages import Ordering, Pages
from marefia.api.problems import Conflict
from marefia.api.queries import Clear, FilteredList, IntegerFilter, bounded
from marefia.api.serializers import ListingSerializer
from marefia.api.versions import Deprecated
from marefia.stays.listings import free_between, mentioning, name_amenities
from marefia.stays.models import Listing

ETB = {"min_value": 0, "max_value": Decimal("99999999.99"), "help_text": "ETB a night"}


class IsHostOrReadOnly(BasePermission):
    """Everyone reads, hosts offer, and only its own host changes a listing."""

    message = "Only a host may offer places, and only its own host may change one."

    def has_permission(self, request: Request, view: Any) -> bool:
        """Decide on the kind of request."""
        return request.method in SAFE_METHODS or (isinstance(request.user, User) and request.user.is_host)

    def has_object_permission(self, request: Request, view: Any, listing: Any) -> bool:
        """Decide on one listing."""
        return request.method in SAFE_METHODS or listing.host_id == request.user.pk


class Search(forms.Form):
    """What the filters mean together."""

    def clean(self) -> dict[str, Any]:
        """Refuse half a stay, and one that ends before it begins."""
        said = self.cleaned_data
        first, last = said.get("free_from"), said.get("free_to")
        if (first is None) != (last is None) and not self.errors:
            self.add_error("free_to" if first else "free_from", "Say both free_from and free_to, or neither.")
        elif first and last and first >= last:
            self.add_error("free_to", "The stay has to end after it begins.")
        return said


class ListingFilter(filters.FilterSet):
    """`?place=gondar&min_price=100&capacity=2&amenities=Wi-Fi&free_from=2027-01-02&free_to=2027-01-05`."""

    q = bounded(
        filters.CharFilter(
            method="search", max_length=100, help_text="words, each in title, place or description"
        ),
        "string",
    )
    place = bounded(
        filters.CharFilter(lookup_expr="icontains", max_length=80, help_text="a part of its name"), "string"
    )
    min_price = bounded(filters.NumberFilter(field_name="price", lookup_expr="gte", **ETB), "number")
    max_price = bounded(filters.NumberFilter(field_name="price", lookup_expr="lte", **ETB), "number")
    capacity = bounded(
        IntegerFilter(lookup_expr="gte", min_value=0, max_value=1000, help_text="at least so many guests"),
        "integer",
    )
    amenities = extend_schema_field(AmenityNames(help_text="names; a place has all of them"))(
        AmenitiesFilter(read=AmenityNames)
    )
    free_from = filters.DateFilter(
        method="free", input_formats=["%Y-%m-%d"], help_text="with free_to: no night between them is taken"
    )
    free_to = filters.DateFilter(
        method="said_with_free_from", input_formats=["%Y-%m-%d"], help_text="the day of departure"
    )

    class Meta:
        model = Listing
        fields = ("place", "capacity")
        form = Search

    def search(self, queryset: QuerySet[Listing], name: str, value: str) -> QuerySet[Listing]:
        """Find every word somewhere."""
        return mentioning(queryset, value)

    def free(self, queryset: QuerySet[Listing], name: str, value: datetime.date) -> QuerySet[Listing]:
        """Leave out what is taken."""
        return free_between(queryset, value, self.form.cleaned_data["free_to"])

    def said_with_free_from(
        self, queryset: QuerySet[Listing], name: str, value: datetime.date
    ) -> QuerySet[Listing]:
        """Leave it to `free`."""
        return queryset


class Listings(FilteredList, ModelViewSet[Listing]):
    """Places to stay. Hosts write their own."""

    queryset = Listing.objects.select_related("host")
    permission_classes = [IsAuthenticatedOrReadOnly, IsHostOrReadOnly]
    pagination_class = Pages
    lookup_value_converter = "int"
    said_several_times = frozenset({"amenities"})

    def get_queryset(self) -> QuerySet[Listing]:
        """Lock what is to be changed: bookings of it, and the worker that counts its nights, wait or are waited for."""
        return (
            super().get_queryset()
            if self.request.method in SAFE_METHODS
            else Listing.objects.select_for_update()
        )

    @idempotent
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Offer a place."""
        return super().create(request, *args, **kwargs)

    @transaction.atomic
    def perform_create(self, serializer: BaseSerializer[Listing]) -> None:
        """Whoever offers a place is its host."""
        serializer.save(host=self.request.user)

    @transaction.atomic
    def update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Change a place."""
        return super().update(request, *args, **kwargs)

    @extend_schema(responses={204: None, 409: OpenApiResponse(description="It has bookings.")})
    @transaction.atomic
    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Withdraw a place that nobody has booked."""
        try:
            return super().destroy(request, *args, **kwargs)
        except ProtectedError as error:
            raise Conflict("This place has bookings.") from error


@extend_schema_view(
    **{
        action: extend_schema(deprecated=True)
        for action in ("list", "retrieve", "create", "update", "partial_update", "destroy")
    }
)
class ListingViewSet(Deprecated, Listings):
    """Places to stay, as v1 shows them: prices and amenities are texts, and the host is a name."""

    serializer_class = ListingSerializer
    filter_backends = [Clear, filters.DjangoFilterBackend, Ordering]
    filterset_class = ListingFilter

    def paginate_queryset(self, queryset: Any) -> Any:
        """Return a page with the names of its amenities, in one query for all."""
        page = super().paginate_queryset(queryset)
        name_amenities(page or [])
        return page
