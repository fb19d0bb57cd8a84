"""The sandbox's addresses; without the sandbox they are not there."""

from django.urls import path

from marefia.sandbox import api, page

urlpatterns = [
    path("chapa/v1/transaction/initialize", api.initialize, name="sandbox_initialize"),
    path("chapa/v1/transaction/verify/<str:tx_ref>", api.verify, name="sandbox_verify"),
    path("chapa/v1/transaction/cancel/<str:tx_ref>", api.cancel, name="sandbox_cancel"),
    path("chapa/v1/refund/<str:reference>", api.refund, name="sandbox_refund"),
    path("chapa/v1/faults", api.faults, name="sandbox_faults"),
    path("chapa/checkout/<str:reference>/", page.checkout, name="sandbox_checkout"),
]
