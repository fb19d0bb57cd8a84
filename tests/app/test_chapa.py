"""The client of Chapa: what it sends, what it makes of answers (as Chapa documents them), when it asks again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
import stamina
from hypothesis import given
from hypothesis import strategies as st

from marefia.payments import chapa
from marefia.payments.chapa import Chapa, Payment, Status

KEY = "CHASECK_TEST-of-nobody"  # pragma: allowlist secret
PAYMENT = Payment(amount=Decimal("400"), currency="ETB", tx_ref="stay-1")
VERIFIED = {
    "message": "Payment details",
    "status": "success",
    "data": {
        "first_name": "Bilen", "last_name": "Gizachew", "email": "abebech@example.com", "currency": "ETB",
        "amount": 100, "charge": 3.5, "mode": "test", "method": "test", "type": "API", "status": "success",
        "reference": "6jnheVKQEmy", "tx_ref": "chewatatest-6669", "customization": {}, "meta": None,
        "created_at": "2023-02-02T07:05:23.000000Z", "updated_at": "2023-02-02T07:05:23.000000Z",
    },
}  # fmt: skip
EVENT = {
    "event": "charge.success", "tx_ref": "stay-1", "reference": "APqDY", "status": "success", "amount": "400.00",
    "charge": "12.00", "currency": "ETB", "mode": "live", "type": "API", "payment_method": "telebirr",
}  # fmt: skip
WRONG_AMOUNTS: list[Any] = ["1e3", "NaN", "-1", "", None, True, [], "9" * 500]
Answer = httpx.Response | Exception


@pytest.fixture(autouse=True)
def at_once() -> Iterator[None]:
    """Nobody waits between attempts."""
    with stamina.set_testing(True, attempts=chapa.ATTEMPTS):
        yield


class Wire:
    """Answers in order, the last one again and again; what was asked is kept."""

    def __init__(self, *answers: Answer) -> None:
        self.answers, self.asked = list(answers), list[httpx.Request]()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer.status_code, content=answer.content)

    def client(self) -> Chapa:
        return Chapa(KEY, transport=httpx.MockTransport(self))


def said(status: int, told: Any) -> httpx.Response:
    return httpx.Response(status, content=told if isinstance(told, bytes) else json.dumps(told).encode())


def refused(status: int, message: Any) -> httpx.Response:
    return said(status, {"message": message, "status": "failed", "data": None})


ACTS: dict[str, Callable[[Chapa], Any]] = {
    "initialize": lambda client: client.initialize(PAYMENT),
    "verify": lambda client: client.verify("stay-1"),
    "cancel": lambda client: client.cancel("stay-1"),
    "refund": lambda client: client.refund("APqDY"),
}


def test_a_payment_is_begun_with_what_was_told_and_nothing_else() -> None:
    wire = Wire(
        said(200, {"message": "Hosted Link", "status": "success", "data": {"checkout_url": "https://c/1"}})
    )
    payment = Payment(
        amount=Decimal("1234.5"), currency="ETB", tx_ref="stay-1", email="a@example.org", phone_number="0912345678",
        callback_url="https://s/c", return_url="https://s/r", title="Marefia", meta={"booking": "1"},
    )  # fmt: skip
    assert wire.client().initialize(payment) == chapa.Checkout("https://c/1")
    (request,) = wire.asked
    assert str(request.url) == "https://api.chapa.co/v1/transaction/initialize"
    assert request.headers["Authorization"] == f"Bearer {KEY}"
    assert json.loads(request.content) == {
        "amount": "1234.50", "currency": "ETB", "tx_ref": "stay-1", "email": "a@example.org",
        "phone_number": "0912345678", "callback_url": "https://s/c", "return_url": "https://s/r",
        "customization": {"title": "Marefia"}, "meta": {"booking": "1"},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("wrong", "rule"),
    [
        ({"amount": Decimal(0)}, "amount"),
        ({"amount": Decimal("-1")}, "amount"),
        ({"amount": Decimal("NaN")}, "amount"),
        ({"amount": Decimal("Infinity")}, "amount"),
        ({"amount": Decimal("0.001")}, "amount"),
        ({"amount": Decimal("10000000")}, "amount"),
        ({"currency": "EUR"}, "currency"),
        ({"tx_ref": ""}, "tx_ref"),
        ({"tx_ref": "x" * 51}, "tx_ref"),
        ({"tx_ref": "../cancel"}, "tx_ref"),
        ({"title": "x" * 17}, "title"),
        ({"description": "what's this?"}, "description"),
        ({"phone_number": "+251912345678"}, "phone_number"),
    ],
)
def test_what_chapa_would_refuse_is_not_sent(wrong: dict[str, Any], rule: str) -> None:
    told: dict[str, Any] = {"amount": Decimal(400), "currency": "ETB", "tx_ref": "stay-1"} | wrong
    with pytest.raises(ValueError, match=f"^{rule} is "):
        Payment(**told)


def test_a_transaction_is_read_exactly() -> None:
    found = Wire(said(200, VERIFIED)).client().verify("chewatatest-6669")
    assert found
    assert (found.amount, found.charge, found.currency) == (Decimal(100), Decimal("3.5"), "ETB")
    assert (found.status, found.reference, found.mode) == (Status.SUCCESS, "6jnheVKQEmy", "test")


def test_what_was_not_paid_yet_has_not_failed() -> None:
    wire = Wire(said(404, {"message": "Payment not paid yet", "status": None, "data": None}))
    assert wire.client().verify("stay-1") is None


def test_what_chapa_does_not_know_is_another_case() -> None:
    wire = Wire(refused(404, "Invalid transaction or Transaction not found"))
    with pytest.raises(chapa.UnknownTransactionError):
        wire.client().verify("stay-1")


def test_another_transaction_than_was_asked_for_is_no_answer() -> None:
    with pytest.raises(chapa.UnavailableError, match="when asked for 'stay-1'"):
        Wire(said(200, VERIFIED)).client().verify("stay-1")


@pytest.mark.parametrize("status", ["pending", "failed", "success", "something new", None])
def test_on_200_the_status_is_the_payments(status: str | None) -> None:
    told = VERIFIED | {"status": status, "data": VERIFIED["data"] | {"status": status}}  # type: ignore[operator]
    found = Wire(said(200, told)).client().verify("chewatatest-6669")
    assert found
    assert found.status == (status if status in set(Status) else Status.UNKNOWN)


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
def test_a_refusal_says_why_and_is_not_repeated(act: Callable[[Chapa], Any]) -> None:
    wire = Wire(refused(400, {"amount": ["The amount field is required."], "currency": "is bad"}))
    with pytest.raises(chapa.RefusedError) as refusal:
        act(wire.client())
    assert (
        str(refusal.value) == "Chapa refused (400): amount: The amount field is required.; currency: is bad"
    )
    assert refusal.value.fields == {"amount": "The amount field is required.", "currency": "is bad"}
    assert len(wire.asked) == 1


def test_a_refusal_may_say_nothing() -> None:
    with pytest.raises(chapa.RefusedError, match="no reason given"):
        Wire(said(400, {"status": "failed"})).client().cancel("stay-1")


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
def test_a_wrong_key_is_told_and_the_key_is_not(act: Callable[[Chapa], Any], status: int) -> None:
    with pytest.raises(chapa.UnauthorizedError) as refusal:
        act(Wire(refused(status, "Invalid API Key")).client())
    assert KEY not in repr(refusal.value) + repr(act)


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(500), httpx.Response(502, content=b"<html>"), httpx.Response(429), said(200, b"<html>"),
        refused(500, "Server Error"), refused(429, "Too many requests"),
        said(200, b"\xff"), said(200, []), said(200, b"[" * 100_000), httpx.ReadTimeout("slow"),
        httpx.RemoteProtocolError("gone"), said(200, b" " * (chapa.MOST_BYTES + 1)),
    ],
    ids=range(12),
)  # fmt: skip
def test_no_answer_is_asked_for_again_only_where_that_does_no_harm(
    act: Callable[[Chapa], Any], answer: Answer
) -> None:
    wire = Wire(answer)
    with pytest.raises(chapa.UnavailableError) as error:
        act(wire.client())
    assert error.value.sent
    repeatable = act in (ACTS["verify"], ACTS["cancel"])
    assert len(wire.asked) == (chapa.ATTEMPTS if repeatable else 1)


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
def test_what_never_left_is_sent_again(act: Callable[[Chapa], Any]) -> None:
    wire = Wire(httpx.ConnectError("nobody there"))
    with pytest.raises(chapa.UnavailableError) as error:
        act(wire.client())
    assert not error.value.sent
    assert len(wire.asked) == chapa.ATTEMPTS


def test_a_second_try_may_succeed() -> None:
    wire = Wire(httpx.Response(503), said(200, VERIFIED))
    assert wire.client().verify("chewatatest-6669")


@pytest.mark.parametrize("data", [None, [], {}, {"checkout_url": 5}, {"checkout_url": "javascript:alert(1)"}])
def test_a_page_to_pay_on_has_an_address(data: Any) -> None:
    wire = Wire(said(200, {"message": "Hosted Link", "status": "success", "data": data}))
    with pytest.raises(chapa.UnavailableError, match="no checkout_url"):
        wire.client().initialize(PAYMENT)


@pytest.mark.parametrize(
    "wrong", [{"amount": "much"}, {"currency": None}, {"tx_ref": " "}, {"mode": 5}, {"reference": []}]
)
def test_a_transaction_that_cannot_be_read_is_no_answer(wrong: dict[str, Any]) -> None:
    told = VERIFIED | {"data": VERIFIED["data"] | wrong}  # type: ignore[operator]
    with pytest.raises(chapa.UnavailableError, match="cannot be read"):
        Wire(said(200, told)).client().verify("chewatatest-6669")


@pytest.mark.parametrize("data", [None, []])
def test_a_transaction_without_data_is_no_answer(data: Any) -> None:
    with pytest.raises(chapa.UnavailableError, match="cannot be read"):
        Wire(said(200, VERIFIED | {"data": data})).client().verify("chewatatest-6669")


@pytest.mark.parametrize("more", [{}, {"charge": None, "reference": " ", "mode": "", "method": None}])
def test_of_a_transaction_little_has_to_be_told(more: dict[str, Any]) -> None:
    found = chapa.transaction(
        {"tx_ref": "stay-1", "amount": 1, "currency": "ETB", "status": "success"} | more
    )
    assert (found.charge, found.reference, found.mode, found.method) == (None, "", "", "")


def test_tries_are_counted_and_end_with_the_patience() -> None:
    wire = Wire(httpx.Response(503))
    with stamina.set_testing(True, attempts=10, cap=True), pytest.raises(chapa.UnavailableError):
        wire.client().verify("stay-1")
    assert len(wire.asked) == chapa.ATTEMPTS

    async def ask() -> None:
        async with chapa.AsyncChapa(KEY, transport=httpx.MockTransport(awaited)) as client:
            await client.verify("stay-1")

    awaited = Wire(httpx.Response(503))
    with stamina.set_testing(True, attempts=10, cap=True), pytest.raises(chapa.UnavailableError):
        asyncio.run(ask())
    assert len(awaited.asked) == chapa.ATTEMPTS
    impatient = Chapa(KEY, patience=timedelta(microseconds=1), transport=httpx.MockTransport(wire))
    with stamina.set_testing(False), pytest.raises(chapa.UnavailableError):
        impatient.verify("stay-1")
    assert len(wire.asked) == chapa.ATTEMPTS + 1


class Pieces(httpx.SyncByteStream, httpx.AsyncByteStream):
    """An answer that comes in pieces; how many were taken is counted."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces, self.taken = pieces, 0

    def __iter__(self) -> Iterator[bytes]:
        for piece in self.pieces:
            self.taken += 1
            yield piece

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self:
            yield piece


