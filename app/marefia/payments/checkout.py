"""A guest pays a booking: on Chapa's page, to which this gives the address."""

import re
from datetime import timedelta

import structlog
from django.urls import reverse

from marefia.accounts.models import User
from marefia.payments import chapa, gateway, ledger
from marefia.payments.models import Payment
from marefia.stays.models import Booking

PATIENCE = timedelta(seconds=12)
"""A guest waits."""
log = structlog.stdlib.get_logger(__name__)


def begin(booking: Booking, origin: str) -> Payment:
    """The payment by which a booking is to be paid, with its `checkout_url`. Asked again, it is the same one.

    :param origin: of this site as the guest's browser knows it: https://name.
    :raises CannotPayError: there is nothing to pay, or Chapa does not take it; ChapaAwayError: try later.
    """
    payment, new = ledger.take(booking)
    if not new:
        return payment
    try:
        with gateway.chapa(patience=PATIENCE) as client:
            checkout = client.initialize(_asked(payment, booking.guest, origin))
    except chapa.RefusedError as error:
        ledger.refused(payment, str(error))
        log.error("payment_refused", tx_ref=payment.tx_ref, reason=str(error))
        raise ledger.CannotPayError("Chapa does not take this payment. We were told of it.") from error
    except chapa.UnavailableError as error:
        log.warning("chapa_away", tx_ref=payment.tx_ref, reason=str(error))
        raise ledger.ChapaAwayError(
            "Chapa does not answer. Nothing was paid; try again in a minute."
        ) from error
    payment = ledger.opened(payment, checkout.url)
    if payment.state != "open":
        raise ledger.CannotPayError("This booking is cancelled.")
    return payment


def _asked(payment: Payment, guest: User, origin: str) -> chapa.Payment:
    profile = getattr(guest, "profile", None)
    phone = profile.phone if profile else ""
    return chapa.Payment(
        amount=payment.amount,
        currency=payment.currency,
        tx_ref=payment.tx_ref,
        email=guest.email,
        first_name=guest.first_name,
        last_name=guest.last_name,
        phone_number=phone if chapa.PHONE.fullmatch(phone) else "",
        callback_url=origin + reverse("payment_callback"),
        return_url=origin + reverse("payment", args=[payment.tx_ref]),
        title="Marefia",
        description=re.sub(r"[^A-Za-z0-9._ -]", " ", str(payment.booking.listing))[:255],
    )
