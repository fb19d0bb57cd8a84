"""The sandbox answers as Chapa is documented to, and fails as it is told to."""

import hashlib
import hmac
import json
import time
from datetime import timedelta
from typing import Any

import httpx
import pytest
from django.conf import settings
from django.test import Client

from marefia.outbox.models import OutboxRow, Status
from marefia.payments import chapa, gateway
from marefia.sandbox import deliveries, keys, transport
from marefia.sandbox.models import Fault, Transaction
from tests.app import make, paying

pytestmark = pytest.mark.django_db
V1 = "/sandbox/chapa/v1"
ASKED = {
    "amount": "400.00",
    "currency": "ETB",
    "tx_ref": "stay-1",
    "email": "hana@example.org",
    "callback_url": "https://shop.example/payments/callback",
    "return_url": "https://shop.example/thanks",
    "customization": {"title": "Marefia", "description": "Two nights"},
}


def call(method: str, path: str, body: Any = None, **headers: str) -> Any:
    """Ask with the key, unless a header says otherwise."""
    sent = {"Authorization": f"Bearer {settings.CHAPA_KEY}"} | headers
    data = body if isinstance(body, str) else json.dumps(body or {})
    kind = "application/x-www-form-urlencoded" if isinstance(body, str) else "application/json"
    return Client().generic(method, f"{V1}/{path}", data, kind, headers=sent)


def made(**changes: Any) -> Transaction:
    assert call("POST", "transaction/initialize", ASKED | changes).status_code == 200
    return Transaction.objects.get(tx_ref=changes.get("tx_ref", "stay-1"))


def test_a_transaction_is_begun_with_a_page_to_pay_on() -> None:
    answer = call("POST", "transaction/initialize", ASKED)
    body = answer.json()
    assert (body["message"], body["status"]) == ("Hosted Link", "success")
    assert (
        body["data"]["checkout_url"]
        == f"http://testserver/sandbox/chapa/checkout/{Transaction.objects.get().reference}/"
    )
    again = call("POST", "transaction/initialize", ASKED)
    assert (again.status_code, again.json()["message"]) == (400, "Transaction reference has been used before")
    assert (again.json()["status"], again.json()["data"]) == ("failed", None)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"amount": 400}, "amount"),
        ({"amount": "NaN"}, "amount"),
        ({"amount": "10000000"}, "amount"),
        ({"amount": "0"}, "amount"),
        ({"currency": "EUR"}, "currency"),
        ({"tx_ref": "a b"}, "tx_ref"),
        ({"tx_ref": "x" * 51}, "tx_ref"),
        ({"phone_number": "+251911"}, "phone_number"),
        ({"customization": {"title": "A title of seventeen"}}, "customization.title"),
        ({"customization": {"description": "50 %"}}, "customization.description"),
    ],
)
def test_what_chapa_would_refuse_is_refused_by_field(change: dict[str, Any], field: str) -> None:
    answer = call("POST", "transaction/initialize", ASKED | change)
    assert (answer.status_code, list(answer.json()["message"])) == (400, [field])
    assert not Transaction.objects.exists()


@pytest.mark.parametrize("body", ["", "[]", "null", "{"])
def test_a_body_that_is_no_object_is_refused(body: str) -> None:
    answer = call("POST", "transaction/initialize", body)
    assert answer.status_code == 400


@pytest.mark.parametrize("header", ["", "Bearer wrong", "Bearer ß"])
def test_who_has_not_the_key_is_refused(header: str) -> None:
    message = "Invalid API Key" if header else "Authorization required"
    calls = {"transaction/initialize": "POST", "transaction/verify/a": "GET", "transaction/cancel/a": "PUT"}
    for path, method in calls.items():
        answer = call(method, path, Authorization=header)
        assert (answer.status_code, answer.json()["message"]) == (401, message)


