"""What Chapa calls, and the pages of a payment."""

from django.urls import path

from marefia.payments import views, webhook

urlpatterns = [
    path("webhook", webhook.webhook, name="payment_webhook"),
    path("callback", webhook.callback, name="payment_callback"),
    path("booking/<int:pk>/", views.pay, name="pay_booking"),
    path("<str:tx_ref>/", views.payment, name="payment"),
]
