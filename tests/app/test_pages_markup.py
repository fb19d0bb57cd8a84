"""Every page, for everyone who may see it: its markup, what it may load, and the colours of all of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.tokens import default_token_generator
from django.core.mail import EmailMessage
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from marefia.accounts.models import Role, User
from marefia.payments import checkout
from marefia.payments.models import Payment
from marefia.sandbox.models import Transaction
from marefia.stays import bookings
from marefia.stays.models import Amenity, Booking, Listing, Review
from tests.app import make, paying
from tests.app.markup import Page, active, faults

STATIC = Path(__file__).resolve().parents[2] / "app/marefia/static"
STYLE, PICO = STATIC / "marefia/site.css", STATIC / "vendor/pico-2.1.1.min.css"
WILD = '<b>"שלום" & \u202e🙂\'</b>'
"""Words that would break out of markup, or run the other way."""
NO_PAGES = {
    *("livez", "readyz", "version", "metrics", "static", "logout", "cancel_booking", "graphql"),
    *("pay_booking", "payment_webhook", "payment_callback", "payments_export"),
    *("sandbox_initialize", "sandbox_verify", "sandbox_cancel", "sandbox_refund", "sandbox_faults"),
}
"""For machines, or for POST only. So is what is called `api-...`; the admin's pages are Django's."""
TO_SEND = (
    "/accounts/sign-up/",
    "/accounts/login/",
    "/accounts/password_reset/",
    "/accounts/password_change/",
    "/hosting/add/",
)
ROLES = ("anyone", "guest", "host", "staff")


@pytest.fixture
def world(db: None, settings: Any, tmp_path: Path) -> dict[str, User]:
    """Something of everything, more than a page of it, and all of it wild."""
    host = make.user(Role.HOST, first_name=WILD)
    guest = make.user(first_name=WILD)
    amenity = Amenity.objects.create(name=WILD)
    for number in range(21):
        place = make.listing(host=host, title=f"{number} {WILD}", place=WILD, description=WILD)
        place.amenities.add(amenity)
        bookings.book(guest, make.wish(place))
        bookings.cancel(bookings.book(guest, make.wish(place, begins=20))[0])
        over = make.past_stay(guest, place)
        if number:
            Review.objects.create(booking=over, rating=4, text=WILD)
    for outcome in ("success", "failed", ""):
        payment = checkout.begin(bookings.book(guest, make.wish(make.listing(title=WILD)))[0], paying.ORIGIN)
        if outcome:
            paying.end(payment, outcome, copies=0)
    settings.EMAIL_BACKEND, settings.EMAIL_FILE_PATH = MAIL_AS_FILES, str(tmp_path)
    EmailMessage(f"Booked: {WILD}", WILD, to=[guest.email]).send()
    return {"host": host, "guest": guest, "staff": make.user(is_staff=True)}


MAIL_AS_FILES = "django.core.mail.backends.filebased.EmailBackend"


def paths(world: dict[str, User], folder: Path) -> list[str]:
    """Every page, and what it looks like further on and with errors."""
    place = Listing.objects.earliest("pk")
    over = Booking.objects.filter(review=None).earliest("check_in")
    user = urlsafe_base64_encode(force_bytes(world["guest"].pk))
    token = default_token_generator.make_token(world["guest"])
    (mail,) = folder.iterdir()
    return [
        *("/", "/?page=2", "/?place=x&check_in=soon&min_price=9&max_price=1", "/?text=no+such"),
        reverse("listing", args=[place.pk]) + "?check_in=2090-01-01",
        *(
            f"/bookings/?period={period}&page={page}"
            for period in ("", "past", "cancelled")
            for page in (1, 2)
        ),
        reverse("review_booking", args=[over.pk]),
        *("/hosting/", "/hosting/?page=2", "/hosting/add/", reverse("edit_listing", args=[place.pk])),
        *("/hosting/bookings/", "/hosting/bookings/?period=past&page=2"),
        *("/accounts/sign-up/", "/accounts/login/?next=/bookings/"),
        *("/accounts/password_change/", "/accounts/password_change/done/"),
        *("/accounts/password_reset/", "/accounts/password_reset/done/", "/accounts/reset/done/"),
        *(f"/accounts/reset/{user}/{token}/", f"/accounts/reset/{user}/too-old/"),
        *(reverse("payment", args=[payment.tx_ref]) for payment in Payment.objects.all()),
        *(reverse("sandbox_checkout", args=[one.reference]) for one in Transaction.objects.all()),
        *("/mailbox/", reverse("mail", args=[mail.name, 0])),
        *("/api/docs", "/no/such/page"),
    ]


def named(patterns: list[Any]) -> Iterator[str]:
    """The names of all URL patterns of ours."""
    for pattern in patterns:
        if isinstance(pattern, URLResolver) and pattern.namespace != "admin":
            yield from named(pattern.url_patterns)
        elif isinstance(pattern, URLPattern):
            yield pattern.name or str(pattern.pattern)


def test_every_page_is_well_formed_and_named_for_whoever_sees_it(
    world: dict[str, User], tmp_path: Path, client: Client
) -> None:
    found, shown = [], set()
    for role in ROLES:
        client.logout()
        if role in world:
            client.force_login(world[role])
        place = Listing.objects.latest("pk")
        answers = [client.get(path, follow=True) for path in paths(world, tmp_path)]
        answers += [client.post(path) for path in TO_SEND]
        open_page = reverse("sandbox_checkout", args=[Transaction.objects.get(status="pending").reference])
        answers += [client.post(open_page, {"card": WILD, "copies": "many"})]
        answers += [client.post(reverse("listing", args=[place.pk]), {"check_in": WILD, "guests": "x"})]
        for answer in answers:
            page = answer.content.decode()
            asked = f"{role} {answer.request['PATH_INFO']}?{answer.request['QUERY_STRING']}"
            assert answer.status_code in {200, 302, 403, 404, 422}, asked
            if answer.status_code == 200:
                shown.add(answer.resolver_match.view_name)
            found += [f"{asked}: {fault}" for fault in (faults(page) if page else [])]
            assert "<b>" not in page, asked
    assert found == []
    ours = {name for name in named(get_resolver().url_patterns) if not name.startswith("api-")} | {"api-docs"}
    assert ours - NO_PAGES - shown == set(), "pages that this test does not visit"
    assert NO_PAGES - ours == set(), "that are gone"


@pytest.mark.parametrize(
    ("markup", "fault"),
    [
        ("<p>x</div></p>", "</div> ends <p>"),
        ("<p id='a'></p><p id='a'></p>", "2 elements have the id 'a'"),
        ("<input id='a'>", "<input id='a'> has no label"),
        ("<label for='a'>x</label>", "refers to 'a', which is not there"),
        ("<h3>x</h3>", "h3 follows h1"),
        ("<h1>x</h1>", "2 of <h1>"),
        ("<main></main>", "2 of <main>"),
        ("<nav><a href='/'>x</a></nav>", "1 navigations called ''"),
        ("<table><tbody><tr><td>1</td></tr></tbody></table>", "has no caption"),
        ("<table><caption>x</caption><thead><tr><th>x</th></tr></thead></table>", "has no scope"),
        ("<fieldset></fieldset>", "has no legend"),
        ("<a href='/'></a>", "has no words"),
        ("<ul><p>x</p></ul>", "<p> is in <ul>"),
        ("<li>x</li>", "<li> is in <main>"),
        ("<p><div></div></p>", "<div> is in ['p']"),
        ("<a href='/'><button>x</button></a>", "is in something to press"),
        ("<p style='color:red'>x</p>", "has style"),
        ("<script>x</script>", "is inline"),
        ("<img src='https://example.org/x' alt='x'>", "comes from elsewhere"),
        ("<label><input aria-invalid='true'> x</label>", "is wrong and does not say why"),
        ("<input type='radio' id='a'><label for='a'>x</label>", "is in no group"),
    ],
)
def test_bad_markup_is_found_out(markup: str, fault: str) -> None:
    page = (
        '<!DOCTYPE html><html lang="en"><head><title>x</title></head><body><a href="#main">x</a>'
        '<main id="main"><h1>x</h1>{}</main></body></html>'
    )
    assert faults(page.format("")) == []
    assert [found for found in faults(page.format(markup)) if fault in found]


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("<!DOCTYPE html>", "", "no doctype"),
        (' lang="en"', "", "no language"),
        ("<title>x</title>", "<title></title>", "no title"),
        ('<a href="#main">x</a>', "", "the first link does not lead to the content"),
        ("<body>", "<body><p>x</p>", "is in no landmark"),
    ],
)
def test_a_bad_frame_is_found_out(old: str, new: str, fault: str) -> None:
    page = (
        '<!DOCTYPE html><html lang="en"><head><title>x</title></head><body><a href="#main">x</a>'
        '<main id="main"><h1>x</h1></main></body></html>'
    )
    assert [found for found in faults(page.replace(old, new)) if fault in found]


def test_every_answer_says_what_a_page_may_load_and_the_admin_can_live_with_it(admin_client: Client) -> None:
    place = make.listing()
    for path in (
        *("/", "/api/docs", "/api/v1/listings", "/no/such/page", "/livez"),
        *("/admin/", "/admin/login/", "/admin/stays/listing/", "/admin/accounts/user/add/"),
        reverse("admin:stays_listing_change", args=[place.pk]),
    ):
        answer = admin_client.get(path, follow=True)
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        assert "unsafe" not in policy
        if answer.headers["Content-Type"].startswith("text/html"):
            assert [*active(Page(answer.content.decode()))] == [], path


def luminance(colour: list[float]) -> float:
    """Relative luminance (WCAG 2.2)."""
    channels = [channel / 255 for channel in colour]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def declared(css: str) -> tuple[dict[str, str], dict[str, str]]:
    """What a sheet says to Pico's properties: always, and in the dark besides."""
    light, dark = re.split(r"prefers-color-scheme: ?dark\) ?{", css)
    found = [dict(re.findall(r"--pico-([\w-]+): ?([^;}]+)", part)) for part in (light, dark.split("}")[0])]
    return found[0], found[1]


