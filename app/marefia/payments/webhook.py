"""What Chapa calls."""

from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST, require_safe

from marefia.outbox import queue
from marefia.payments import inbox
from marefia.payments.models import Payment

QUIET = timedelta(seconds=10)
"""Between two questions that callbacks cause: anybody can send one."""


@csrf_exempt
@require_POST
def webhook(request: HttpRequest) -> HttpResponse:
    """`POST /payments/webhook`: 200 when it is stored, 401 when it is not Chapa's, 413 when it is too large."""
    if not settings.PAYMENTS:
        raise Http404
    body = request.read(inbox.MOST_BYTES + 1)
    if len(body) > inbox.MOST_BYTES:
        return HttpResponse("The event is too large.\n", "text/plain", status=413)
    why = inbox.receive(body, request.headers.get("x-chapa-signature", ""))
    return HttpResponse(f"{why}\n" if why else "", "text/plain", status=401 if why else 200)


@require_safe
def callback(request: HttpRequest) -> HttpResponse:
    """`GET /payments/callback?trx_ref=`: a hint to ask Chapa, and a proof of nothing."""
    tx_ref = request.GET.get("trx_ref") or request.GET.get("tx_ref") or ""
    if "\0" in tx_ref:
        raise Http404
    with transaction.atomic():
        known = Payment.objects.filter(tx_ref=tx_ref)
        payment = get_object_or_404(known)
        rested = known.filter(Q(asked_at=None) | Q(asked_at__lte=Now() - QUIET))
        if rested.update(asked_at=Now()):
            queue.put("payments.ask", {"tx_ref": payment.tx_ref})
    return HttpResponse("Thank you.\n", "text/plain")
