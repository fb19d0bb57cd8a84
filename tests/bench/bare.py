"""The least that serves the bytes of a file: a view of Django's alone, and one of DRF's; the measure for the rest."""

import json
import os
from pathlib import Path

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

BODY = Path(os.environ["BARE_BODY"]).read_bytes()
settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    INSTALLED_APPS=["rest_framework"],
    MIDDLEWARE=[],
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": [],
        "DEFAULT_PERMISSION_CLASSES": [],
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
        "UNAUTHENTICATED_USER": None,
    },
    ROOT_URLCONF=__name__,
    SECRET_KEY="bare",
)
application = get_wsgi_application()

from rest_framework.request import Request  # noqa: E402 - wants settings
from rest_framework.response import Response  # noqa: E402
from rest_framework.views import APIView  # noqa: E402


def serve(request: HttpRequest) -> HttpResponse:
    """The recorded response of the real view."""
    return HttpResponse(BODY, content_type="application/json")


class Bare(APIView):
    """The same data, rendered."""

    data = json.loads(BODY)

    def get(self, request: Request) -> Response:
        """The recorded response of the real view."""
        return Response(self.data)


urlpatterns = [path("api/v1/listings", serve), path("drf", Bare.as_view())]