async def verify(answer: httpx.AsyncByteStream) -> chapa.Transaction | None:
    """Ask and await."""
    transport = httpx.MockTransport(lambda _: httpx.Response(200, stream=answer))
    async with chapa.AsyncChapa(KEY, transport=transport) as client:
        return await client.verify("chewatatest-6669")


def test_an_answer_may_come_in_pieces_and_be_of_the_largest_size() -> None:
    told = json.dumps(VERIFIED).encode().ljust(chapa.MOST_BYTES)
    halves = (told[:100], told[100:])
    transport = httpx.MockTransport(lambda _: httpx.Response(200, stream=Pieces(*halves)))
    assert Chapa(KEY, transport=transport).verify("chewatatest-6669")
    assert asyncio.run(verify(Pieces(*halves)))


def test_an_answer_without_an_end_is_given_up_while_it_comes() -> None:
    endless = Pieces(*[b" " * 100_000] * 100)
    transport = httpx.MockTransport(lambda _: httpx.Response(200, stream=endless))
    with stamina.set_testing(True, attempts=1):
        with pytest.raises(chapa.UnavailableError, match="answered more than"):
            Chapa(KEY, transport=transport).verify("chewatatest-6669")
        assert endless.taken == 11
        with pytest.raises(chapa.UnavailableError, match="answered more than"):
            asyncio.run(verify(endless))
        assert endless.taken == 22


