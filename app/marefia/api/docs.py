"""A page of the API that needs no script and nothing from elsewhere: the OpenAPI schema, rendered."""

import json
from functools import cache
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from marefia.api.schema import document


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """`GET /api/docs`."""
    return render(request, "api/docs.html", _content())


@cache
def _content() -> dict[str, Any]:
    """Return what the page shows. The schema is this release's, so it is worked out once in a process."""
    schema = document()
    common = schema["components"]["responses"]
    operations = [
        {
            "method": method.upper(),
            "path": path,
            **operation,
            "takes": _body(operation.get("requestBody", {})),
            "answers": {
                code: _body(answer) | {"description": answer.get("description", "")}
                for code, answer in operation["responses"].items()
                if "$ref" not in answer
            },
            "refuses": ", ".join(code for code, answer in operation["responses"].items() if "$ref" in answer),
        }
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    ]
    refusals = {
        code: common[answer["$ref"].rpartition("/")[2]]["description"]
        for operation in operations
        for code, answer in operation["responses"].items()
        if "$ref" in answer
    }
    objects = {
        name: about | {"lines": [_line(*field) for field in about["properties"].items()]}
        for name, about in schema["components"]["schemas"].items()
        if "properties" in about
    }
    return {
        "info": schema["info"],
        "operations": operations,
        "refusals": sorted(refusals.items()),
        "objects": objects,
    }


def _body(said: dict[str, Any]) -> dict[str, Any]:
    """Return the name of the object that a request or an answer has, and an example of it."""
    content = said.get("content", {}).get("application/json", {})
    examples = [json.dumps(example["value"], indent=2) for example in content.get("examples", {}).values()]
    return {"object": _name(content.get("schema", {})), "example": examples[0] if examples else ""}


def _line(name: str, about: dict[str, Any]) -> dict[str, str]:
    """Return what is shown of a field."""
    kind = _name(about) or " ".join(filter(None, (about.get("type"), about.get("format"))))
    items = _name(about.get("items", {})) or about.get("items", {}).get("type", "")
    return {
        "name": name,
        "kind": f"{kind} of {items}" if items else kind,
        "about": about.get("description", ""),
    }


def _name(schema: dict[str, Any]) -> str:
    """Return the name of a component, or nothing."""
    reference = schema.get("$ref") or next((part.get("$ref", "") for part in schema.get("allOf", [])), "")
    return str(reference).rpartition("/")[2]
