"""A thousand webhooks, repeated, in any order, at once, many of them not Chapa's, while a release replaces another."""

from __future__ import annotations

import hashlib
import hmac
import json
import random
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections import Counter
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import pytest

from tests.rollout.changes import visible_text
from tests.rollout.checkout import Checkout
from tests.rollout.state import await_rest

pytestmark = pytest.mark.verify
PAYMENTS, UNPAID, COPIES, AT_ONCE = 50, 10, 15, 16
SECONDS = 45
"""Over which the deliveries are spread; the rollout takes less."""
PAY = "mutation ($id: ID!) {payBooking(input: {booking: $id}) {payment {txRef amount checkoutUrl} errors {message}}}"
BOOK = "mutation ($input: BookInput!) {book(input: $input) {booking {id} errors {message}}}"


@dataclass(frozen=True)
class Delivery:
    """A webhook, and the status that it has to be answered with."""

    body: bytes
    signature: str
    status: int


@dataclass
class Shop:
    """A service that is its own Chapa."""

    checkout: Checkout
    payments: list[dict[str, str]] = field(default_factory=list)

    def ask(self, path: str, data: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        """Status and body; nothing is tried again."""
        request = urllib.request.Request(f"{self.checkout.url}{path}", data, headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def graph(self, token: str, query: str, **variables: Any) -> Any:
        body = json.dumps({"query": query, "variables": variables}).encode()
        status, answer = self.ask(
            "/graphql", body, Authorization=f"Token {token}", **{"Content-Type": "application/json"}
        )
        assert status == 200, answer
        (payload,) = json.loads(answer)["data"].values()
        assert not payload.pop("errors"), answer
        return next(iter(payload.values()))

    def sell(self, many: int) -> None:
        """Let a guest book and begin to pay, so many times."""
        login = json.dumps({"email": "guest1@example.org", "password": "marefia-demo"}).encode()
        _, answer = self.ask("/api/v1/tokens", login, **{"Content-Type": "application/json"})
        token = json.loads(answer)["token"]
        _, answer = self.ask(
            "/graphql?query=" + urllib.parse.quote("{listings(first: 1) {edges {node {id}}}}")
        )
        listing = json.loads(answer)["data"]["listings"]["edges"][0]["node"]["id"]
        night = date(random.SystemRandom().randrange(2200, 9000), 1, 1)  # taken by no earlier run
        for number in range(many):
            arrives = night + timedelta(days=number)
            stay = {"checkIn": str(arrives), "checkOut": str(arrives + timedelta(days=1)), "guests": 1}
            wish = stay | {"listing": listing, "clientMutationId": str(uuid.uuid4())}
            booking = self.graph(token, BOOK, input=wish)
            self.payments.append(self.graph(token, PAY, id=booking["id"]))

    def pay(self, payment: dict[str, str]) -> None:
        """Pay on the sandbox's page, which tells nobody."""
        path = urllib.parse.urlsplit(payment["checkoutUrl"]).path
        form = {"card": "4200000000000000", "outcome": "success", "copies": "0"}
        status, _ = self.ask(path, urllib.parse.urlencode(form).encode())
        assert status in (200, 302)  # it leads to a page that wants a login

    def key(self) -> str:
        """What the sandbox signs with (app/marefia/sandbox/keys.py)."""
        lines = (self.checkout.root / "secrets.env").read_text().splitlines()
        secret = dict(line.split("=", 1) for line in lines)["SECRET_KEY"]
        return hmac.new(secret.encode(), b"sandbox webhook", hashlib.sha256).hexdigest()[:32]


def sign(key: str, body: bytes) -> str:
    return hmac.new(key.encode(), body, hashlib.sha256).hexdigest()


def event(payment: dict[str, str]) -> bytes:
    """Chapa tells of a success."""
    told = {
        "event": "charge.success",
        "status": "success",
        "mode": "test",
        "currency": "ETB",
        "reference": "AP1",
    }
    return json.dumps(
        told | {"tx_ref": payment["txRef"], "amount": payment["amount"], "charge": "1.00"}
    ).encode()


def wrong(payment: dict[str, str], key: str) -> list[Delivery]:
    """What Chapa did not send: its signature is another's, of other bytes, or the constant one."""
    body = event(payment)
    place = body.index(payment["amount"].encode())
    altered = body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :]
    return [
        Delivery(body, sign("somebody's", body), 401),
        Delivery(altered, sign(key, body), 401),
        Delivery(body, sign(key, key.encode()), 401),
        Delivery(body, "", 401),
    ]


def deliver(shop: Shop, deliveries: list[Delivery]) -> Counter[tuple[int, int]]:
    """Send all, many at once; count (expected, answered)."""
    answers: Counter[tuple[int, int]] = Counter()
    waiting, begin = iter(list(enumerate(deliveries))), time.monotonic()
    lock = threading.Lock()

    def work() -> None:
        while True:
            with lock:
                number, one = next(waiting, (0, None))
            if one is None:
                return
            time.sleep(max(0, begin + SECONDS * number / len(deliveries) - time.monotonic()))
            headers = {"Content-Type": "application/json", "x-chapa-signature": one.signature}
            status, _ = shop.ask("/payments/webhook", one.body, **headers)
            with lock:
                answers[one.status, status] += 1

    threads = [threading.Thread(target=work) for _ in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def test_each_payment_is_credited_once_and_none_wrongly(up: Checkout) -> None:
    shop = Shop(up)
    shop.sell(PAYMENTS + UNPAID)
    for payment in shop.payments[:PAYMENTS]:
        shop.pay(payment)
    key = shop.key()
    genuine = [
        Delivery(body, sign(key, body), 200)
        for payment in shop.payments[:PAYMENTS]
        for body in [event(payment)] * COPIES
    ]
    forged = [one for payment in shop.payments for one in wrong(payment, key)]
    deliveries = genuine + forged
    random.Random(7).shuffle(deliveries)
    assert len(deliveries) >= 980

    release = up.commit(visible_text("Paid across a rollout"))
    deploy = up.start("deploy")
    answers = deliver(shop, deliveries)
    deploy.wait(300)
    assert (deploy.status, up.version()["commit"]) == (0, release), deploy.output
    assert answers == {(200, 200): len(genuine), (401, 401): len(forged)}

    await_rest(up)
    states = {row["tx_ref"]: row["state"] for row in up.rows("SELECT tx_ref, state FROM payments_payment")}
    assert {states[payment["txRef"]] for payment in shop.payments[:PAYMENTS]} == {"paid"}
    assert {states[payment["txRef"]] for payment in shop.payments[PAYMENTS:]} == {"open"}
    mails = up.rows("SELECT payload FROM outbox_outboxrow WHERE handler = 'outbox.mail'")
    assert sum("Receipt: " in json.loads(row["payload"])["body"] for row in mails) == PAYMENTS
    events = up.rows("SELECT verdict, reason, deliveries FROM payments_paymentevent")
    kept = Counter((row["verdict"], row["reason"]) for row in events)
    assert kept.pop(("done", "credited")) == PAYMENTS
    assert set(kept) == {("rejected", "the signature is not Chapa's")}
    assert sum(row["deliveries"] for row in events) == len(deliveries)


def test_what_no_webhook_told_is_settled_within_two_rounds(up: Checkout) -> None:
    unpaid = {row["tx_ref"] for row in up.rows("SELECT tx_ref FROM payments_payment WHERE state = 'open'")}
    shop = Shop(up)
    shop.sell(PAYMENTS)
    for payment in shop.payments:
        shop.pay(payment)
    end = time.monotonic() + 150
    while time.monotonic() < end:
        open_now = {
            row["tx_ref"] for row in up.rows("SELECT tx_ref FROM payments_payment WHERE state = 'open'")
        }
        if open_now <= unpaid:
            break
        time.sleep(1)
    assert open_now <= unpaid
