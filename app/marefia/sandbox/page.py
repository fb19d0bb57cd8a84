"""The page on which a guest pays: here a person says how it ends, and how badly Chapa tells of it."""

from django import forms
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods

from marefia.sandbox import deliveries
from marefia.sandbox.api import only_here
from marefia.sandbox.models import Outcome, Transaction

CARD = "4200 0000 0000 0000"


class PayForm(forms.Form):
    """The card that Chapa's test mode knows, and what is to go wrong."""

    card = forms.CharField(label="Card number", initial=CARD, max_length=30)
    outcome = forms.ChoiceField(
        choices=[(Outcome.SUCCESS, "Pay"), (Outcome.FAILED, "Fail"), (Outcome.CANCELLED, "Cancel")],
        initial=Outcome.SUCCESS,
        required=False,
    )
    copies = forms.IntegerField(
        label="Webhooks sent", initial=1, min_value=0, max_value=50, required=False, help_text="0: none"
    )
    tamper = forms.ChoiceField(
        label="Webhooks are",
        choices=[(one, one or "as they should be") for one in deliveries.Tamper],
        required=False,
    )
    seconds = forms.IntegerField(
        label="Seconds until they are sent", initial=0, min_value=0, max_value=3600, required=False
    )

    def clean_card(self) -> str:
        """Refuse every other card."""
        card: str = self.cleaned_data["card"]
        if card.replace(" ", "") != CARD.replace(" ", ""):
            raise forms.ValidationError(f"The sandbox knows one card, {CARD}.")
        return card


@only_here
@require_http_methods(["GET", "HEAD", "POST"])
def checkout(request: HttpRequest, reference: str) -> HttpResponse:
    """Show what is to be paid; POST ends it."""
    found = get_object_or_404(Transaction, reference=reference)
    form = PayForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        _end(found, form.cleaned_data)
        return redirect(found.asked.get("return_url") or request.path)
    return render(request, "sandbox/checkout.html", {"transaction": found, "form": form})


@transaction.atomic
def _end(found: Transaction, told: dict[str, object]) -> None:
    """What failed may be tried again; what is paid, cancelled or refunded stays."""
    found = Transaction.objects.select_for_update().get(pk=found.pk)
    if found.status not in (Outcome.PENDING, Outcome.FAILED):
        return
    found.status = str(told["outcome"] or Outcome.SUCCESS)
    found.save()
    copies, seconds = told["copies"], told["seconds"]
    deliveries.tell(
        found,
        1 if copies is None else int(str(copies)),
        deliveries.Tamper(str(told["tamper"])),
        float(str(seconds or 0)),
    )
