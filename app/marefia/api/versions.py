"""Versions stand in the path, and DRF knows them by the URLs' namespaces."""

import datetime
from typing import Any

from django.utils.http import http_date
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

VERSIONS = ("v1", "v2")
DEPRECATED_ON = datetime.datetime(2026, 12, 1, tzinfo=datetime.UTC)
SUNSET_ON = datetime.datetime(2027, 12, 1, tzinfo=datetime.UTC)
HEADERS = {
    "Deprecation": f"@{DEPRECATED_ON.timestamp():.0f}",  # RFC 9745
    "Sunset": http_date(SUNSET_ON.timestamp()),  # RFC 8594
}


class Deprecated(APIView):
    """A resource of v1 that v2 has, too: every answer says until when, and where its successor is."""

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        """Add the headers."""
        answer = super().finalize_response(request, response, *args, **kwargs)
        successor = request.path.replace("/v1/", "/v2/", 1)
        for name, value in {**HEADERS, "Link": f'<{successor}>; rel="successor-version"'}.items():
            answer.headers[name] = value
        return answer
