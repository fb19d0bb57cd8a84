"""The pages a person sees."""

import re
import uuid

import pytest
from django.apps import apps
from django.contrib import admin
from django.core import mail
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse

from marefia.accounts.models import Profile, Role, User
from marefia.ops.models import Lease, ScheduledRun
from marefia.outbox.models import OutboxRow, Status
from marefia.stays import bookings
from marefia.stays.models import Booking, BookingStatus, Listing, Review
from tests.app import make

pytestmark = pytest.mark.django_db
SIGN_UP = {
    "email": "Hana@Example.org",
    "first_name": "Hana",
    "last_name": "Girma",
    "role": "host",
    "phone": "0911 000 000",
    "password1": make.PASSWORD,
    "password2": make.PASSWORD,
}


def nights(begins: int = 10) -> dict[str, object]:
    wish = make.wish(Listing(pk=1), begins=begins)
    return {"check_in": wish.check_in, "check_out": wish.check_out, "guests": 2, "reference": uuid.uuid4()}


def test_signing_up_makes_a_user_with_a_profile_and_logs_in(client: Client) -> None:
    assert client.get("/accounts/sign-up/").status_code == 200
    assert client.post("/accounts/sign-up/", SIGN_UP).status_code == 302
    user = User.objects.get()
    assert (user.email, user.is_host, user.profile.phone) == ("hana@example.org", True, "0911 000 000")
    assert client.get("/bookings/").status_code == 200


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"email": "hana@example.ORG"}, "has signed up"),
        ({"password1": "1"}, "match"),
        ({"role": "king"}, "king"),
    ],
)
def test_a_sign_up_that_cannot_be_says_why(change: dict[str, str], words: str, client: Client) -> None:
    make.user(email="hana@example.org")
    page = client.post("/accounts/sign-up/", SIGN_UP | change)
    assert words in page.content.decode()
    assert User.objects.count() == 1


def test_one_address_is_one_user_in_any_case_also_to_the_database() -> None:
    make.user(email="hana@example.org")
    with pytest.raises(IntegrityError), transaction.atomic():
        User(email="HANA@example.org").save()
    with pytest.raises(ValueError, match="address"):
        User.objects.create_user("")


def test_one_logs_in_and_out_with_the_address_in_any_case(client: Client) -> None:
    make.user(email="hana@example.org")
    bad = client.post("/accounts/login/", {"username": "hana@example.org", "password": "no"})
    assert bad.status_code == 200
    good = client.post("/accounts/login/", {"username": "HANA@example.org", "password": make.PASSWORD})
    assert good.status_code == 302
    assert "My bookings" in client.get("/").content.decode()
    assert client.post("/accounts/logout/").status_code == 302
    assert "Log in" in client.get("/").content.decode()


def test_a_forgotten_password_is_set_by_the_link_in_the_mail_once(client: Client) -> None:
    make.user(email="hana@example.org")
    client.post("/accounts/password_reset/", {"email": "hana@example.org"})
    (message,) = mail.outbox
    link = re.search(r"http://testserver(\S+)", str(message.body))
    assert link
    form = client.get(link[1], follow=True)
    new = {"new_password1": "calm-rivers-9", "new_password2": "calm-rivers-9"}  # pragma: allowlist secret
    done = client.post(form.request["PATH_INFO"], new, follow=True)
    assert "Your password is set" in done.content.decode()
    assert client.login(username="hana@example.org", password="calm-rivers-9")  # pragma: allowlist secret
    assert "too old" in client.get(link[1], follow=True).content.decode()


def test_nobody_learns_from_a_reset_whether_an_address_is_known(client: Client) -> None:
    page = client.post("/accounts/password_reset/", {"email": "nobody@example.org"}, follow=True)
    assert "If we know the address" in page.content.decode()
    assert mail.outbox == []


@pytest.mark.parametrize(
    "path", ["/", "/api/docs", "/admin/login/", "/readyz", "/version", "/api/v1/listings"]
)
def test_what_answers_get_answers_head(client: Client, path: str) -> None:
    assert client.head(path).status_code == client.get(path).status_code == 200


