"""The pages of stays."""

from django.urls import path

from marefia.stays import hosting, views

urlpatterns = [
    path("", views.browse, name="listings"),
    path("listings/<int:pk>/", views.listing, name="listing"),
    path("bookings/", views.my_bookings, name="bookings"),
    path("bookings/<int:pk>/cancel/", views.cancel, name="cancel_booking"),
    path("bookings/<int:pk>/review/", views.review, name="review_booking"),
    path("hosting/", hosting.my_listings, name="hosting"),
    path("hosting/add/", hosting.add_listing, name="add_listing"),
    path("hosting/<int:pk>/", hosting.edit_listing, name="edit_listing"),
    path("hosting/bookings/", hosting.my_guests, name="hosting_bookings"),
]
