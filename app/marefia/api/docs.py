"""A page of the API that needs no script and nothing from elsewhere: the OpenAPI schema, rendered."""

from functools import cache
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe
from drf_spectacular.generators import SchemaGenerator


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """`GET /api/docs`."""
    return render(request, "api/docs.html", _content())


@cache
def _content() -> dict[str, Any]:
    """Return what the page shows. The schema is this release's, so it is worked out once in a process."""
    schema = SchemaGenerator().get_schema(request=None, public=True)
    operations = [
        {"method": method.upper(), "path": path, **operation, "body": _body(operation)}
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    ]
    return {"info": schema["info"], "operations": operations, "schemas": schema["components"]["schemas"]}


def _body(operation: dict[str, Any]) -> str:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    return str(content.get("schema", {}).get("$ref", "")).rpartition("/")[2]
