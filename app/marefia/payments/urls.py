"""What Chapa calls, and the pages of a payment."""

from django.urls import path

from marefia.payments import exports, views, webhook

urlpatterns = [
    path("webhook", webhook.webhook, name="payment_webhook"),
    path("callback", webhook.callback, name="payment_callback"),
    path("booking/<int:pk>/", views.pay, name="pay_booking"),
    path("export.csv", exports.export, name="payments_export"),
    path("<str:tx_ref>/", views.payment, name="payment"),
]
