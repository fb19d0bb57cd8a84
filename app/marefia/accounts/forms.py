"""Signing up."""
# mypy: disable-error-code="type-arg"
# These classes are generic in the stubs only.

import re

from django import forms
from django.contrib.auth.forms import BaseUserCreationForm
from django.db import IntegrityError

from marefia.accounts.models import Role, User
from marefia.accounts.phones import MOBILE, dialled
from marefia.forms import OneLineField

KNOWN = "Someone with this address has signed up."


class MobileField(forms.CharField):
    """A mobile number of Ethiopia, kept as it is dialled there: 09 or 07 and eight digits."""

    widget = forms.TextInput(attrs={"type": "tel", "autocomplete": "tel"})
    default_error_messages = {"invalid": "Enter a mobile number of Ethiopia, such as 0911 234 567."}

    def to_python(self, value: object) -> str:
        """Take +251 for 0, and a blank, dot or dash between digits."""
        typed = str(super().to_python(value) or "")
        if typed and not re.fullmatch(MOBILE, typed):
            raise forms.ValidationError(self.error_messages["invalid"], "invalid")
        return dialled(typed)


class SignUpForm(BaseUserCreationForm):
    """An address, a password twice, and what one came for."""

    first_name = OneLineField(max_length=150, widget=forms.TextInput(attrs={"autocomplete": "given-name"}))
    last_name = OneLineField(
        max_length=150, required=False, widget=forms.TextInput(attrs={"autocomplete": "family-name"})
    )
    role = forms.ChoiceField(
        choices=[(Role.GUEST, "find a place"), (Role.HOST, "offer a place")],
        label="I want to",
        initial=Role.GUEST,
        widget=forms.RadioSelect,
    )
    phone = MobileField(required=False, max_length=40, help_text="If you like: a mobile number of Ethiopia.")

    class Meta:
        model = User
        fields = ("email", "first_name", "last_name")
        widgets = {"email": forms.EmailInput(attrs={"autocomplete": "email"})}

    def clean_email(self) -> str:
        """Refuse an address that is known, however it is capitalised."""
        email = str(self.cleaned_data["email"]).lower()
        if User.objects.filter(email=email).exists():
            raise forms.ValidationError(KNOWN)
        return email

    def stored(self) -> User | None:
        """Store the user with the profile; None, with an error, when the same address signed up just now."""
        data = self.cleaned_data
        try:
            return User.objects.create_user(
                data["email"],
                data["password1"],
                role=data["role"],
                phone=data["phone"],
                first_name=data["first_name"],
                last_name=data["last_name"],
            )
        except IntegrityError:
            self.add_error("email", KNOWN)
            return None
