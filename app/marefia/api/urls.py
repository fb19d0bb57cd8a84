"""REST, versioned in the path, without trailing slashes."""

from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView
from rest_framework.routers import SimpleRouter

from marefia.api import docs
from marefia.api.bookings import BookingViewSet
from marefia.api.listings import ListingViewSet
from marefia.api.listings_v2 import AmenitiesView, ListingViewSetV2
from marefia.api.payments import PaymentViewSet, PayView
from marefia.api.profile import ProfileView
from marefia.api.reviews import ReviewsView
from marefia.api.tokens import TokensView

v1 = SimpleRouter(trailing_slash=False, use_regex_path=False)
v1.register("listings", ListingViewSet, basename="api-listing")
v1.register("bookings", BookingViewSet, basename="api-booking")
v1.register("payments", PaymentViewSet, basename="api-payment")
v2 = SimpleRouter(trailing_slash=False, use_regex_path=False)
v2.register("listings", ListingViewSetV2, basename="api-listing")

v1_urls = [
    *v1.urls,
    path("listings/<int:pk>/reviews", ReviewsView.as_view(), name="api-reviews"),
    path("bookings/<int:pk>/payments", PayView.as_view(), name="api-pay"),
    path("profile", ProfileView.as_view(), name="api-profile"),
    path("tokens", TokensView.as_view(), name="api-tokens"),
]
v2_urls = [*v2.urls, path("amenities", AmenitiesView.as_view(), name="api-amenities")]

urlpatterns = [
    path("v1/", include((v1_urls, "v1"))),
    path("v2/", include((v2_urls, "v2"))),
    path("schema", SpectacularAPIView.as_view(), name="api-schema"),
    path("docs", docs.page, name="api-docs"),
]
