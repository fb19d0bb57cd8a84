"""The account as a file: as many rows as there are, in as much memory as a batch of them takes."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any

from django import forms
from django.contrib.admin.views.decorators import staff_member_required
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from marefia.payments.models import Payment

BATCH = 2000
EVER = date(2000, 1, 1), date(9998, 12, 31)
COLUMNS = (
    "id", "created_at", "settled_at", "tx_ref", "reference", "state", "amount", "currency", "booking__reference",
    "booking__listing__title", "booking__check_in", "booking__check_out", "booking__guest__email",
)  # fmt: skip
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet runs what begins so (https://owasp.org/www-community/attacks/CSV_Injection)."""


class Line:
    """A file that csv writes to and that gives each line back."""

    def write(self, line: str) -> str:
        return line


class SpanForm(forms.Form):
    """Days, in local time; both may be left out."""

    first = forms.DateField(required=False)
    last = forms.DateField(required=False)


@require_safe
@staff_member_required
def export(request: HttpRequest) -> HttpResponseBase:
    """`GET /payments/export.csv?first=2026-01-01&last=2026-12-31`: payments by the day they were begun."""
    form = SpanForm(request.GET)
    if not form.is_valid():
        return HttpResponse("first and last are days: 2026-01-31\n", "text/plain", status=400)
    # As moments: a database's own time zones are not at hand everywhere. Their years are those that any zone can tell.
    first = max(form.cleaned_data["first"] or EVER[0], EVER[0])
    last = min(form.cleaned_data["last"] or EVER[1], EVER[1])
    begin, end = (
        timezone.make_aware(datetime.combine(day, time.min)) for day in (first, last + timedelta(days=1))
    )
    payments = Payment.objects.filter(created_at__gte=begin, created_at__lt=end)
    headers = {"Content-Disposition": 'attachment; filename="payments.csv"'}
    return StreamingHttpResponse(lines(by_key(payments, COLUMNS)), "text/csv; charset=utf-8", headers=headers)


def by_key(queryset: QuerySet[Any], columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """All rows in the order of their keys, the first column: a query for each batch, and none that stays open.

    A cursor of the server's would do on PostgreSQL, and not through a pooler; MariaDB's client takes all rows at once.
    """
    last = 0
    while rows := list(queryset.filter(pk__gt=last).order_by("pk").values_list(*columns)[:BATCH]):
        yield from rows
        last = rows[-1][0]


def lines(rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """CSV, line by line."""
    writer = csv.writer(Line())
    yield writer.writerow([column.replace("__", "_") for column in COLUMNS])
    for row in rows:
        yield writer.writerow([_cell(value) for value in row])


def _cell(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(FORMULA):
        return f"'{value}"
    return value
