"""Signing up, logging in and out, a forgotten password."""

import re

import pytest
from django.core import mail
from django.db import IntegrityError, transaction
from django.test import Client

from marefia.accounts.forms import SignUpForm
from marefia.accounts.models import User
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


def test_signing_up_makes_a_user_with_a_profile_and_logs_in(client: Client) -> None:
    assert client.get("/accounts/sign-up/").status_code == 200
    assert client.post("/accounts/sign-up/", SIGN_UP).status_code == 302
    user = User.objects.get()
    assert (user.email, user.is_host, user.profile.phone) == ("hana@example.org", True, "0911000000")
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
    assert ">Set my new password</button>" in form.content.decode()
    new = {"new_password1": "calm-rivers-9", "new_password2": "calm-rivers-9"}  # pragma: allowlist secret
    done = client.post(form.request["PATH_INFO"], new, follow=True)
    assert "Your password is set" in done.content.decode()
    assert client.login(username="hana@example.org", password="calm-rivers-9")  # pragma: allowlist secret
    assert "too old" in client.get(link[1], follow=True).content.decode()


def test_the_button_of_a_password_form_says_what_it_does(client: Client) -> None:
    assert ">Mail me a link</button>" in client.get("/accounts/password_reset/").content.decode()
    client.force_login(make.user())
    assert ">Change my password</button>" in client.get("/accounts/password_change/").content.decode()


def test_nobody_learns_from_a_reset_whether_an_address_is_known(client: Client) -> None:
    page = client.post("/accounts/password_reset/", {"email": "nobody@example.org"}, follow=True)
    assert "If we know the address" in page.content.decode()
    assert mail.outbox == []


@pytest.mark.parametrize(
    "typed", ["0911 23-45.67", "+251 911 234 567", "00251911234567", " 0911234567 ", "\u00a00911234567"]
)
def test_a_mobile_number_is_kept_as_it_is_dialled_in_ethiopia(typed: str, client: Client) -> None:
    client.post("/accounts/sign-up/", SIGN_UP | {"phone": typed})
    assert User.objects.get().profile.phone == "0911234567"


@pytest.mark.parametrize(
    "typed", ["0111234567", "911234567", "+254712345678", "09112345678", "٠٩١١٢٣٤٥٦٧", "+", "9" * 500, "\0"]
)
def test_what_is_no_mobile_number_of_ethiopia_is_refused(typed: str, client: Client) -> None:
    answer = client.post("/accounts/sign-up/", SIGN_UP | {"phone": typed})
    assert answer.status_code == 422
    assert answer.context["form"].errors.keys() == {"phone"}
    assert not User.objects.exists()


def test_a_name_is_needed_and_a_mobile_number_is_not(client: Client) -> None:
    without = SIGN_UP | {"phone": "", "last_name": ""}
    answer = client.post("/accounts/sign-up/", without | {"first_name": " "})
    assert answer.context["form"].errors.keys() == {"first_name"}
    assert client.post("/accounts/sign-up/", without | {"first_name": " Hana\r\nBcc:  x "}).status_code == 302
    user = User.objects.get()
    assert (user.first_name, user.profile.phone) == ("Hana Bcc: x", "")


def test_two_who_sign_up_with_one_address_at_once_are_one_user() -> None:
    form = SignUpForm(SIGN_UP)
    assert form.is_valid()
    make.user(email="hana@example.org")
    assert form.stored() is None
    assert form.errors.keys() == {"email"}
    assert User.objects.count() == 1


@pytest.mark.parametrize("path", ["/accounts/login/", "/accounts/sign-up/"])
@pytest.mark.parametrize(
    ("wanted", "led"),
    [
        ("/bookings/?period=past", "/bookings/?period=past"),
        ("https://evil.example/", "/"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("\0/bookings/", "/"),
        ("", "/"),
    ],
)
def test_one_is_led_on_to_pages_of_this_site_only(path: str, wanted: str, led: str, client: Client) -> None:
    make.user(email="known@example.org")
    form = SIGN_UP | {"username": "known@example.org", "password": make.PASSWORD}
    answer = client.post(path, form, query_params={"next": wanted})
    assert (answer.status_code, answer["Location"]) == (302, led)


def test_who_logs_in_first_is_offered_to_sign_up_and_led_on_then(client: Client) -> None:
    page = client.get("/accounts/login/?next=/bookings/").content.decode()
    assert 'href="/accounts/sign-up/?next=/bookings/"' in page


def test_a_form_without_its_token_is_refused_in_words() -> None:
    answer = Client(enforce_csrf_checks=True).post("/accounts/login/")
    assert answer.status_code == 403
    assert "<h1>The form is too old</h1>" in answer.content.decode()