def test_a_client_that_was_left_asks_no_more() -> None:
    wire = Wire(said(200, VERIFIED))

    async def leave() -> chapa.AsyncChapa:
        async with chapa.AsyncChapa(KEY, transport=httpx.MockTransport(wire)) as client:
            return client

    with wire.client() as left:
        pass
    with pytest.raises(RuntimeError, match="closed"):
        left.verify("stay-1")
    with pytest.raises(RuntimeError, match="closed"):
        asyncio.run(asyncio.wait_for(asyncio.run(leave()).verify("stay-1"), 1))
    assert not wire.asked


def test_a_redirect_does_not_take_the_key_elsewhere() -> None:
    wire = Wire(httpx.Response(302, headers={"Location": "https://elsewhere.example"}, content=b"{}"))
    with pytest.raises(chapa.RefusedError):
        wire.client().verify("stay-1")
    assert len(wire.asked) == 1


def test_a_refund_is_a_form_with_chapas_own_reference() -> None:
    wire = Wire(said(200, {"message": "Refunded", "status": "success", "data": {}}))
    wire.client().refund("APqDY", Decimal("12.5"), "cancelled", own="refund-1")
    (request,) = wire.asked
    assert request.url.path == "/v1/refund/APqDY"
    assert parse_qs(request.content.decode()) == {
        "amount": ["12.50"], "reason": ["cancelled"], "reference": ["refund-1"],
    }  # fmt: skip


