"""A client of Chapa, which takes payments in Ethiopia: https://developer.chapa.co/docs. It knows nothing of Django.

`Chapa` and `AsyncChapa` have the same methods. What a call sends, what its answers mean and when it may be sent again
is one `Call` for both. Money is `Decimal`: a JSON number never becomes a float. No error tells the key.

    with Chapa(key) as chapa:
        checkout = chapa.initialize(Payment(amount=Decimal("400.00"), currency="ETB", tx_ref="stay-1"))
        ...
        transaction = chapa.verify("stay-1")  # None: not paid yet
"""

from __future__ import annotations

import enum
import hashlib
import hmac
import json
import re
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import httpx
import stamina

URL = "https://api.chapa.co/v1"
LARGEST = Decimal("9999999.99")
CURRENCIES = ("ETB", "USD")
TX_REF = re.compile(r"[A-Za-z0-9._-]{1,50}")
TITLE = re.compile(r"[A-Za-z0-9._ -]{0,16}")
DESCRIPTION = re.compile(r"[A-Za-z0-9._ -]{0,255}")
PHONE = re.compile(r"0[79]\d{8}")
NUMBER = re.compile(r"\d{1,20}(\.\d{1,10})?")
MOST_BYTES = 1_000_000
"""Of an answer; Chapa's are of some hundred bytes."""
ANSWER_SECONDS = 20.0
"""Until the whole of an answer has to be there; the time-outs are of each piece."""
TIMEOUT = httpx.Timeout(10.0, connect=5.0)
ATTEMPTS = 3
NOT_PAID_YET = "not paid"
"""What is said of a transaction that was never paid or is still being paid: no failure of it."""
T = TypeVar("T")


class ChapaError(Exception):
    """Anything that went wrong; the text is a sentence for an operator."""


class RefusedError(ChapaError):
    """Chapa answered that it will not. The same request would be refused again.

    :ivar fields: what is wrong with each field, where Chapa says so.
    """

    def __init__(self, status: int, message: str, fields: Mapping[str, str] | None = None) -> None:
        super().__init__(f"Chapa refused ({status}): {message}")
        self.status, self.message, self.fields = status, message, dict(fields or {})


class UnauthorizedError(RefusedError):
    """The key is wrong, or of the other mode than the transaction."""


class UnknownTransactionError(RefusedError):
    """Chapa knows no transaction of that reference."""


class UnavailableError(ChapaError):
    """No answer that says anything: nobody there, too slow, too busy, or not JSON. What was asked may have been done.

    :ivar sent: whether the request may have reached Chapa.
    """

    def __init__(self, message: str, *, sent: bool = True) -> None:
        super().__init__(message)
        self.sent = sent


class BadSignatureError(ChapaError):
    """A webhook that Chapa did not sign."""


class BadEventError(ChapaError):
    """A webhook whose signature is Chapa's and whose body is not what Chapa documents."""


class Status(enum.StrEnum):
    """Where a transaction stands."""

    PENDING = "pending"
    SUCCESS = "success"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REFUNDED = "refunded"
    REVERSED = "reversed"
    UNKNOWN = "unknown"


SPELLINGS = {"failed/cancelled": Status.FAILED, "canceled": Status.CANCELLED}
"""What Chapa calls the same elsewhere."""


@dataclass(frozen=True, slots=True)
class Payment:
    """What a customer is asked to pay.

    :raises ValueError: Chapa would refuse it.
    """

    amount: Decimal
    currency: str
    tx_ref: str
    email: str = ""
    first_name: str = ""
    last_name: str = ""
    phone_number: str = ""
    callback_url: str = ""
    return_url: str = ""
    title: str = ""
    description: str = ""
    meta: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rules = {
            f"amount is above 0, of cents, and at most {LARGEST}": self.amount.is_finite()
            and 0 < self.amount <= LARGEST
            and self.amount == self.amount.quantize(Decimal("0.01")),
            f"currency is {' or '.join(CURRENCIES)}": self.currency in CURRENCIES,
            f"tx_ref is {TX_REF.pattern}": bool(TX_REF.fullmatch(self.tx_ref)),
            f"title is {TITLE.pattern}": bool(TITLE.fullmatch(self.title)),
            f"description is {DESCRIPTION.pattern}": bool(DESCRIPTION.fullmatch(self.description)),
            f"phone_number is {PHONE.pattern}": not self.phone_number
            or bool(PHONE.fullmatch(self.phone_number)),
        }
        if broken := [rule for rule, kept in rules.items() if not kept]:
            raise ValueError("; ".join(broken))

    def body(self) -> dict[str, Any]:
        """What is sent."""
        told: dict[str, Any] = {
            name: getattr(self, name)
            for name in (
                "currency", "tx_ref", "email", "first_name", "last_name", "phone_number", "callback_url", "return_url",
            )
        }  # fmt: skip
        custom = {"title": self.title, "description": self.description}
        told["customization"] = {name: value for name, value in custom.items() if value}
        told["meta"] = dict(self.meta)
        return {"amount": f"{self.amount:.2f}"} | {name: value for name, value in told.items() if value}


