"""What visitors type."""
# mypy: disable-error-code="type-arg"
# These classes are generic in the stubs only.

import uuid
from typing import Any
from urllib.parse import urlencode

from django import forms

from marefia.forms import OneLineField
from marefia.stays.bookings import CannotBookError, check_nights
from marefia.stays.models import Amenity, Listing, Review

MOST_GUESTS = 50
LONG_TEXT = forms.Textarea(attrs={"rows": 6, "dir": "auto"})


def date_field(**options: Any) -> forms.DateField:
    """A date that the browser helps with."""
    return forms.DateField(widget=forms.DateInput(attrs={"type": "date"}), **options)


class AmenitiesField(forms.TypedMultipleChoiceField):
    """Primary keys of amenities, to be ticked."""

    widget = forms.CheckboxSelectMultiple

    def __init__(self) -> None:
        super().__init__(coerce=int, required=False)

    def __deepcopy__(self, memo: dict[int, Any]) -> "AmenitiesField":
        """Give each form the choices that there are then, in one query."""
        copy = super().__deepcopy__(memo)
        copy.choices = [(str(pk), name) for pk, name in Amenity.objects.values_list("pk", "name")]
        return copy


class NightsForm(forms.Form):
    """From the day of arrival to the day of departure."""

    check_in = date_field()
    check_out = date_field()

    def clean(self) -> dict[str, Any]:
        """Refuse what no place can be booked for."""
        check_in, check_out = (self.cleaned_data.get(name) for name in ("check_in", "check_out"))
        if check_in and check_out:
            try:
                check_nights(check_in, check_out)
            except CannotBookError as error:
                self.add_error(error.field, str(error))
        return self.cleaned_data


class SearchForm(NightsForm):
    """Narrow the list of places."""

    text = OneLineField(required=False, max_length=80, label="Search for")
    place = OneLineField(required=False, max_length=80, label="Town")
    check_in = date_field(required=False)
    check_out = date_field(required=False)
    guests = forms.IntegerField(required=False, min_value=1, max_value=MOST_GUESTS)
    min_price = forms.DecimalField(
        required=False, min_value=0, max_digits=10, decimal_places=2, label="Price from (ETB a night)"
    )
    max_price = forms.DecimalField(
        required=False, min_value=0, max_digits=10, decimal_places=2, label="Price to (ETB a night)"
    )
    amenities = AmenitiesField()
    order = forms.ChoiceField(
        required=False,
        choices=[
            ("", "longest here"),
            ("newest", "newest"),
            ("cheapest", "lowest price"),
            ("dearest", "highest price"),
        ],
        label="Show first",
    )
    field_order = ("text", "place", "check_in", "check_out", "guests")

    def clean(self) -> dict[str, Any]:
        """Both dates or none, and prices in their order."""
        cleaned = super().clean()
        for one, other in (("check_in", "check_out"), ("check_out", "check_in")):
            if cleaned.get(one) and not self.data.get(other):
                self.add_error(other, "Say both dates or none.")
        lowest, highest = cleaned.get("min_price"), cleaned.get("max_price")
        if lowest is not None and highest is not None and lowest > highest:
            self.add_error("max_price", "This is less than the lowest price.")
        return cleaned

    def narrows_more(self) -> bool:
        """Whether it asks for what is tucked away at first, or has an error there."""
        names = {"min_price", "max_price", "amenities", "order"}
        return bool(names & ({*self.changed_data} | {*self.errors}))

    def stay(self) -> str:
        """Return the query that tells a listing's page which nights are looked for: `?check_in=...`, or nothing."""
        said = {name: self.data.get(name) for name in ("check_in", "check_out", "guests")}
        query = urlencode({name: value for name, value in said.items() if value})
        return f"?{query}" if query and self.is_valid() else ""


class BookingForm(NightsForm):
    """The nights; the reference makes a form that is sent twice one booking."""

    guests = forms.IntegerField(min_value=1, max_value=MOST_GUESTS, initial=1)
    reference = forms.UUIDField(widget=forms.HiddenInput)

    def renew(self, reason: str | None = None) -> None:
        """Show it again, for a reason, as a form that will be another booking."""
        if reason:
            self.add_error(None, reason)
        self.data = {**dict(self.data.items()), "reference": str(uuid.uuid4())}


class ReviewForm(forms.ModelForm):
    """What a guest says after a stay."""

    rating = forms.TypedChoiceField(
        coerce=int,
        choices=[
            ("", "Choose"),
            (5, "5, superb"),
            (4, "4, good"),
            (3, "3, as hoped"),
            (2, "2, poor"),
            (1, "1, bad"),
        ],
    )

    class Meta:
        model = Review
        fields = ("rating", "text")
        widgets = {"text": LONG_TEXT}


class ListingForm(forms.ModelForm):
    """What a host says of a place."""

    title = OneLineField(max_length=120)
    place = OneLineField(max_length=80, label="Town")
    amenities = AmenitiesField()

    class Meta:
        model = Listing
        fields = ("title", "place", "description", "price", "capacity", "amenities")
        widgets = {"description": LONG_TEXT}
        labels = {"price": "Price (ETB a night)", "capacity": "Guests at most"}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.initial["amenities"] = [amenity.pk for amenity in self.initial["amenities"]]
