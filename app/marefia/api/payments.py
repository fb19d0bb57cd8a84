"""`/api/v1/payments`, and `/api/v1/bookings/{id}/payments`, where one begins."""

from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import mixins, status
from rest_framework.exceptions import APIException
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet

from marefia.api.pages import NewestFirst
from marefia.api.problems import Conflict
from marefia.api.queries import MOST, Clear, FilteredList, IntegerFilter, bounded
from marefia.api.serializers import PaymentSerializer
from marefia.payments import checkout, ledger
from marefia.payments.models import Payment
from marefia.stays.models import Booking


class ChapaAway(APIException):
    """503: nobody can pay now."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    wait = 60  # seconds, as Retry-After


class PaymentFilter(filters.FilterSet):
    """`?booking=31&state=paid`."""

    booking = bounded(IntegerFilter(field_name="booking_id", min_value=1, max_value=MOST), "integer")

    class Meta:
        model = Payment
        fields = ("booking", "state")


class PaymentViewSet(FilteredList, mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet[Payment]):
    """One's own payments."""

    queryset = Payment.objects.all()
    serializer_class = PaymentSerializer
    permission_classes = [IsAuthenticated]
    pagination_class = NewestFirst
    filter_backends = [Clear, filters.DjangoFilterBackend]
    filterset_class = PaymentFilter
    lookup_value_converter = "int"

    def get_queryset(self) -> QuerySet[Payment]:
        """Show nobody else's."""
        return Payment.objects.filter(booking__guest_id=self.request.user.pk)


class PayView(APIView):
    """Paying a booking."""

    permission_classes = [IsAuthenticated]

    @extend_schema(
        operation_id="bookings_pay",
        request=None,
        responses={
            201: PaymentSerializer,
            200: OpenApiResponse(PaymentSerializer, "It was begun already: the same payment."),
            409: OpenApiResponse(description="There is nothing to pay, or Chapa does not take it."),
            503: OpenApiResponse(description="Chapa does not answer; nothing was paid."),
        },
    )
    def post(self, request: Request, **_: Any) -> Response:
        """Begin to pay: the guest does it at `checkout_url`. Sent again, it is the same payment, without a key."""
        own = Booking.objects.select_related("listing", "guest__profile").filter(guest_id=request.user.pk)
        booking = get_object_or_404(own, pk=self.kwargs["pk"])
        known = set(booking.payments.values_list("pk", flat=True))
        try:
            payment = checkout.begin(booking, request.build_absolute_uri("/")[:-1])
        except ledger.ChapaAwayError as error:
            raise ChapaAway(str(error)) from error
        except ledger.CannotPayError as error:
            raise Conflict(str(error)) from error
        code = status.HTTP_200_OK if payment.pk in known else status.HTTP_201_CREATED
        return Response(PaymentSerializer(payment).data, status=code)