def test_places_are_browsed_by_page_and_by_town(client: Client) -> None:
    host = make.user(Role.HOST)
    for number in range(14):
        make.listing(host=host, title=f"House {number}", place="Axum" if number == 13 else "Jimma")
    first = client.get("/").content.decode()
    assert first.count("House ") == 12
    assert "Page 1 of 2" in first
    assert "House 13" in client.get("/?page=2").content.decode()
    axum = client.get("/?place=axum").content.decode()
    assert axum.count("House ") == 1
    assert client.get("/?place=%00&page=x").status_code == 200


def test_a_page_costs_the_same_queries_however_many_it_shows(
    client: Client, django_assert_num_queries: object
) -> None:
    guest = make.user()
    client.force_login(guest)
    for _ in range(5):
        make.past_stay(guest, make.listing())
    with django_assert_num_queries(5):  # type: ignore[operator]
        client.get("/bookings/")


def test_a_guest_books_on_the_page_and_sending_it_twice_books_once(client: Client) -> None:
    place, guest = make.listing(description="By the lake"), make.user()
    url = reverse("listing", args=[place.pk])
    assert "By the lake" in client.get(url).content.decode()
    form = nights()
    assert client.post(url, form)["Location"].startswith("/accounts/login/")
    client.force_login(guest)
    assert "reference" in client.get(url).content.decode()
    for _ in range(2):
        assert client.post(url, form).status_code == 302
    assert Booking.objects.get().guest == guest
    assert "1500.00 ETB" in client.get("/bookings/").content.decode()
    assert "taken" in client.post(url, nights()).content.decode()
    assert "Enter a valid date" in client.post(url, {"check_in": "soon"}).content.decode()


def test_a_guest_cancels_the_own_booking_only(client: Client) -> None:
    guest = make.user()
    booking, _ = bookings.book(guest, make.wish(make.listing()))
    url = reverse("cancel_booking", args=[booking.pk])
    client.force_login(make.user())
    assert client.post(url).status_code == 404
    client.force_login(guest)
    assert client.get(url).status_code == 405
    client.post(url)
    booking.refresh_from_db()
    assert booking.status == BookingStatus.CANCELLED
    over = make.past_stay(guest, make.listing())
    page = client.post(reverse("cancel_booking", args=[over.pk]), follow=True)
    assert "The stay has begun" in page.content.decode()


def test_a_stay_that_is_over_is_reviewed_and_the_place_shows_it(client: Client) -> None:
    guest, place = make.user(), make.listing()
    over = make.past_stay(guest, place)
    client.force_login(guest)
    assert "How was it?" in client.get("/bookings/").content.decode()
    url = reverse("review_booking", args=[over.pk])
    assert client.get(url).status_code == 200
    assert client.post(url, {"rating": 4, "text": "Superb"}).status_code == 302
    shown = client.get(reverse("listing", args=[place.pk])).content.decode()
    assert "Superb" in shown
    assert "4.0 of 5" in shown
    assert "have reviewed" in client.post(url, {"rating": 1}).content.decode()
    assert "How was it?" not in client.get("/bookings/").content.decode()
    assert Review.objects.get().rating == 4


def test_what_users_write_is_escaped(client: Client) -> None:
    place = make.listing(title="<script>x</script>", description="<b>y</b>")
    for url in ("/", reverse("listing", args=[place.pk])):
        page = client.get(url).content.decode()
        assert "<script>" not in page
        assert "<b>" not in page


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


@pytest.mark.django_db
def test_rows_say_what_they_are() -> None:
    booking = make.past_stay(make.user(), make.listing())
    review = Review.objects.create(booking=booking, rating=5)
    row = OutboxRow.objects.create(handler="test", payload={})
    assert str(review) == f"5/5 for {booking.reference} (confirmed)"
    assert str(row) == f"test #{row.pk} (pending)"
    assert str(Lease(name="s", holder="h", expires_at="soon")) == "s: h until soon"
    assert str(ScheduledRun(name="sweep", last_run_at="now")) == "sweep: now"
    assert str(booking.guest.profile) == f"{booking.guest.email} (guest)"
