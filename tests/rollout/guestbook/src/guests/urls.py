"""Where the pages are."""

from django.urls import path

from guests import views

urlpatterns = [
    path("", views.book),
    path("entries", views.entries),
    path("healthz", views.healthz),
]