def colour(of: dict[str, str], name: str) -> list[float]:
    """A property's red, green and blue."""
    value = of[name]
    if value.startswith("var("):
        return colour(of, value[len("var(--pico-") : -1])
    if value.startswith("rgb("):
        return [float(channel) for channel in value[4:-1].split(",")]
    digits = "".join(2 * digit for digit in value[1:]) if len(value) == 4 else value[1:]
    return [int(digits[at : at + 2], 16) for at in (0, 2, 4)]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_differ_enough_in_light_and_in_dark(theme: str) -> None:
    """4.5 to 1 for words, 3 to 1 for borders and the focus (WCAG 2.2, 1.4.3 and 1.4.11)."""
    colours: dict[str, str] = {}
    for light, dark in (declared(sheet.read_text()) for sheet in (PICO, STYLE)):
        colours |= light | (dark if theme == "dark" else {})
    words = ["color", "muted-color", "del-color", "primary", "primary-hover", "primary-focus"]
    words += [*(f"h{level}-color" for level in (1, 2, 3)), "accordion-open-summary-color"]
    grounds = ("background-color", "card-background-color")
    pairs = [(name, ground, 4.5) for name in words for ground in grounds]
    pairs += [("code-color", "code-background-color", 4.5)]
    pairs += [("form-element-color", "form-element-background-color", 4.5)]
    pairs += [("primary-inverse", f"primary-{name}", 4.5) for name in ("background", "hover-background")]
    borders = ("form-element-border-color", "form-element-invalid-border-color")
    pairs += [(border, ground, 3) for border in borders for ground in grounds]
    for one, other, least in pairs:
        darker, lighter = sorted(luminance(colour(colours, name)) for name in (one, other))
        assert (lighter + 0.05) / (darker + 0.05) >= least, f"{one} on {other}"


def test_the_style_sheets_load_nothing_and_ours_names_colours_once() -> None:
    pico, ours = PICO.read_text(), STYLE.read_text()
    icons = re.findall(r"(--pico-icon-\w+):url\(", pico)  # of data: addresses, which the policy refuses
    assert len(re.findall(r"url\(|@import", pico)) == len(icons)
    assert set(icons) == set(re.findall(r"(--pico-icon-\w+): none;", ours))
    rules = re.sub(r"--pico-[\w-]+: #[0-9a-f]{6};", "", ours)
    assert not re.findall(r"#[0-9a-f]{3,8}\b|rgb|url\(|@import", rules)
