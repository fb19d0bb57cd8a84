"""Tokens of django-rest-knox: stored hashed, expiring."""

from typing import Any

from django.utils import timezone
from knox.auth import TokenAuthentication as KnoxAuthentication
from rest_framework.exceptions import AuthenticationFailed


class TokenAuthentication(KnoxAuthentication):
    """knox's, without a look at the user's other tokens in each request: ops cleans up daily."""

    def authenticate_credentials(self, token: bytes) -> Any:
        """Return user and token; raise AuthenticationFailed, also for bytes that are no text."""
        try:
            token.decode()
        except UnicodeDecodeError as error:
            raise AuthenticationFailed("Invalid token.") from error
        return super().authenticate_credentials(token)

    def _cleanup_token(self, auth_token: Any) -> bool:
        return auth_token.expiry is not None and auth_token.expiry < timezone.now()
