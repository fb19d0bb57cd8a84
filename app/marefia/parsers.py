"""JSON bodies, without what two readers could read differently."""

import json
from collections.abc import Mapping
from typing import IO, Any

from rest_framework import parsers
from rest_framework.exceptions import ParseError


class JSONParser(parsers.JSONParser):
    """Refuses, besides what is no JSON: a name twice in an object, half a character, and endless nesting."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """Return the data; raise ParseError."""
        try:
            encoding = parsers.get_encoding(parser_context or {})  # type: ignore[attr-defined]  # newer than the stubs
            text = stream.read().decode(encoding)
            data = json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
            json.dumps(data, ensure_ascii=False).encode()
        except RecursionError as error:
            raise ParseError("JSON parse error - nested too deeply") from error
        except ValueError as error:  # UnicodeError is one
            raise ParseError(f"JSON parse error - {_sayable(error)}") from error
        return data


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands twice in an object")
    return found


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _sayable(error: ValueError) -> str:
    return "no valid text" if isinstance(error, UnicodeError) else str(error)
