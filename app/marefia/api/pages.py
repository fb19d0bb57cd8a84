"""Pages of a list: by what the last row was, not by how many rows came before it.

They cost the same however deep, and neither skip nor repeat a row when others are added or taken away meanwhile, nor
when values are equal: DRF's own pages know a row by the first field of the order only, and count within equal ones.
"""

import base64
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import parse_qs, urlencode

from django.core.exceptions import ValidationError as BadValue
from django.db.models import Model, Q, QuerySet
from rest_framework.exceptions import ValidationError
from rest_framework.fields import IntegerField
from rest_framework.filters import OrderingFilter
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request
from rest_framework.utils.urls import replace_query_param
from rest_framework.views import APIView

EXAMPLE = "https://example.org/?cursor="
Position = list[Any]  # the values of a row in the fields of the order


class Pages(CursorPagination):
    """In the order that is asked for, and by id where that leaves it open."""

    page_size = 20
    page_size_query_param = "page_size"
    page_size_query_description = "How many, at most 100."
    max_page_size = 100
    ordering: tuple[str, ...] = ("id",)

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        """Return the rows of a page; raise ValidationError."""
        self.request = request
        self.order = with_id(self.get_ordering(request, queryset, view))
        position, back = self.read_cursor(queryset.model)
        size = self.get_page_size(request)
        assert size is not None  # noqa: S101 - for the type checker; this class has a default
        order = [_turned(term) for term in self.order] if back else self.order
        found = list(queryset.filter(_after(order, position)).order_by(*order)[: size + 1])
        more, page = len(found) > size, found[:size]
        self.rows = page[::-1] if back else page
        self.has_next, self.has_previous = (True, more) if back else (more, bool(position))
        return self.rows

    def get_page_size(self, request: Request) -> int | None:
        """Return what is asked for, `max_page_size` at most."""
        said = request.query_params.get("page_size")
        if said is None:
            return self.page_size
        try:
            return min(int(IntegerField(min_value=1).run_validation(said)), self.max_page_size)
        except ValidationError as error:
            raise ValidationError({"page_size": error.detail}) from error

    def read_cursor(self, model: Any) -> tuple[Position, bool]:
        """Return after which row the page begins (none: the first) and whether it leads back."""
        said = self.request.query_params.get("cursor")
        if said is None:
            return [], False
        try:
            tokens = parse_qs(base64.b64decode(said, validate=True).decode())
            fields = [model._meta.get_field(term.lstrip("-")) for term in self.order]
            values = zip(fields, tokens["p"], strict=False)
            return [field.clean(value, None) for field, value in values], "r" in tokens
        except (KeyError, ValueError, BadValue) as error:
            raise ValidationError({"cursor": ["This is no cursor of this list."]}) from error

    def get_next_link(self) -> str | None:
        """Return where the list goes on."""
        return self._link(self.rows[-1], []) if self.rows and self.has_next else None

    def get_previous_link(self) -> str | None:
        """Return where it came from."""
        return self._link(self.rows[0], [("r", "1")]) if self.rows and self.has_previous else None

    def _link(self, row: Model, back: list[tuple[str, str]]) -> str:
        values = [("p", str(getattr(row, term.lstrip("-")))) for term in self.order]
        cursor = base64.b64encode(urlencode(values + back).encode()).decode()
        return replace_query_param(self.request.build_absolute_uri(), "cursor", cursor)

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Describe a page."""
        link = {"type": "string", "format": "uri", "nullable": True}
        properties = {
            "next": link | {"description": "the page after this one", "example": f"{EXAMPLE}cD0yMA%3D%3D"},
            "previous": link | {"description": "the page before it", "example": None},
            "results": schema,
        }
        return {"type": "object", "required": list(properties), "properties": properties}

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:
        """Describe the parameters."""
        cursor, size = super().get_schema_operation_parameters(view)
        return [cursor, size | {"schema": {"type": "integer", "minimum": 1, "default": self.page_size}}]


class NewestFirst(Pages):
    """By id, downwards."""

    ordering = ("-id",)


class Ordering(OrderingFilter):
    """`?ordering=-price,capacity`. Ids are given in the order of creation, so `created_at` is the order of ids."""

    fields = ("id", "price", "capacity", "created_at")

    def get_ordering(self, request: Request, queryset: QuerySet[Any], view: APIView) -> list[str]:
        """Return the terms, each field once; raise ValidationError for one that is not offered."""
        said = request.query_params.get("ordering")
        terms: dict[str, str] = {}
        for term in said.split(",") if said else ():
            field = term.strip().removeprefix("-")
            if field not in self.fields:
                raise ValidationError(
                    {"ordering": [f"Choose from {', '.join(self.fields)}; - turns it round."]}
                )
            field = field.replace("created_at", "id")
            terms.setdefault(field, f"-{field}" if term.strip().startswith("-") else field)
        return list(terms.values())

    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: APIView) -> QuerySet[Any]:
        """Leave it to the pages."""
        return queryset

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:
        """Describe the parameter."""
        terms = [sign + field for field in self.fields for sign in ("", "-")]
        schema = {"type": "array", "items": {"type": "string", "enum": terms}}
        return [
            {
                "name": "ordering",
                "in": "query",
                "required": False,
                "allowEmptyValue": True,
                "description": "In which order; - turns it round.",
                "schema": schema,
                "style": "form",
                "explode": False,
            }
        ]


def with_id(order: Iterable[str]) -> list[str]:
    """Return an order that leaves nothing open; what is equal follows the direction of the last term."""
    terms = list(order)
    if any(term.lstrip("-") == "id" for term in terms):
        return terms
    return [*terms, "-id" if terms and terms[-1].startswith("-") else "id"]


def _turned(term: str) -> str:
    return term.removeprefix("-") if term.startswith("-") else f"-{term}"


def _after(order: Sequence[str], position: Position) -> Q:
    """Rows behind a position: the first value is further, or it is equal and the next one is, and so on."""
    further, equal = Q(), Q()
    for term, value in zip(order, position, strict=False):
        field = term.removeprefix("-")
        further |= equal & Q(**{f"{field}__{'lt' if term.startswith('-') else 'gt'}": value})
        equal &= Q(**{field: value})
    return further
