"""REST, versioned in the path, without trailing slashes."""

from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView
from rest_framework.routers import SimpleRouter

from marefia.api import docs
from marefia.api.bookings import BookingViewSet
from marefia.api.listings import ListingViewSet
from marefia.api.tokens import TokensView

v1 = SimpleRouter(trailing_slash=False, use_regex_path=False)
v1.register("listings", ListingViewSet, basename="api-listing")
v1.register("bookings", BookingViewSet, basename="api-booking")

urlpatterns = [
    path("v1/", include(v1.urls)),
    path("v1/tokens", TokensView.as_view(), name="api-tokens"),
    path("schema", SpectacularAPIView.as_view(), name="api-schema"),
    path("docs", docs.page, name="api-docs"),
]
