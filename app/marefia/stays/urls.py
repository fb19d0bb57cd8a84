"""The pages of stays."""

from django.urls import path

from marefia.stays import views

urlpatterns = [
    path("", views.browse, name="listings"),
    path("listings/<int:pk>/", views.listing, name="listing"),
    path("bookings/", views.my_bookings, name="bookings"),
    path("bookings/<int:pk>/cancel/", views.cancel, name="cancel_booking"),
    path("bookings/<int:pk>/review/", views.review, name="review_booking"),
]
