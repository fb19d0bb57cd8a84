"""What visitors type."""
# mypy: disable-error-code="type-arg"
# These classes are generic in the stubs only.

from django import forms

from marefia.stays.models import Review


class SearchForm(forms.Form):
    """Narrow the list of places."""

    place = forms.CharField(required=False, max_length=80, widget=forms.TextInput(attrs={"type": "search"}))


class BookingForm(forms.Form):
    """The nights; the reference makes a form that is sent twice one booking."""

    check_in = forms.DateField(widget=forms.DateInput(attrs={"type": "date"}))
    check_out = forms.DateField(widget=forms.DateInput(attrs={"type": "date"}))
    guests = forms.IntegerField(min_value=1, max_value=50, initial=1)
    reference = forms.UUIDField(widget=forms.HiddenInput)


class ReviewForm(forms.ModelForm):
    """What a guest says after a stay."""

    class Meta:
        model = Review
        fields = ("rating", "text")
