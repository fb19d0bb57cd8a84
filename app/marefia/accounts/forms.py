"""Signing up."""
# mypy: disable-error-code="type-arg"
# These classes are generic in the stubs only.

from django import forms
from django.contrib.auth.forms import BaseUserCreationForm

from marefia.accounts.models import PHONE, Role, User


class SignUpForm(BaseUserCreationForm):
    """An address, a password twice, and what one came for."""

    role = forms.ChoiceField(
        choices=[(Role.GUEST, "find a place"), (Role.HOST, "offer a place")], label="I want to"
    )
    phone = forms.RegexField(PHONE, required=False, max_length=20)

    class Meta:
        model = User
        fields = ("email", "first_name", "last_name")

    def clean_email(self) -> str:
        """Refuse an address that is known, however it is capitalised."""
        email = str(self.cleaned_data["email"]).lower()
        if User.objects.filter(email=email).exists():
            raise forms.ValidationError("Someone with this address has signed up.")
        return email

    def save(self, commit: bool = True) -> User:
        """Store the user with the profile."""
        data = self.cleaned_data
        return User.objects.create_user(
            data["email"],
            data["password1"],
            role=data["role"],
            phone=data["phone"],
            first_name=data["first_name"],
            last_name=data["last_name"],
        )
