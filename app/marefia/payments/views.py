"""The pages of a payment: to Chapa, and back."""

from datetime import timedelta

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from marefia.payments import chapa, checkout, ledger, work
from marefia.payments.models import Payment
from marefia.payments.states import UNSETTLED
from marefia.stays.models import Booking
from marefia.stays.views import user_of

PATIENCE = timedelta(seconds=5)
REFRESH = 5  # seconds


@login_required
@require_POST
def pay(request: HttpRequest, pk: int) -> HttpResponse:
    """Send a guest to Chapa's page."""
    own = Booking.objects.select_related("listing", "guest__profile")
    booking = get_object_or_404(own, pk=pk, guest=user_of(request))
    try:
        payment = checkout.begin(booking, request.build_absolute_uri("/")[:-1])
    except ledger.CannotPayError as error:
        messages.error(request, str(error))
        return redirect("bookings")
    return redirect(payment.checkout_url)


@login_required
@require_safe
def payment(request: HttpRequest, tx_ref: str) -> HttpResponse:
    """Say what became of a payment; until that is known, look again by itself."""
    if "\0" in tx_ref:
        raise Http404
    found = _own(request, tx_ref)
    away = False
    if found.state in UNSETTLED:
        try:
            work.ask(found, patience=PATIENCE)
        except chapa.ChapaError:
            away = True
        found = _own(request, tx_ref)
    response = render(request, "payments/payment.html", {"payment": found, "away": away})
    if found.state in UNSETTLED:
        response.headers["Refresh"] = str(REFRESH)
    return response


def _own(request: HttpRequest, tx_ref: str) -> Payment:
    own = Payment.objects.select_related("booking__listing")
    return get_object_or_404(own, tx_ref=tx_ref, booking__guest=user_of(request))