def test_verify_tells_what_became_of_it() -> None:
    transaction = made()
    pending = call("GET", "transaction/verify/stay-1")
    assert (pending.status_code, pending.json()["status"]) == (404, None)
    assert pending.json()["message"] == "Payment not paid yet"
    unknown = call("GET", "transaction/verify/nobody")
    assert (unknown.status_code, unknown.json()["message"]) == (
        404,
        "Invalid transaction or Transaction not found",
    )
    pay(transaction, "failed")
    assert call("GET", "transaction/verify/stay-1").json()["status"] == "failed"
    pay(transaction)
    paid = call("GET", "transaction/verify/stay-1").json()
    assert (paid["status"], paid["data"]["amount"], paid["data"]["charge"]) == ("success", 400.0, 14.0)
    assert paid["data"]["reference"] == transaction.reference


def pay(transaction: Transaction, outcome: str = "success", **told: Any) -> Any:
    form = {"card": "4200 0000 0000 0000", "outcome": outcome, **told}
    return Client().post(f"/sandbox/chapa/checkout/{transaction.reference}/", form)


def test_what_is_cancelled_can_be_paid_no_more_and_what_is_paid_not_cancelled() -> None:
    first, second = made(), made(tx_ref="stay-2")
    assert call("PUT", "transaction/cancel/stay-1").status_code == 200
    assert call("PUT", "transaction/cancel/stay-1").status_code == 400
    pay(first)
    pay(second)
    first.refresh_from_db()
    assert first.status == "cancelled"
    assert call("PUT", "transaction/cancel/stay-2").status_code == 400


def test_a_refund_is_of_what_was_paid_and_once() -> None:
    transaction = made()
    path = f"refund/{transaction.reference}"
    assert call("POST", path, "reason=x").status_code == 400
    pay(transaction)
    assert call("POST", path, {"reason": "x"}).status_code == 400  # a form is what it takes
    assert call("POST", path, "amount=1.00").status_code == 400
    assert call("POST", path, "reason=x").status_code == 200
    assert call("POST", path, "reason=x").status_code == 400
    assert call("GET", "transaction/verify/stay-1").json()["status"] == "refunded"


@pytest.mark.parametrize(
    ("kind", "status", "done"), [("down", 503, False), ("lost", 502, True), ("garbage", 200, False)]
)
def test_it_fails_as_it_is_told_to(kind: str, status: int, done: bool) -> None:
    assert call("POST", "faults", f"kind={kind}&left=1").status_code in (status, 200)
    answer = call("POST", "transaction/initialize", ASKED)
    assert (answer.status_code, Transaction.objects.exists()) == (status, done)
    assert call("GET", "transaction/verify/nobody").status_code == 404  # once was enough
    assert call("POST", "faults", "kind=").status_code == 200
    assert not Fault.objects.exists()


def test_a_fault_that_nobody_knows_is_refused() -> None:
    assert call("POST", "faults", "kind=fire").status_code == 400


def test_the_page_takes_one_card() -> None:
    transaction = made()
    page = Client().post(f"/sandbox/chapa/checkout/{transaction.reference}/", {"card": "1234"})
    assert "knows one card" in page.content.decode()
    transaction.refresh_from_db()
    assert transaction.status == "pending"
    assert pay(transaction).headers["Location"] == "https://shop.example/thanks"
    assert "is success" in Client().get(f"/sandbox/chapa/checkout/{transaction.reference}/").content.decode()


def test_a_webhook_is_signed_over_its_bytes() -> None:
    transaction = made()
    pay(transaction, copies=3)
    rows = OutboxRow.objects.filter(handler="sandbox.deliver")
    hooks = [row.payload for row in rows if row.payload["method"] == "POST"]
    assert len(hooks) == 3
    hook = hooks[0]
    key = settings.CHAPA_WEBHOOK_SECRET.encode()
    signatures = [hmac.new(key, one, hashlib.sha256).hexdigest() for one in (hook["body"].encode(), key)]
    assert hook["url"] == "https://shop.example/payments/webhook"
    assert [hook["headers"][name] for name in ("x-chapa-signature", "chapa-signature")] == signatures
    assert json.loads(hook["body"])["amount"] == "400.00"
    (callback,) = (row.payload for row in rows if row.payload["method"] == "GET")
    assert callback["url"].startswith("https://shop.example/payments/callback?trx_ref=stay-1&ref_id=AP")


