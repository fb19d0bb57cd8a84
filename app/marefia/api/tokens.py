"""`/api/v1/tokens`: credentials for a token, and a token back."""

from typing import Any

from django.contrib.auth import authenticate
from drf_spectacular.utils import extend_schema
from knox.models import AuthToken
from rest_framework import status
from rest_framework.authentication import BasicAuthentication
from rest_framework.exceptions import AuthenticationFailed, Throttled
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from marefia.accounts.models import User
from marefia.api.authentication import TokenAuthentication
from marefia.api.serializers import CredentialsSerializer, TokenSerializer
from marefia.api.throttles import Throttle


def log_in(request: Request, email: str, password: str) -> User:
    """Return who these credentials are of; raise AuthenticationFailed, or Throttled before they are looked at."""
    throttle = Throttle()
    address = throttle.get_ident(request)
    tries = throttle.count("login", f"{address} {email.lower()}")
    if not (throttle.count("login_address", address) and tries):
        raise Throttled(throttle.wait())
    user = None if "\0" in email else authenticate(request, username=email, password=password)
    if not isinstance(user, User):
        raise AuthenticationFailed("Address or password are wrong.")
    return user


class PasswordAuthentication(BasicAuthentication):
    """HTTP Basic, tried no more often than JSON."""

    def authenticate_credentials(self, userid: str, password: str, request: Any = None) -> tuple[User, None]:
        """Return the user; raise AuthenticationFailed or Throttled."""
        return log_in(request, userid, password), None


class TokensView(APIView):
    """POST makes a token; DELETE ends the one that the request carries."""

    authentication_classes = [PasswordAuthentication, TokenAuthentication]
    permission_classes = [AllowAny]

    @extend_schema(request=CredentialsSerializer, responses={201: TokenSerializer})
    def post(self, request: Request) -> Response:
        """Log in with HTTP Basic or with `email` and `password` in JSON."""
        user = request.user
        if not isinstance(request.successful_authenticator, PasswordAuthentication):  # a token buys no other
            credentials = CredentialsSerializer(data=request.data)
            credentials.is_valid(raise_exception=True)
            user = log_in(request, **credentials.validated_data)
        token, secret = AuthToken.objects.create(user=user)
        return Response(
            {"token": secret, "expiry": token.expiry},
            status=status.HTTP_201_CREATED,
            headers={"Cache-Control": "no-store"},
        )

    @extend_schema(request=None, responses={204: None})
    def delete(self, request: Request) -> Response:
        """Log out."""
        if not isinstance(request.auth, AuthToken):
            raise AuthenticationFailed("This takes a token.")
        request.auth.delete()
        return Response(status=status.HTTP_204_NO_CONTENT)
