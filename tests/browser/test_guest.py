"""What a person does with nothing but a browser, after nothing but `make up`."""

from __future__ import annotations

import re
from datetime import date, timedelta

import pytest

from tests.browser.conftest import Visitor
from tests.rollout.marefia_traffic import PASSWORD

pytestmark = pytest.mark.browser


def log_in(visitor: Visitor, who: str) -> None:
    visitor.go("/accounts/login/")
    visitor.page.get_by_label(re.compile("address")).fill(f"{who}@example.org")
    visitor.page.get_by_label("Password:", exact=True).fill(PASSWORD)
    visitor.press("Log in")


def book(visitor: Visitor, begins: int, nights: int = 2) -> None:
    """Search for a place that is free then, and book it."""
    arrives = date.today() + timedelta(days=begins)  # noqa: DTZ011 - as the guest's calendar says
    leaves = arrives + timedelta(days=nights)
    visitor.go("/")
    visitor.look("places")
    visitor.page.get_by_label("Check in").fill(f"{arrives}")
    visitor.page.get_by_label("Check out").fill(f"{leaves}")
    visitor.press("Search")
    visitor.look("found")
    visitor.page.locator("ul.cards h3 a").first.click()
    visitor.look("place")
    visitor.page.get_by_label("Guests").fill("2")
    visitor.press("Book")
    visitor.says("Booked")
    visitor.look("booked")


def pay(visitor: Visitor) -> None:
    visitor.press("Pay")
    visitor.says("No money moves here")
    visitor.look("sandbox")
    visitor.press("Pay")
    visitor.says("Thank you")
    visitor.look("paid")


def test_a_guest_signs_up_books_and_pays_and_reads_the_receipt(visitor: Visitor) -> None:
    visitor.go("/accounts/sign-up/")
    visitor.look("sign-up")
    for label, text in {"First name": "Hana", "Last name": "Girma"}.items():
        visitor.page.get_by_label(label).fill(text)
    visitor.page.get_by_label(re.compile("Email")).fill("hana@example.org")
    for label in ("Password:", "Password confirmation:"):
        visitor.page.get_by_label(label, exact=True).fill("quiet-hills-7")
    visitor.press("Sign up")
    book(visitor, begins=50)
    pay(visitor)
    visitor.go("/mailbox/")
    visitor.look("mailbox")
    end = 30
    while not visitor.page.get_by_role("link", name=re.compile("^Paid: ")).count() and end:
        visitor.page.wait_for_timeout(1000)
        visitor.page.reload()
        end -= 1
    visitor.follow("^Paid: ")
    visitor.says("Receipt: AP[0-9A-F]{16}")
    visitor.look("receipt")


def test_a_guest_reviews_a_stay(visitor: Visitor) -> None:
    log_in(visitor, "guest1")
    visitor.go("/bookings/?period=past")
    visitor.look("past-stays")
    visitor.follow("How was it")
    visitor.page.get_by_label("Rating").select_option("5")
    visitor.page.get_by_label("Text").fill("ጥሩ ነበር 🙂")
    visitor.look("review")
    visitor.page.get_by_role("button").last.click()
    visitor.says("ጥሩ ነበር|You said: 5 of 5|Thank you")
    visitor.look("reviewed")


def test_a_guest_cancels_what_was_paid_and_gets_the_money_back(visitor: Visitor) -> None:
    log_in(visitor, "guest2")
    book(visitor, begins=90)
    pay(visitor)
    payment = visitor.page.url
    visitor.go("/bookings/")
    visitor.page.locator("summary", has_text="Cancel").last.click()
    visitor.page.get_by_role("button", name="Give these nights back").last.click()
    visitor.says("Cancelled")
    visitor.page.goto(payment)
    for _ in range(30):
        if visitor.page.get_by_text("went back to you").count():
            break
        visitor.page.wait_for_timeout(1000)
        visitor.page.reload()
    visitor.says("The money went back to you")
    visitor.look("refunded")


def test_a_payment_that_fails_can_be_made_again(visitor: Visitor) -> None:
    log_in(visitor, "guest3")
    book(visitor, begins=130)
    visitor.press("Pay")
    visitor.press("Let it fail")
    visitor.says("Nothing was paid")
    visitor.look("failed")
    visitor.go("/bookings/")
    pay(visitor)


def test_a_host_adds_a_place(visitor: Visitor) -> None:
    log_in(visitor, "host1")
    visitor.go("/hosting/add/")
    visitor.look("add")
    for label, text in {"Title": "ድንኳን by the lake", "Town": "Hawassa", "Guests at most": "3"}.items():
        visitor.page.get_by_label(label).fill(text)
    visitor.page.get_by_label(re.compile("^Price")).fill("850")
    visitor.page.get_by_label("Wi-Fi").check()
    visitor.page.locator("main form button[type=submit]").last.click()
    visitor.says("ድንኳን by the lake")
    visitor.look("added")
