"""`/api/v1/listings/{id}/reviews`."""

from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.exceptions import ValidationError
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from marefia.api.idempotency import idempotent
from marefia.api.pages import NewestFirst
from marefia.api.problems import Conflict
from marefia.api.queries import Clear
from marefia.api.serializers import ReviewSerializer
from marefia.stays import reviews
from marefia.stays.models import Booking, Listing, Review


class ReviewsView(ListAPIView[Review]):
    """What guests say of a place."""

    queryset = Review.objects.select_related("booking__guest")
    serializer_class = ReviewSerializer
    pagination_class = NewestFirst
    filter_backends = [Clear]

    def get_queryset(self) -> QuerySet[Review]:
        """Return those of the listing; raise Http404."""
        get_object_or_404(Listing.objects.only("pk"), pk=self.kwargs["pk"])
        return super().get_queryset().filter(booking__listing=self.kwargs["pk"])

    @extend_schema(
        responses={
            201: ReviewSerializer,
            409: OpenApiResponse(description="The stay is not over, or has its review."),
        }
    )
    @idempotent
    def post(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Review a stay of your own that is over, once."""
        listing = get_object_or_404(Listing, pk=self.kwargs["pk"])
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        said = dict(serializer.validated_data)
        booking = Booking.objects.filter(
            pk=said.pop("booking_id"), guest=request.user.pk, listing=listing
        ).first()
        if booking is None:
            raise ValidationError({"booking": ["This is not a stay of yours here."]})
        try:
            review = reviews.review(booking.guest, booking, **said)
        except reviews.CannotReviewError as error:
            raise Conflict(str(error)) from error
        return Response(self.get_serializer(review).data, status=status.HTTP_201_CREATED)
