"""What a client of one schema would miss in another: removed, narrowed, or newly required.

As a program (`python -m tests.app.openapi`, from the root of the checkout) it writes docs/openapi.yml as the code has
it, unless that would break a client: `--break` says that it shall.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

FILE = Path(__file__).resolve().parents[2] / "docs/openapi.yml"
HEAD = "# yamllint disable-file\n# Written by python -m tests.app.openapi, from the views and serializers.\n"
Schema = dict[str, Any]
BOUNDS = {"minimum": 1, "minLength": 1, "minItems": 1, "maximum": -1, "maxLength": -1, "maxItems": -1}


def breaking(old: Schema, new: Schema) -> list[str]:
    """Return what breaks a client of `old` that talks to `new`, each in a line."""
    return list(Comparison(old, new).operations())


class Comparison:
    """Two documents, and what their references point to."""

    def __init__(self, old: Schema, new: Schema) -> None:
        self.old, self.new = old, new

    def operations(self) -> Iterator[str]:
        """Compare what can be called."""
        for path, methods in self.old["paths"].items():
            for method, operation in methods.items():
                name = f"{method.upper()} {path}"
                now = self.new["paths"].get(path, {}).get(method)
                if now is None:
                    yield f"{name} is gone"
                    continue
                yield from self.parameters(name, operation, now)
                yield from self.bodies(name, operation, now)
                yield from self.answers(name, operation, now)

    def parameters(self, name: str, old: Schema, new: Schema) -> Iterator[str]:
        """Compare parameters; the order of query parameters says nothing."""
        before, after = (
            {(one["in"], one["name"]): one for one in operation.get("parameters", [])}
            for operation in (old, new)
        )
        for key, one in after.items():
            where = f"{name} {key[0]} {key[1]}"
            if key in before:
                yield from self.taken(where, before[key]["schema"], one["schema"])
            if one.get("required") and not before.get(key, {}).get("required"):
                yield f"{where} is required now"
        yield from (f"{name} {' '.join(key)} is gone" for key in before.keys() - after.keys())

    def bodies(self, name: str, old: Schema, new: Schema) -> Iterator[str]:
        """Compare what is sent."""
        before, after = (operation.get("requestBody", {}) for operation in (old, new))
        if after.get("required") and not before.get("required"):
            yield f"{name} needs a body now"
        for kind, content in before.get("content", {}).items():
            if kind not in after.get("content", {}):
                yield f"{name} takes no {kind} any more"
            else:
                yield from self.taken(f"{name} body", content["schema"], after["content"][kind]["schema"])

    def answers(self, name: str, old: Schema, new: Schema) -> Iterator[str]:
        """Compare what comes back when all went well."""
        for code, answer in old["responses"].items():
            if not code.startswith("2"):
                continue
            if code not in new["responses"]:
                yield f"{name} answers no {code} any more"
            for kind, content in answer.get("content", {}).items():
                now = new["responses"].get(code, {}).get("content", {}).get(kind)
                if now is None:
                    yield f"{name} {code} is no {kind} any more"
                else:
                    yield from self.given(f"{name} {code}", content["schema"], now["schema"])

    def taken(self, where: str, old: Schema, new: Schema) -> Iterator[str]:
        """Compare what a client sends: all that was taken has to be taken still."""
        old, new = resolve(old, self.old), resolve(new, self.new)
        yield from self.kinds(where, old, new)
        if "enum" in new and (lost := set(old.get("enum", [None])) - set(new["enum"])):
            yield f"{where} takes no {sorted(map(str, lost))} any more"
        for word, sign in BOUNDS.items():
            if word in new and (word not in old or sign * new[word] > sign * old[word]):
                yield f"{where} {word} is {new[word]} now"
        if new.get("pattern", old.get("pattern")) != old.get("pattern"):
            yield f"{where} has another pattern"
        if old.get("nullable") and not new.get("nullable"):
            yield f"{where} takes no null any more"
        for field in set(new.get("required", [])) - set(old.get("required", [])):
            yield f"{where}.{field} is required now"
        yield from self.fields(where, old, new, self.taken)

    def given(self, where: str, old: Schema, new: Schema) -> Iterator[str]:
        """Compare what a client gets: it relies on every field; a new value of a choice it has to bear."""
        old, new = resolve(old, self.old), resolve(new, self.new)
        yield from self.kinds(where, old, new)
        if new.get("nullable") and not old.get("nullable"):
            yield f"{where} can be null now"
        for field in set(old.get("required", [])) - set(new.get("required", [])):
            if field in new.get("properties", {}):
                yield f"{where}.{field} can be left out now"
        yield from self.fields(where, old, new, self.given)

    def kinds(self, where: str, old: Schema, new: Schema) -> Iterator[str]:
        """Compare types."""
        for word in ("type", "format"):
            if word in old and new.get(word) != old[word]:
                yield f"{where} {word} was {old[word]} and is {new.get(word)}"

    def fields(self, where: str, old: Schema, new: Schema, compare: Any) -> Iterator[str]:
        """Compare what an object or a list holds."""
        for field, schema in old.get("properties", {}).items():
            if field in new.get("properties", {}):
                yield from compare(f"{where}.{field}", schema, new["properties"][field])
            else:
                yield f"{where}.{field} is gone"
        if "items" in old and "items" in new:
            yield from compare(f"{where}[]", old["items"], new["items"])


def resolve(schema: Schema, document: Schema) -> Schema:
    """Return a schema without the reference that it is; a reference with more around it stands in `allOf`."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return resolve(document["components"]["schemas"][name], document)
    if len(schema.get("allOf", [])) == 1:
        return resolve(schema["allOf"][0], document) | {
            key: value for key, value in schema.items() if key != "allOf"
        }
    return schema


def generated() -> str:
    """Return the schema of the code, as the file has it. Django has to be set up."""
    from drf_spectacular.renderers import OpenApiYamlRenderer

    from marefia.api.schema import document

    rendered: bytes = OpenApiYamlRenderer().render(document(), renderer_context={})
    return HEAD + rendered.decode()


def main(arguments: list[str]) -> int:
    """Write the file; return 1 when that would break a client."""
    from tests.app import conftest  # noqa: F401  # sets Django up

    new = generated()
    faults = breaking(yaml.safe_load(FILE.read_text()), yaml.safe_load(new)) if FILE.exists() else []
    for fault in faults:
        print(fault, file=sys.stderr)
    if faults and "--break" not in arguments:
        print("This breaks clients: put it into another version, or say --break.", file=sys.stderr)
        return 1
    FILE.write_text(new)
    print(f"written: {FILE}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
