"""The least that Django can do: one view, no middleware, the bytes of a file; the measure for the rest."""

import os
from pathlib import Path

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

BODY = Path(os.environ["BARE_BODY"]).read_bytes()


def serve(request: HttpRequest) -> HttpResponse:
    """The recorded response of the real view."""
    return HttpResponse(BODY, content_type="application/json")


urlpatterns = [path("api/v1/listings", serve)]

settings.configure(ALLOWED_HOSTS=["127.0.0.1"], MIDDLEWARE=[], ROOT_URLCONF=__name__, SECRET_KEY="bare")
application = get_wsgi_application()