@dataclass(frozen=True, slots=True)
class Checkout:
    """Where the customer pays."""

    url: str


@dataclass(frozen=True, slots=True)
class Transaction:
    """What Chapa says of a transaction. `reference` is Chapa's own, `tx_ref` ours; `charge` is Chapa's fee."""

    tx_ref: str
    reference: str
    status: Status
    amount: Decimal
    currency: str
    charge: Decimal | None
    mode: str
    method: str
    raw: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Event:
    """What a webhook says. `kind` is Chapa's name of it, as in `charge.success`; transfers have no `tx_ref`."""

    kind: str
    transaction: Transaction


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request and what its answer means.

    :ivar repeatable: whether sending it again does no harm; else it is only repeated if it never left.
    """

    method: str
    path: str
    read: Callable[[int, Any], T]
    repeatable: bool
    body: Mapping[str, Any] | None = None
    form: Mapping[str, str] | None = None

    def request(self, client: httpx.Client | httpx.AsyncClient) -> httpx.Request:
        return client.build_request(self.method, self.path, json=self.body, data=self.form)

    def again(self, error: Exception) -> bool:
        """Whether to try once more."""
        return isinstance(error, UnavailableError) and (self.repeatable or not error.sent)

    def answer(self, status: int, content: bytes) -> T:
        """What an answer means.

        :raises ChapaError: as the methods of the client do.
        """
        if status == 429 or status >= 500:
            raise UnavailableError(f"Chapa answered {status}")
        try:
            told = loads(content)
        except ValueError as error:
            raise UnavailableError(f"Chapa answered {status} and no JSON") from error
        if not isinstance(told, dict):
            raise UnavailableError(f"Chapa answered {status} and no object")
        return self.read(status, told)


def initialize(payment: Payment) -> Call[Checkout]:
    """Not repeatable: a `tx_ref` is taken by the first one that arrives, whose answer may have been lost."""

    def read(status: int, told: dict[str, Any]) -> Checkout:
        data = _accepted(status, told)
        url = data.get("checkout_url")
        if not isinstance(url, str) or not url.startswith(("https://", "http://")):
            raise UnavailableError("Chapa answered no checkout_url")
        return Checkout(url)

    return Call("POST", "transaction/initialize", read, repeatable=False, body=payment.body())


def verify(tx_ref: str) -> Call[Transaction | None]:
    """None where Chapa knows it and it was not paid yet."""

    def read(status: int, told: dict[str, Any]) -> Transaction | None:
        if status == 404 and NOT_PAID_YET in _message(told).lower():
            return None
        if status == 404:
            raise UnknownTransactionError(status, _message(told))
        data = _accepted(status, told, statuses=None)
        try:
            found = transaction(data)
        except ValueError as error:
            raise UnavailableError(f"Chapa answered a transaction that cannot be read: {error}") from error
        if found.tx_ref != tx_ref:
            raise UnavailableError(f"Chapa answered {found.tx_ref!r} when asked for {tx_ref!r}")
        return found

    return Call("GET", f"transaction/verify/{_segment(tx_ref)}", read, repeatable=True)


def cancel(tx_ref: str) -> Call[None]:
    """Repeatable: a second one is refused, and that is all."""
    return Call("PUT", f"transaction/cancel/{_segment(tx_ref)}", _nothing, repeatable=True)


def refund(reference: str, amount: Decimal | None, reason: str, own: str) -> Call[None]:
    """Not repeatable: two might be two."""
    form = {"reason": reason, "reference": own} | ({"amount": f"{amount:.2f}"} if amount is not None else {})
    told = {name: value for name, value in form.items() if value}
    return Call("POST", f"refund/{_segment(reference)}", _nothing, repeatable=False, form=told)


class Chapa:
    """Chapa, for a thread at a time or many.

    :param key: the secret key, CHASECK-... or CHASECK_TEST-...
    :param patience: how long the tries of one call may take together.
    """

    def __init__(
        self,
        key: str,
        url: str = URL,
        timeout: httpx.Timeout = TIMEOUT,
        patience: timedelta = timedelta(seconds=30),
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._client = httpx.Client(transport=transport, **_told(key, url, timeout, patience))
        self._patience = patience

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    def initialize(self, payment: Payment) -> Checkout:
        """Begin a payment. Returns where the customer pays.

        :raises RefusedError: among others because its `tx_ref` was used before.
        :raises UnavailableError: with `sent`, the `tx_ref` may be taken: verify it, and go on with another one.
        """
        return self._send(initialize(payment))

    def verify(self, tx_ref: str) -> Transaction | None:
        """What became of a payment; None while it is not paid, which may still happen.

        Compare amount, currency, mode and tx_ref with what was asked for before anything is credited.

        :raises UnknownTransactionError: there is none of this name.
        """
        return self._send(verify(tx_ref))

    def cancel(self, tx_ref: str) -> None:
        """Let nobody pay it any more. It cannot be taken back.

        :raises RefusedError: it is not active: paid, failed, or cancelled before.
        """
        self._send(cancel(tx_ref))

    def refund(self, reference: str, amount: Decimal | None = None, reason: str = "", own: str = "") -> None:
        """Give money back, all where no amount is told. Chapa's fee is not refunded.

        :param reference: Chapa's own reference of the payment, not `tx_ref`.
        :param own: a reference of ours for the refund.
        :raises UnavailableError: with `sent`, it may have been done: do not just ask again.
        """
        self._send(refund(reference, amount, reason, own))

    def _send(self, call: Call[T]) -> T:
        for attempt in stamina.retry_context(on=call.again, **_retries(self._patience)):
            with attempt, _translated():
                response = self._client.send(call.request(self._client), stream=True)
                with closing(response):
                    received = Received()
                    for piece in response.iter_bytes():
                        received.take(piece)
                return call.answer(response.status_code, received.content)
        raise AssertionError("the last attempt raises or returns")


class AsyncChapa:
    """The same for a program that awaits: many calls at a time."""

    def __init__(
        self,
        key: str,
        url: str = URL,
        timeout: httpx.Timeout = TIMEOUT,
        patience: timedelta = timedelta(seconds=30),
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._client = httpx.AsyncClient(transport=transport, **_told(key, url, timeout, patience))
        self._patience = patience

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def initialize(self, payment: Payment) -> Checkout:
        """As `Chapa.initialize`."""
        return await self._send(initialize(payment))

    async def verify(self, tx_ref: str) -> Transaction | None:
        """As `Chapa.verify`."""
        return await self._send(verify(tx_ref))

    async def cancel(self, tx_ref: str) -> None:
        """As `Chapa.cancel`."""
        await self._send(cancel(tx_ref))

    async def refund(
        self, reference: str, amount: Decimal | None = None, reason: str = "", own: str = ""
    ) -> None:
        """As `Chapa.refund`."""
        await self._send(refund(reference, amount, reason, own))

    async def _send(self, call: Call[T]) -> T:
        async for attempt in stamina.retry_context(on=call.again, **_retries(self._patience)):
            with attempt, _translated():
                response = await self._client.send(call.request(self._client), stream=True)
                try:
                    received = Received()
                    async for piece in response.aiter_bytes():
                        received.take(piece)
                finally:
                    await response.aclose()
                return call.answer(response.status_code, received.content)
        raise AssertionError("the last attempt raises or returns")


class Received:
    """An answer as it comes in: neither endless nor for ever."""

    def __init__(self) -> None:
        self.content = b""
        self._end = time.monotonic() + ANSWER_SECONDS

    def take(self, piece: bytes) -> None:
        self.content += piece
        if len(self.content) > MOST_BYTES:
            raise UnavailableError(f"Chapa answered more than {MOST_BYTES} bytes")
        if time.monotonic() > self._end:
            raise UnavailableError(f"Chapa's answer took longer than {ANSWER_SECONDS:.0f} s")


class _translated:
    """httpx's errors as ours. A request that was never connected was never sent."""

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)):
            raise UnavailableError(f"Chapa cannot be reached ({type(error).__name__})", sent=False) from error
        if isinstance(error, httpx.HTTPError):
            raise UnavailableError(f"Chapa did not answer ({type(error).__name__})") from error


