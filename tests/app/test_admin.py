"""The admin, and what rows are called there."""

import pytest
from django.apps import apps
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from marefia.accounts.models import Profile, User
from marefia.ops.models import Lease, ScheduledRun
from marefia.outbox.models import OutboxRow, Status
from marefia.stays import bookings
from marefia.stays.models import Listing, Review
from tests.app import make

pytestmark = pytest.mark.django_db


def test_every_admin_page_opens(admin_client: Client) -> None:
    guest = make.user()
    booking, _ = bookings.book(guest, make.wish(make.listing()))
    Listing.objects.get().amenities.create(name="Wi-Fi")
    Review.objects.create(booking=booking, rating=5)
    for model in apps.get_models():
        if not admin.site.is_registered(model):
            continue
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        assert admin_client.get(reverse(f"{name}_changelist")).status_code == 200, name
        if first := model._default_manager.first():
            assert admin_client.get(reverse(f"{name}_change", args=[first.pk])).status_code == 200, name
        assert admin_client.get(reverse(f"{name}_add")).status_code in {200, 403}, name


def test_every_model_of_ours_is_in_the_admin() -> None:
    ours = [
        model
        for model in apps.get_models()
        if model.__module__.startswith("marefia.") and model is not Profile
    ]
    assert [model for model in ours if not admin.site.is_registered(model)] == []


def test_a_user_made_in_the_admin_can_log_in(admin_client: Client, client: Client) -> None:
    form = {
        "email": "new@example.org",
        "usable_password": "true",  # pragma: allowlist secret
        "password1": make.PASSWORD,
        "password2": make.PASSWORD,
        "profile-TOTAL_FORMS": 0,
        "profile-INITIAL_FORMS": 0,
    }
    response = admin_client.post(reverse("admin:accounts_user_add"), form)
    assert response.status_code == 302, response.content
    assert client.login(username="new@example.org", password=make.PASSWORD)
    assert User.objects.get(email="new@example.org").is_host is False


def test_dead_work_is_revived_in_the_admin(admin_client: Client) -> None:
    row = OutboxRow.objects.create(handler="test", payload={}, status=Status.DEAD, attempts=10)
    data = {"action": "revive", "_selected_action": [row.pk]}
    assert admin_client.post(reverse("admin:outbox_outboxrow_changelist"), data).status_code == 302
    row.refresh_from_db()
    assert (row.status, row.attempts) == (Status.PENDING, 0)


def test_rows_say_what_they_are() -> None:
    booking = make.past_stay(make.user(), make.listing())
    review = Review.objects.create(booking=booking, rating=5)
    row = OutboxRow.objects.create(handler="test", payload={})
    assert str(review) == f"5/5 for {booking.reference} (confirmed)"
    assert str(row) == f"test #{row.pk} (pending)"
    assert str(Lease(name="s", holder="h", expires_at="soon")) == "s: h until soon"
    assert str(ScheduledRun(name="sweep", last_run_at="now")) == "sweep: now"
    assert str(booking.guest.profile) == f"{booking.guest.email} (guest)"
