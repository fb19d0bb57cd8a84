"""`/api/v1/bookings`."""

from typing import Any

from django.db.models import QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import mixins, status
from rest_framework.exceptions import ValidationError
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from marefia.accounts.models import User
from marefia.api.idempotency import idempotent
from marefia.api.pages import NewestFirst
from marefia.api.problems import Conflict
from marefia.api.queries import MOST, Clear, FilteredList, IntegerFilter, bounded
from marefia.api.serializers import BookingSerializer, StatusSerializer
from marefia.stays import bookings
from marefia.stays.models import Booking, Listing


class BookingFilter(filters.FilterSet):
    """`?reference=<uuid>&status=confirmed&listing=1`."""

    reference = filters.UUIDFilter()
    listing = bounded(IntegerFilter(field_name="listing_id", min_value=1, max_value=MOST), "integer")

    class Meta:
        model = Booking
        fields = ("reference", "status", "listing")


class BookingViewSet(FilteredList, mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet[Booking]):
    """One's own bookings."""

    queryset = Booking.objects.all()
    serializer_class = BookingSerializer
    permission_classes = [IsAuthenticated]
    pagination_class = NewestFirst
    filter_backends = [Clear, filters.DjangoFilterBackend]
    filterset_class = BookingFilter
    lookup_value_converter = "int"

    def get_queryset(self) -> QuerySet[Booking]:
        """Show nobody else's."""
        return Booking.objects.filter(guest_id=self.request.user.pk)

    @extend_schema(
        responses={
            201: BookingSerializer,
            200: OpenApiResponse(
                BookingSerializer, "The reference is known: the same booking, as it stands now."
            ),
            409: OpenApiResponse(description="The nights are taken, or the reference is another booking's."),
        }
    )
    @idempotent
    def create(self, request: Request) -> Response:
        """Book. Send a `reference` of your own (UUID) to be able to try again without booking twice."""
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        assert isinstance(request.user, User)  # noqa: S101 - for the type checker; the permission has seen to it
        try:
            booking, new = bookings.book(request.user, bookings.Wish(**serializer.validated_data))
        except bookings.ConflictError as error:
            raise Conflict(str(error)) from error
        except bookings.CannotBookError as error:
            raise ValidationError({"non_field_errors": [str(error)]}) from error
        except Listing.DoesNotExist as error:
            raise ValidationError({"listing": ["There is no such place."]}) from error
        return Response(
            self.get_serializer(booking).data, status=status.HTTP_201_CREATED if new else status.HTTP_200_OK
        )

    @extend_schema(
        request=StatusSerializer(partial=False),
        responses={200: BookingSerializer, 409: OpenApiResponse(description="The stay has begun.")},
    )
    def partial_update(self, request: Request, **_: Any) -> Response:
        """Cancel: `{"status": "cancelled"}`."""
        StatusSerializer(data=request.data).is_valid(raise_exception=True)
        try:
            booking = bookings.cancel(self.get_object())
        except bookings.ConflictError as error:
            raise Conflict(str(error)) from error
        return Response(self.get_serializer(booking).data)
