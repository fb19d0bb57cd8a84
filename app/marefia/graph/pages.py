"""Relay's connections by keyset: a page costs the same however deep, and none skips or repeats when rows are added.

There is no total: counting reads every row that a filter leaves. https://relay.dev/graphql/connections.htm
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import graphene
from django.core.exceptions import ValidationError
from django.db.models import F, Model, Q, QuerySet, Window
from django.db.models.functions import RowNumber
from graphene import relay
from graphql_relay.utils.base64 import base64, unbase64

from marefia.graph.errors import bad_input

USUAL, MOST = 20, 100  # rows of a page


class Connection(relay.Connection):
    """A page; what there is is never null."""

    class Meta:
        abstract = True

    @classmethod
    def __init_subclass_with_meta__(cls, **options: Any) -> None:
        """Be strict."""
        super().__init_subclass_with_meta__(strict_types=True, **options)


def connection(type_: type[Connection] | Callable[[], type[Connection]], **arguments: Any) -> graphene.Field:
    """Return a field with Relay's four arguments. It may be null: a page that fails takes nothing else along."""
    return graphene.Field(
        type_,
        first=graphene.Int(description=f"1 to {MOST} rows, {USUAL} when neither this nor `last` is there"),
        after=graphene.String(description="a cursor: rows behind it"),
        last=graphene.Int(description=f"1 to {MOST} rows from the end"),
        before=graphene.String(description="a cursor: rows in front of it"),
        **arguments,
    )


def size(first: int | None = None, last: int | None = None, **_: Any) -> int:
    """Return how many rows a field asks for."""
    if first is not None and last is not None:
        raise bad_input("A page is asked for by `first` or by `last`, not by both.")
    asked = next((each for each in (first, last) if each is not None), USUAL)
    if not 1 <= asked <= MOST:
        raise bad_input(f"A page holds 1 to {MOST} rows, not {asked}.")
    return asked


@dataclass(frozen=True, slots=True)
class Order:
    """Columns that give rows of a model their places, the last of them unique; all in one direction."""

    model: type[Model]
    columns: tuple[str, ...] = ("id",)
    descending: bool = False

    def cursor(self, row: Model) -> str:
        """Return a row's place as a client keeps it."""
        values = ",".join(str(getattr(row, column)) for column in self.columns)
        return str(base64(f"{self._names}:{values}"))

    def place(self, cursor: str | None) -> tuple[Any, ...] | None:
        """Return the place that a cursor names; raise for what is no cursor of this order."""
        if cursor is None:
            return None
        names, _, values = unbase64(cursor).partition(":")
        parts = values.split(",")
        if names != self._names or len(parts) != len(self.columns):
            raise bad_input("This is no cursor of this list in this order.")
        fields: list[Any] = [self.model._meta.get_field(column) for column in self.columns]
        try:
            return tuple(each.clean(part, None) for each, part in zip(fields, parts, strict=True))
        except ValidationError as error:
            raise bad_input("This is no cursor of this list in this order.") from error

    def behind(self, place: Sequence[Any] | None, *, back: bool) -> Q:
        """Return what holds for the rows behind a place; in front of it when `back`."""
        if place is None:
            return Q()
        sign = "lt" if self.descending != back else "gt"
        found = Q()
        for number, column in enumerate(self.columns):
            same = dict(zip(self.columns[:number], place, strict=False))
            found |= Q(**same, **{f"{column}__{sign}": place[number]})
        return Q(**{f"{self.columns[0]}__{sign}e": place[0]}) & found  # which an index can begin with

    @property
    def _names(self) -> str:
        return ",".join(self.columns)


class Page:
    """One page, as `first`, `after`, `last` and `before` ask for it; equal when asked for equally."""

    def __init__(self, order: Order, **asked: Any) -> None:
        self.order = order
        self.size = size(**asked)
        self.back = asked.get("last") is not None
        self.after, self.before = order.place(asked.get("after")), order.place(asked.get("before"))
        self._key = (order, self.size, self.back, self.after, self.before)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Page) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def of(self, rows: QuerySet[Any]) -> dict[str, Any]:
        """Return the page of all rows."""
        return self._cut(list(self._between(rows).order_by(*self._ordering)[: self.size + 1]))

    def of_each(self, rows: QuerySet[Any], group: str, keys: Sequence[Any]) -> dict[Any, dict[str, Any]]:
        """Return the page of the rows of each key in column `group`: one query for all."""
        numbered = self._between(rows.filter(**{f"{group}__in": keys})).annotate(
            page_of=F(group),
            page_row=Window(RowNumber(), partition_by=F(group), order_by=self._ordering),
        )
        found: dict[Any, list[Any]] = {key: [] for key in keys}
        for row in numbered.filter(page_row__lte=self.size + 1).order_by("page_row"):
            found[row.page_of].append(row)
        return {key: self._cut(rows_of_key) for key, rows_of_key in found.items()}

    def _between(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        return rows.filter(
            self.order.behind(self.after, back=False), self.order.behind(self.before, back=True)
        )

    @property
    def _ordering(self) -> list[str]:
        sign = "-" if self.order.descending != self.back else ""
        return [f"{sign}{column}" for column in self.order.columns]

    def _cut(self, rows: list[Any]) -> dict[str, Any]:
        more, rows = len(rows) > self.size, rows[: self.size]
        if self.back:
            rows.reverse()
        edges = [{"node": row, "cursor": self.order.cursor(row)} for row in rows]
        return {
            "edges": edges,
            "page_info": {
                "has_previous_page": self.after is not None or (self.back and more),
                "has_next_page": self.before is not None or (not self.back and more),
                "start_cursor": edges[0]["cursor"] if edges else None,
                "end_cursor": edges[-1]["cursor"] if edges else None,
            },
        }