@pytest.mark.parametrize("reference", ["", "a/b", "a?b", "..%2f", "x" * 51])
def test_a_reference_is_no_path(reference: str) -> None:
    wire = Wire(httpx.Response(200))
    for act in (Chapa.verify, Chapa.cancel, Chapa.refund):
        with pytest.raises(ValueError, match="a reference is"):
            act(wire.client(), reference)
    assert not wire.asked


def test_who_awaits_asks_the_same() -> None:
    answer = said(200, {"status": "success", "data": VERIFIED["data"] | {"checkout_url": "https://c/1"}})  # type: ignore[operator]
    asked, awaited = Wire(answer), Wire(answer)
    calls: dict[str, tuple[Any, ...]] = {
        "initialize": (PAYMENT,),
        "verify": ("chewatatest-6669",),
        "cancel": ("stay-1",),
        "refund": ("APqDY", Decimal(5), "cancelled", "refund-1"),
    }

    async def ask() -> list[Any]:
        async with chapa.AsyncChapa(KEY, transport=httpx.MockTransport(awaited)) as client:
            return [await getattr(client, name)(*told) for name, told in calls.items()]

    assert asyncio.run(ask()) == [getattr(asked.client(), name)(*told) for name, told in calls.items()]
    assert [(one.method, one.url, one.content, one.headers) for one in awaited.asked] == [
        (one.method, one.url, one.content, one.headers) for one in asked.asked
    ]


