"""Amenities as clients say them: by name in v1, by id in v2. Each is looked for in one query, however many."""

from collections.abc import Iterable
from typing import Any

from django import forms
from django.db.models import Count, QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from marefia.api.queries import MOST
from marefia.stays.models import Amenity, Listing

AT_MOST = 50


class AmenityNames(serializers.ListField):
    """`["Wi-Fi", "Parking"]`."""

    key = "name"
    child: Any = serializers.CharField(max_length=60)

    def __init__(self, **said: Any) -> None:
        super().__init__(max_length=AT_MOST, **said)

    def to_internal_value(self, data: Any) -> list[Amenity]:
        """Return the amenities; raise ValidationError when one does not exist."""
        wanted = list(dict.fromkeys(self.said(super().to_internal_value(data))))
        found = {getattr(one, self.key): one for one in Amenity.objects.filter(**{f"{self.key}__in": wanted})}
        if missing := [f"There is no amenity {one}." for one in wanted if one not in found]:
            raise serializers.ValidationError(missing)
        return [found[one] for one in wanted]

    def said(self, items: Iterable[Any]) -> Iterable[Any]:
        """Return the keys in what a client said."""
        return items

    def to_representation(self, data: Any) -> list[Any]:
        """Return them as a client says them."""
        return [one.name for one in data.all()]


@extend_schema_serializer(component_name="Amenity")
class AmenitySerializer(serializers.Serializer[Amenity]):
    """Something that a place offers. The name says it to people, the id to the API."""

    id = serializers.IntegerField(min_value=1, max_value=MOST)
    name = serializers.CharField(read_only=True)


class AmenityObjects(AmenityNames):
    """`[{"id": 1, "name": "Wi-Fi"}]`; written, the id is enough."""

    key = "id"
    child = AmenitySerializer()

    def said(self, items: Iterable[Any]) -> Iterable[Any]:
        """Return the ids."""
        return (item.get("id") for item in items)  # a PATCH may leave it out: there is no amenity None

    def to_representation(self, data: Any) -> list[Any]:
        """Return them as objects."""
        return [{"id": one.pk, "name": one.name} for one in data.all()]


class AmenityIds(AmenityNames):
    """`?amenities=1&amenities=4`."""

    key = "id"
    child = serializers.IntegerField(min_value=1, max_value=MOST)


class AmenitiesFormField(forms.Field):
    """Every value of a parameter, read by one of the fields above."""

    widget = forms.SelectMultiple

    def __init__(self, *, read: type[AmenityNames], **said: Any) -> None:
        super().__init__(**said)
        self.read = read

    def clean(self, value: list[str] | None) -> list[Amenity]:
        """Return the amenities; raise ValidationError when one does not exist."""
        try:
            return list(self.read().run_validation(value or []))
        except serializers.ValidationError as error:
            said = [forms.ValidationError("%(text)s", params={"text": text}) for text in _flat(error.detail)]
            raise forms.ValidationError(said) from error


class AmenitiesFilter(filters.Filter):
    """Listings that have all of them."""

    field_class = AmenitiesFormField

    def filter(self, qs: QuerySet[Listing], value: list[Amenity]) -> QuerySet[Listing]:
        """Return those listings."""
        if not value:
            return qs
        pairs: Any = Listing.amenities.through.objects.filter(amenity__in=value).values("listing")
        return qs.filter(
            pk__in=pairs.annotate(found=Count("amenity")).filter(found=len(value)).values("listing")
        )


def _flat(detail: Any) -> list[str]:
    """Return the messages about a list, wherever in it they stand."""
    if isinstance(detail, dict):
        return [text for part in detail.values() for text in _flat(part)]
    return [str(text) for text in detail]
