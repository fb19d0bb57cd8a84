"""All URLs. Pages end in a slash, as Django's own do; machines' do not."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("", include("marefia.ops.urls")),
    path("", include("marefia.stays.urls")),
    path("payments/", include("marefia.payments.urls")),
    path("sandbox/", include("marefia.sandbox.urls")),
    path("accounts/", include("marefia.accounts.urls")),
    path("mailbox/", include("marefia.outbox.urls")),
    path("api/", include("marefia.api.urls")),
    path("", include("marefia.graph.urls")),
    path("admin/", admin.site.urls),
]
handler400 = "marefia.ops.errors.refused"
handler404 = "marefia.ops.errors.not_found"
handler500 = "marefia.ops.errors.failed"
