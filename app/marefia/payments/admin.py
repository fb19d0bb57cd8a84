"""What a person does with payments: look at them, and try again what got stuck."""
# mypy: disable-error-code="type-arg"
# These classes are generic in the stubs only.

from django.contrib import admin
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest

from marefia.outbox import queue
from marefia.payments.models import Payment, PaymentEvent
from marefia.payments.states import State


class ReadOnly(admin.ModelAdmin):
    """Rows say what happened."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """They come from their causes."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """See above."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """They are the account."""
        return False


@admin.register(Payment)
class PaymentAdmin(ReadOnly):
    """Payments, those with trouble by the filter."""

    list_display = ["tx_ref", "booking", "amount", "currency", "state", "trouble", "created_at"]
    list_filter = ["state", ("trouble", admin.EmptyFieldListFilter)]
    list_select_related = ["booking"]
    search_fields = ["tx_ref", "reference", "booking__reference", "booking__guest__email"]
    date_hierarchy = "created_at"
    actions = ["ask", "refund_again"]

    @admin.action(description="Ask Chapa what became of it", permissions=["view"])
    def ask(self, request: HttpRequest, payments: QuerySet[Payment]) -> None:
        """Let a worker ask."""
        with transaction.atomic():
            for payment in payments:
                queue.put("payments.ask", {"tx_ref": payment.tx_ref})

    @admin.action(
        description="Ask for the refund again (look at Chapa's dashboard first)", permissions=["view"]
    )
    def refund_again(self, request: HttpRequest, payments: QuerySet[Payment]) -> None:
        """Let a worker ask for a refund of which it is known that Chapa did not make it."""
        with transaction.atomic():
            for payment in payments.filter(state=State.REFUNDING):
                Payment.objects.filter(pk=payment.pk).update(refund_sent_at=None, trouble="")
                queue.put("payments.refund", {"tx_ref": payment.tx_ref})


@admin.register(PaymentEvent)
class PaymentEventAdmin(ReadOnly):
    """What came in on the webhook."""

    list_display = ["id", "kind", "tx_ref", "verdict", "reason", "deliveries", "received_at"]
    list_filter = ["verdict", "kind"]
    search_fields = ["tx_ref"]
