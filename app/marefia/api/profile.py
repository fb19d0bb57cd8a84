"""`/api/v1/profile`: what a user says about themselves."""

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.generics import GenericAPIView
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from marefia.accounts.models import Profile, Role, User
from marefia.api.problems import Conflict
from marefia.api.serializers import ProfileSerializer


class ProfileView(GenericAPIView[Profile]):
    """One's own, and nobody else's."""

    serializer_class = ProfileSerializer
    permission_classes = [IsAuthenticated]

    def get_object(self) -> Profile:
        """Return the user's; a new one where there is none."""
        assert isinstance(self.request.user, User)  # noqa: S101 - for the type checker; the permission has seen to it
        return getattr(self.request.user, "profile", None) or Profile(user=self.request.user)

    def get(self, request: Request) -> Response:
        """Read it."""
        return Response(self.get_serializer(self.get_object()).data)

    @extend_schema(
        responses={
            200: ProfileSerializer,
            409: OpenApiResponse(description="Whoever offers places stays a host."),
        }
    )
    def patch(self, request: Request) -> Response:
        """Change name, phone or role."""
        profile = self.get_object()
        serializer = self.get_serializer(profile, data=request.data, partial=True)
        serializer.is_valid(raise_exception=True)
        if serializer.validated_data.get("role") == Role.GUEST and profile.user.listings.exists():
            raise Conflict("You offer places: who does is a host.")
        serializer.save()
        return Response(serializer.data)
