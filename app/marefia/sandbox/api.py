"""Chapa's API, as https://developer.chapa.co/docs describes it and as it was seen to answer."""

import functools
import hmac
import json
import re
import time
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from marefia.sandbox import deliveries, transport
from marefia.sandbox.models import Fault, Kind, Outcome, Transaction

View = Callable[..., HttpResponse]
LARGEST = Decimal("9999999.99")
FORM = "application/x-www-form-urlencoded"


def only_here(view: View) -> View:
    """Nothing of the sandbox is there where the service has the real Chapa."""

    @functools.wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not settings.SANDBOX:
            raise Http404
        return view(request, *args, **kwargs)

    return csrf_exempt(wrapped)


def call(*methods: str, fails: bool = True) -> Callable[[View], View]:
    """A call of the API: who asks has the key, and meets the faults that were asked for where it `fails`."""

    def decorate(view: View) -> View:
        @only_here
        @require_http_methods([*methods])
        @functools.wraps(view)
        def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            given = request.headers.get("Authorization", "")
            if not given:
                return answer("Authorization required", 401)
            if not hmac.compare_digest(given.encode(), f"Bearer {settings.CHAPA_KEY}".encode()):
                return answer("Invalid API Key", 401)
            return _met(lambda: view(request, *args, **kwargs)) if fails else view(request, *args, **kwargs)

        return wrapped

    return decorate


def answer(message: Any, code: int = 200, data: Any = None, **more: Any) -> JsonResponse:
    """As Chapa answers."""
    said = {"message": message, "status": "success" if code < 400 else "failed", "data": data} | more
    return JsonResponse(said, status=code)


@call("POST")
def initialize(request: HttpRequest) -> HttpResponse:
    """`POST transaction/initialize`."""
    try:
        asked = json.loads(request.body)
    except ValueError:
        asked = None
    if not isinstance(asked, dict):
        return answer("The body is no JSON object", 400)
    if faults := _faults(asked):
        return answer(faults, 400)
    here = transport.HERE in request.META
    try:
        with transaction.atomic():
            made = Transaction.objects.create(
                tx_ref=asked["tx_ref"],
                amount=Decimal(asked["amount"]),
                currency=asked["currency"],
                asked=asked,
                here=here,
            )
    except IntegrityError:
        return answer("Transaction reference has been used before", 400)
    path = reverse("sandbox_checkout", args=[made.reference])
    # Asked from within, only the merchant's own addresses say where the browser is.
    origin = "{0.scheme}://{0.netloc}".format(urlsplit(asked.get("return_url", ""))) if here else ""
    url = origin + path if origin.startswith("http") else request.build_absolute_uri(path)
    return answer("Hosted Link", data={"checkout_url": url})


@call("GET")
def verify(request: HttpRequest, tx_ref: str) -> HttpResponse:
    """`GET transaction/verify/<tx_ref>`."""
    found = Transaction.objects.filter(tx_ref=tx_ref).first()
    if found is None:
        return answer("Invalid transaction or Transaction not found", 404)
    if found.status == Outcome.PENDING:
        return answer("Payment not paid yet", 404, status=None)
    told = deliveries.told(found)
    told |= {name: float(told[name]) for name in ("amount", "charge")} | {
        "method": told.pop("payment_method")
    }
    return answer("Payment details", data=told, status=found.status)


@call("PUT")
def cancel(request: HttpRequest, tx_ref: str) -> HttpResponse:
    """`PUT transaction/cancel/<tx_ref>`."""
    pending = Transaction.objects.filter(tx_ref=tx_ref, status=Outcome.PENDING)
    if not pending.update(status=Outcome.CANCELLED):
        return answer("Transaction is not active", 400)
    return answer("Transaction is cancelled", data={"tx_ref": tx_ref})


@call("POST")
def refund(request: HttpRequest, reference: str) -> HttpResponse:
    """`POST refund/<reference>`, of all that was paid."""
    if request.content_type != FORM:
        return answer("The body is no form", 400)
    with transaction.atomic():
        found = Transaction.objects.select_for_update().filter(reference=reference).first()
        if found is None or found.status != Outcome.SUCCESS:
            return answer("Transaction cannot be refunded", 400)
        if request.POST.get("amount", f"{found.amount:.2f}") != f"{found.amount:.2f}":
            return answer("The sandbox refunds the whole amount only", 400)
        found.status = Outcome.REFUNDED
        found.save()
        deliveries.tell(found)
    return answer("Refunded", data={"ref_id": reference, "amount": f"{found.amount:.2f}"})


@call("POST", fails=False)
def faults(request: HttpRequest) -> HttpResponse:
    """`POST faults`, which Chapa has not: what the next calls meet (`kind`, `left`, `seconds`); none: nothing."""
    kind, left, seconds = (request.POST.get(name) for name in ("kind", "left", "seconds"))
    if kind and kind not in Kind.values:
        return answer(f"kind is one of {', '.join(Kind.values)}", 400)
    if not re.fullmatch(r"\d{1,6}", left or "1") or not re.fullmatch(r"\d{1,2}(\.\d{1,3})?", seconds or "5"):
        return answer("left is a number of calls, seconds less than 100", 400)
    Fault.objects.all().delete()
    if kind:
        Fault.objects.create(kind=kind, left=int(left or 1), seconds=min(float(seconds or 5), 60))
    return answer("As you like")


def _met(work: Callable[[], HttpResponse]) -> HttpResponse:
    """What a call meets instead of, or beside, its answer."""
    fault = Fault.objects.filter(left__gt=0).first()
    if fault is None or not Fault.objects.filter(pk=fault.pk, left__gt=0).update(left=F("left") - 1):
        return work()
    if fault.kind == Kind.DOWN:
        return HttpResponse("Service Unavailable", status=503)
    if fault.kind == Kind.GARBAGE:
        return HttpResponse("<html><h1>Welcome!</h1></html>")
    if fault.kind == Kind.SLOW:
        gone = transport.patience.get()
        time.sleep(fault.seconds if gone is None else min(fault.seconds, gone))
        return work()
    work()
    return HttpResponse("Bad Gateway", status=502)


def _faults(asked: dict[str, Any]) -> dict[str, list[str]]:
    """What is wrong with each field."""
    texts = {name: asked.get(name) for name in ("tx_ref", "amount", "currency")}
    custom = asked.get("customization") or {}
    if not isinstance(custom, dict):
        return {"customization": ["It is no object."]}
    given = {"phone_number": asked.get("phone_number"), "return_url": asked.get("return_url")} | custom
    if wrong := [name for name, said in given.items() if not isinstance(said, str | None)]:
        return {name: [f"The {name} is no text."] for name in wrong}
    rules = {
        "tx_ref": re.fullmatch(r"[\w.-]{1,50}", str(texts["tx_ref"])),
        "amount": _amount(texts["amount"]),
        "currency": texts["currency"] in ("ETB", "USD"),
        "phone_number": re.fullmatch(r"(0[79]\d{8})?", asked.get("phone_number") or ""),
        "customization.title": re.fullmatch(r"[\w. -]{0,16}", custom.get("title") or "", re.ASCII),
        "customization.description": re.fullmatch(r"[\w. -]*", custom.get("description") or "", re.ASCII),
    }
    return {name: [f"The {name} is not valid."] for name, kept in rules.items() if not kept}


def _amount(said: Any) -> bool:
    try:
        return (
            isinstance(said, str)
            and 0 < Decimal(said) <= LARGEST
            and Decimal(said) == round(Decimal(said), 2)
        )
    except InvalidOperation:
        return False
