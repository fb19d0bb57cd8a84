"""What drf-spectacular cannot find out by itself."""

from http import HTTPStatus
from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema

from marefia.api.idempotency import HEADER, REPLAYED
from marefia.api.problems import CONTENT_TYPE
from marefia.api.versions import VERSIONS

RETRY_AFTER = {"Retry-After": {"description": "seconds", "schema": {"type": "integer"}}}
DEPRECATED = {
    "Deprecation": {"description": "since when (RFC 9745)", "schema": {"type": "string"}},
    "Sunset": {"description": "until when it answers (RFC 8594)", "schema": {"type": "string"}},
    "Link": {"description": "the successor-version", "schema": {"type": "string"}},
}
REPEATED = {
    REPLAYED: {"description": "true: this is the answer that the key got first", "schema": {"type": "string"}}
}
REFUSALS = {
    400: "What was sent is not valid; `errors` says why, by field.",
    401: "This takes a login, or the one that was sent is not known.",
    403: "This user may not do it, or a session came without its CSRF token.",
    404: "There is no such thing, or this user may not know of it.",
    406: "The answers are JSON.",
    409: "A request with this key is being worked on.",
    413: "The body is too large.",
    415: "The body has to be JSON.",
    422: "The key was used for another request.",
    429: "Too many requests: come again after `Retry-After` seconds.",
    503: "The database does not answer: come again after `Retry-After` seconds.",
}
PROBLEM = {
    "type": "object",
    "description": "Why a request was refused (RFC 9457).",
    "required": ["type", "title", "status"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string", "description": "the phrase of the status"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {"description": "what is wrong, by field; `non_field_errors` is about several"},
    },
    "example": {
        "type": "about:blank",
        "title": "Bad Request",
        "status": 400,
        "detail": "The input is not valid.",
        "errors": {"check_in": ["This field is required."]},
    },
}


class TokenScheme(OpenApiAuthenticationExtension):
    """`Authorization: Token ...`."""

    target_class = "marefia.api.authentication.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:
        """Describe the header, as OpenAPI says it."""
        return {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": "`Token <token>`, from POST /api/v1/tokens",
        }


class PasswordScheme(OpenApiAuthenticationExtension):
    """HTTP Basic."""

    target_class = "marefia.api.tokens.PasswordAuthentication"
    name = "password"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:
        """Describe it."""
        return {"type": "http", "scheme": "basic"}


class AllVersions(SchemaGenerator):
    """One document, which drf-spectacular would make of a single version."""

    def parse(self, input_request: Any, public: bool) -> dict[str, Any]:
        """Return the paths of all versions."""
        paths: dict[str, Any] = {}
        for self.api_version in VERSIONS:
            found = super().parse(input_request, public)  # type: ignore[no-untyped-call]
            for path, methods in found.items():
                for operation in methods.values() if self.api_version != VERSIONS[0] else ():
                    operation["operationId"] = f"{self.api_version}_{operation['operationId']}"
                paths[path] = methods
        self.api_version = None
        return paths


def document() -> dict[str, Any]:
    """Return the schema of this release."""
    return dict(AllVersions().get_schema(request=None, public=True))  # type: ignore[no-untyped-call]


def add_problems(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Say of each operation how it can refuse; what a view says itself stays."""
    content = {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    names = {code: HTTPStatus(code).phrase.replace(" ", "") for code in REFUSALS}
    for name, schema in result["components"]["schemas"].items():
        if "properties" in schema and not name.endswith("Request"):
            schema["required"] = sorted(schema["properties"])  # an answer says all that it can
    result["components"]["schemas"]["Problem"] = PROBLEM
    result["components"]["responses"] = {
        names[code]: {"description": text, "content": content}
        | ({"headers": RETRY_AFTER} if code in {429, 503} else {})
        for code, text in REFUSALS.items()
    }
    for path, methods in result["paths"].items():
        for method, operation in methods.items():
            answers = operation["responses"]
            for code in refusals(path, method, operation):
                if said := answers.get(f"{code}"):
                    said["description"] += f" {REFUSALS[code]}"
                else:
                    answers[f"{code}"] = {"$ref": f"#/components/responses/{names[code]}"}
            keyed = f"{HTTPStatus.UNPROCESSABLE_ENTITY:d}" in answers
            for code, answer in answers.items():
                if code.startswith("2"):
                    headers = (DEPRECATED if operation.get("deprecated") else {}) | (
                        REPEATED if keyed else {}
                    )
                    answer |= {"headers": headers} if headers else {}
                elif "$ref" not in answer:
                    answer["content"] = content
            operation["responses"] = dict(sorted(answers.items()))
    return result


def refusals(path: str, method: str, operation: dict[str, Any]) -> set[int]:
    """Return the codes that follow from what an operation takes."""
    found = {401, 406, 429, 503}
    taken = {parameter["in"] for parameter in operation.get("parameters", [])}
    keyed = any(parameter["name"] == HEADER for parameter in operation.get("parameters", []))
    rules = {
        (400, 413, 415): "requestBody" in operation,
        (400,): "query" in taken,
        (403,): method != "get" and any("cookieAuth" in way for way in operation["security"]),
        (404,): "path" in taken,
        (409, 422): keyed,
    }
    return found.union(*(codes for codes, holds in rules.items() if holds))