def test_whoever_asked_from_elsewhere_is_told_there(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[httpx.Request] = []

    def shop(request: httpx.Request) -> httpx.Response:
        told.append(request)
        return httpx.Response(500 if len(told) == 1 else 200)

    monkeypatch.setattr(transport, "outside", lambda: httpx.MockTransport(shop))
    pay(made(), copies=1)
    paying.work("sandbox.deliver")
    assert OutboxRow.objects.filter(handler="sandbox.deliver", status=Status.PENDING).count() == 1
    paying.again()
    assert [request.method for request in told] == ["POST", "GET", "POST"]
    assert json.loads(told[2].content)["event"] == "charge.success"


def test_webhooks_can_be_late() -> None:
    pay(made(), seconds=60)
    assert not paying.work("sandbox.deliver")
    assert OutboxRow.objects.filter(handler="sandbox.deliver").count() == 2


def test_without_the_sandbox_nothing_of_it_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    transaction = made()
    monkeypatch.setattr(settings, "SANDBOX", False)
    assert call("GET", "transaction/verify/stay-1").status_code == 404
    assert Client().get(f"/sandbox/chapa/checkout/{transaction.reference}/").status_code == 404


def test_its_keys_are_made_of_the_services_secret() -> None:
    api, webhook = keys.of("one")
    assert api.startswith("CHASECK_TEST-")
    assert (api, webhook) == keys.of("one") != keys.of("two")
    assert webhook not in api


def test_no_client_can_pretend_to_be_within() -> None:
    call("POST", "transaction/initialize", ASKED, **{"marefia.here": "1", "Marefia-Here": "1"})
    assert not Transaction.objects.get().here
    assert deliveries.Tamper("") == ""


def test_who_asks_from_within_waits_no_longer_than_their_patience() -> None:
    paying.fault("slow", left=9, seconds=30)
    begin = time.monotonic()
    with (
        gateway.chapa(patience=timedelta(seconds=0.3)) as client,
        pytest.raises(chapa.UnavailableError) as caught,
    ):
        client.verify("nobody-1")
    assert caught.value.sent
    assert time.monotonic() - begin < 10


def test_faults_are_taken_back_while_they_last() -> None:
    paying.fault("down", left=9)
    assert call("POST", "faults", "x=").status_code == 200
    assert not Fault.objects.exists()
    for wrong in ("left=x", "seconds=nan", "seconds=-1", "kind=bored"):
        assert call("POST", "faults", f"kind=down&{wrong}").status_code == 400
    assert not Fault.objects.exists()


@pytest.mark.parametrize(
    "wrong",
    [
        {"customization": "x"},
        {"customization": {"title": 5}},
        {"phone_number": 5},
        {"return_url": 5},
        {"amount": "1.999"},
    ],
)
def test_what_is_of_another_type_is_refused(wrong: dict[str, Any]) -> None:
    assert call("POST", "transaction/initialize", ASKED | wrong).status_code == 400


@pytest.mark.parametrize("sandbox", [True, False])
def test_the_admin_has_the_sandbox_where_there_is_one(sandbox: bool, settings: Any) -> None:
    settings.SANDBOX = sandbox
    admin = Client()
    admin.force_login(make.user(is_staff=True, is_superuser=True))
    expected = 200 if sandbox else 403
    assert {admin.get(f"/admin/sandbox/{name}/").status_code for name in ("fault", "transaction")} == {
        expected
    }
    assert (b"/admin/sandbox/" in admin.get("/admin/").content) is sandbox