def test_many_are_asked_about_at_a_time() -> None:
    wire = Wire(said(200, VERIFIED))

    async def ask() -> list[chapa.Transaction | None]:
        async with chapa.AsyncChapa(KEY, transport=httpx.MockTransport(wire)) as client:
            return await asyncio.gather(*[client.verify("chewatatest-6669") for _ in range(20)])

    assert len(asyncio.run(ask())) == len(wire.asked) == 20


def test_an_answer_that_drips_for_ever_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chapa, "ANSWER_SECONDS", 0.0)
    with pytest.raises(chapa.UnavailableError, match="took longer"):
        Wire(said(200, VERIFIED)).client().verify("chewatatest-6669")


def test_a_signed_event_is_read_with_its_strings_as_money() -> None:
    body = json.dumps(EVENT).encode()
    event = chapa.event("secret", body, chapa.sign("secret", body))
    assert event.kind == "charge.success"
    assert (event.transaction.amount, event.transaction.charge) == (Decimal("400.00"), Decimal("12.00"))
    assert event.transaction.tx_ref == "stay-1"
    assert event.transaction.method == "telebirr"


def test_the_signature_is_of_the_bytes_and_not_of_what_they_mean() -> None:
    body = json.dumps(EVENT).encode()
    signature = chapa.sign("secret", body)
    for other in (json.dumps(EVENT, indent=1).encode(), body + b" ", body.replace(b"400", b"900")):
        with pytest.raises(chapa.BadSignatureError):
            chapa.event("secret", other, signature)


@pytest.mark.parametrize(
    "signature", ["", "0" * 64, "ñ", "\udcff", chapa.sign("other", b"{}"), chapa.sign("secret", b"secret")]
)
def test_nothing_else_is_a_signature_the_constant_one_included(signature: str) -> None:
    with pytest.raises(chapa.BadSignatureError):
        chapa.event("secret", json.dumps(EVENT).encode(), signature)


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b"\xff", b'{"event": 1}', b'{"event": "charge.success"}', b"[" * 100_000]
    + [json.dumps(EVENT | {"amount": amount}).encode() for amount in WRONG_AMOUNTS],
)
def test_a_signed_event_that_says_nothing_is_an_error_of_its_own(body: bytes) -> None:
    with pytest.raises(chapa.BadEventError):
        chapa.event("secret", body, chapa.sign("secret", body))


@pytest.mark.parametrize("content", [b"NaN", b'{"amount": -Infinity}', b"\xff", b"[" * 100_000, b"{"])
def test_what_is_no_json_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"is no|Expecting"):
        chapa.loads(content)


def test_no_money_is_a_float() -> None:
    with pytest.raises(ValueError, match="is no amount"):
        chapa.money(0.5)


@given(st.decimals(min_value=0, max_value=chapa.LARGEST, places=2))
def test_both_shapes_of_an_amount_are_the_same_money(amount: Decimal) -> None:
    number = chapa.loads(f'{{"amount": {amount}}}'.encode())["amount"]
    assert chapa.money(number) == chapa.money(str(amount)) == amount


@given(st.binary(max_size=200), st.text(max_size=70))
def test_nothing_unsigned_gets_through(body: bytes, signature: str) -> None:
    with pytest.raises(chapa.BadSignatureError):
        chapa.event("secret", body, signature)


def test_patience_is_told_as_a_time() -> None:
    with Chapa(
        KEY, patience=timedelta(seconds=1), transport=httpx.MockTransport(Wire(said(200, VERIFIED)))
    ) as client:
        assert client.verify("chewatatest-6669")
