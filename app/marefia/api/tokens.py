"""`/api/v1/tokens`: credentials for a token, and a token back."""

from django.contrib.auth import authenticate
from drf_spectacular.utils import extend_schema
from knox.models import AuthToken
from rest_framework import status
from rest_framework.authentication import BasicAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from marefia.accounts.models import User
from marefia.api.authentication import TokenAuthentication
from marefia.api.serializers import CredentialsSerializer, TokenSerializer


class TokensView(APIView):
    """POST makes a token; DELETE ends the one that the request carries."""

    authentication_classes = [BasicAuthentication, TokenAuthentication]
    permission_classes = [AllowAny]

    @extend_schema(request=CredentialsSerializer, responses={201: TokenSerializer})
    def post(self, request: Request) -> Response:
        """Log in with HTTP Basic or with `email` and `password` in JSON."""
        user = request.user if isinstance(request.user, User) else None
        if user is None:
            credentials = CredentialsSerializer(data=request.data)
            credentials.is_valid(raise_exception=True)
            found = authenticate(
                request._request,
                username=credentials.validated_data["email"],
                password=credentials.validated_data["password"],
            )
            user = found if isinstance(found, User) else None
        if user is None:
            raise AuthenticationFailed("Address or password are wrong.")
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
