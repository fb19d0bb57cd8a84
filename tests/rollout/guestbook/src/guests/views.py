"""The whole of the guestbook's pages."""

from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse

from guests.models import Entry
from guests.settings import GREETING


def book(request: HttpRequest) -> HttpResponse:
    """The first page."""
    return HttpResponse(f"<h1>{GREETING}</h1>")


def entries(request: HttpRequest) -> JsonResponse:
    """POST KEY writes an entry; GET says how often `?key=` was written, and who reads everything."""
    if request.method == "POST":
        entry = Entry.objects.create(key=request.body.decode(), text="was here")
        return JsonResponse({"id": entry.pk}, status=201)
    return JsonResponse({"stored": Entry.objects.filter(key=request.GET.get("key", "")).count()})


def healthz(request: HttpRequest) -> HttpResponse:
    """Well when the tables are there."""
    return HttpResponse("ok" if "guests_entry" in connection.introspection.table_names() else "no table")
