"""Sign-up, and Django's own login, logout and password pages."""

from django.urls import include, path

from marefia.accounts import views

urlpatterns = [
    path("sign-up/", views.SignUpView.as_view(), name="sign_up"),
    path("", include("django.contrib.auth.urls")),
]
