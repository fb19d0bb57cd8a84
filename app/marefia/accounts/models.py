"""Users, who log in with their address, and their profiles."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.auth.models import AbstractUser, BaseUserManager
from django.db import models, transaction
from django.db.models.functions import Lower

PHONE = r"^\+?[0-9 ]{6,20}$"


class Role(models.TextChoices):
    """What a user came for; a host may book too."""

    HOST = "host"
    GUEST = "guest"


class UserManager(BaseUserManager["User"]):
    """Makes users with their profile. Addresses are kept in lower case: one address is one user."""

    @transaction.atomic
    def create_user(
        self,
        email: str,
        password: str | None = None,
        *,
        role: str = Role.GUEST,
        phone: str = "",
        **fields: Any,
    ) -> User:
        """Store a user (password None: cannot log in) and the profile."""
        if not email:
            raise ValueError("a user needs an address")
        user = self.model(email=email.lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        Profile.objects.create(user=user, role=role, phone=phone)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        """Store a user who may do everything; called by `manage.py createsuperuser`."""
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)

    def get_by_natural_key(self, username: str | None) -> User:
        """Find who logs in, however the address is capitalised."""
        return self.get(email=(username or "").lower())


class User(AbstractUser):
    """Who logs in."""

    username = None  # type: ignore[assignment]  # the way Django documents for leaving the field out
    email = models.EmailField("email address", unique=True)

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []
    objects: ClassVar[UserManager] = UserManager()  # type: ignore[assignment]  # AbstractUser declares its own

    class Meta(AbstractUser.Meta):
        abstract = False
        constraints = [models.UniqueConstraint(Lower("email"), name="user_email_once_in_any_case")]

    def __str__(self) -> str:
        return self.email

    @property
    def is_host(self) -> bool:
        """Whether this user may offer listings."""
        profile: Profile | None = getattr(self, "profile", None)
        return profile is not None and profile.role == Role.HOST


class Profile(models.Model):
    """What we know of a user beyond the login."""

    user = models.OneToOneField(User, on_delete=models.CASCADE, related_name="profile")
    role = models.CharField(max_length=10, choices=Role, default=Role.GUEST, db_default=Role.GUEST)
    phone = models.CharField(max_length=20, blank=True, default="", db_default="")

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="profile_role_is_known")
        ]

    def __str__(self) -> str:
        return f"{self.user} ({self.role})"
