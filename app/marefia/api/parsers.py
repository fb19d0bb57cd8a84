"""JSON of a reasonable size."""

from typing import Any

from django.conf import settings
from rest_framework.exceptions import APIException
from rest_framework.parsers import JSONParser


class TooLargeError(APIException):
    """413."""

    status_code = 413
    default_detail = "The body is too large."


class LimitedJSONParser(JSONParser):
    """DRF reads the stream itself and so passes Django's limit by."""

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        """Return the body; raise TooLargeError above Django's limit, ParseError for what is not JSON."""
        request = (parser_context or {})["request"]
        length = request.META.get("CONTENT_LENGTH") or "0"
        if not length.isdecimal() or int(length) > (settings.DATA_UPLOAD_MAX_MEMORY_SIZE or 0):
            raise TooLargeError
        return super().parse(stream, media_type, parser_context)