def sign(secret: str, body: bytes) -> str:
    """What the header `x-chapa-signature` of a webhook has to say."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def event(secret: str, body: bytes, signature: str) -> Event:
    """What a webhook says, once it is known to be Chapa's.

    :param body: the bytes as they were received.
    :param signature: the header `x-chapa-signature`. The other one, `chapa-signature`, proves nothing: it is the
        same for every body.
    :raises BadSignatureError: it is somebody else's, or was changed.
    :raises BadEventError: it is Chapa's and cannot be read.
    """
    if not hmac.compare_digest(sign(secret, body).encode(), signature.encode(errors="replace")):
        raise BadSignatureError("the signature is not Chapa's")
    try:
        told = loads(body)
        if not isinstance(told, dict) or not isinstance(told.get("event"), str):
            raise ValueError("it has no event")
        return Event(told["event"], transaction(told))
    except ValueError as error:
        raise BadEventError(f"the event cannot be read: {error}") from error


def transaction(told: Mapping[str, Any]) -> Transaction:
    """What verify's `data` or an event says. Amounts are numbers there and strings here.

    :raises ValueError: a field is missing or malformed.
    """
    status = str(told.get("status") or "").lower()
    return Transaction(
        tx_ref=_text(told, "tx_ref"),
        reference=_text(told, "reference", ""),
        status=SPELLINGS.get(status) or (Status(status) if status in set(Status) else Status.UNKNOWN),
        amount=money(told.get("amount")),
        currency=_text(told, "currency"),
        charge=money(told["charge"]) if told.get("charge") is not None else None,
        mode=_text(told, "mode", ""),
        method=_text(told, "method", "") or _text(told, "payment_method", ""),
        raw=told,
    )


def money(told: Any) -> Decimal:
    """An amount as Chapa tells it: 100, 3.5 or "400.00".

    :raises ValueError: it is none.
    """
    text = str(told) if isinstance(told, (str, int, Decimal)) else ""
    if not NUMBER.fullmatch(text):
        raise ValueError(f"{str(told)[:40]!r} is no amount")
    return Decimal(text)


def loads(content: bytes) -> Any:
    """JSON, whose numbers stay exact. :raises ValueError: it is none."""
    try:
        told = json.loads(content.decode(), parse_float=Decimal, parse_constant=_refuse)
        json.dumps(told, ensure_ascii=False, default=str).encode()  # half a character fits no table
        return told
    except (UnicodeError, RecursionError, InvalidOperation) as error:
        raise ValueError("it is no JSON") from error


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number")


def _accepted(
    status: int, told: dict[str, Any], statuses: tuple[str, ...] | None = ("success",)
) -> dict[str, Any]:
    """The `data` of an answer that is no refusal."""
    message = _message(told)
    fields = told["message"] if isinstance(told.get("message"), dict) else {}
    if status in (401, 403):
        raise UnauthorizedError(status, message)
    if status >= 300 or (statuses and told.get("status") not in statuses):
        raise RefusedError(status, message, {name: _line(why) for name, why in fields.items()})
    data = told.get("data")
    return data if isinstance(data, dict) else {}


def _nothing(status: int, told: dict[str, Any]) -> None:
    _accepted(status, told)


def _message(told: Mapping[str, Any]) -> str:
    """What an answer says, which may be a text or an object of texts by field."""
    said = told.get("message")
    if isinstance(said, dict):
        return "; ".join(f"{name}: {_line(why)}" for name, why in said.items())
    return _line(said) if said else "no reason given"


def _line(said: Any) -> str:
    words = ", ".join(map(str, said)) if isinstance(said, list) else str(said)
    return " ".join(words.split())[:300]


def _text(told: Mapping[str, Any], name: str, default: str | None = None) -> str:
    value = told.get(name)
    if value is None and default is not None:
        return default
    if not isinstance(value, str) or not value.strip():
        if default is not None and isinstance(value, str):
            return default
        raise ValueError(f"{name} is missing")
    return value


def _segment(reference: str) -> str:
    """A reference as a part of a path. :raises ValueError: it would be another path."""
    if not TX_REF.fullmatch(reference):
        raise ValueError(f"a reference is {TX_REF.pattern}")
    return reference


def _told(key: str, url: str, timeout: httpx.Timeout, patience: timedelta) -> dict[str, Any]:
    most = patience.total_seconds()
    return {
        "base_url": url,
        "timeout": httpx.Timeout(
            **{name: min(each or most, most) for name, each in timeout.as_dict().items()}
        ),
        "headers": {"Authorization": f"Bearer {key}", "Accept": "application/json"},
        "follow_redirects": False,  # they would take the key elsewhere
    }


def _retries(patience: timedelta) -> dict[str, Any]:
    return {"attempts": ATTEMPTS, "timeout": patience, "wait_initial": 0.2, "wait_max": 5.0}
