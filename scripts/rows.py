"""A database's rows through the models of a release, as values that are the same on each vendor; their checksums."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.db import models

BATCH = 500


class Sum:
    """A count of rows and a checksum that does not depend on their order, which is each server's own."""

    def __init__(self) -> None:
        self.rows = self.total = 0

    def add(self, row: list[Any]) -> None:
        digest = hashlib.sha256(json.dumps(row, sort_keys=True).encode()).digest()
        self.rows, self.total = self.rows + 1, (self.total + int.from_bytes(digest)) % 2**256

    @property
    def said(self) -> list[Any]:
        return [self.rows, f"{self.total:064x}"]


def tables() -> dict[str, type[models.Model]]:
    """The managed models that have a table of their own, those of many-to-many fields too, by its name."""
    every = apps.get_models(include_auto_created=True)
    found = {m._meta.db_table: m for m in every if m._meta.managed and not m._meta.proxy}
    return dict(sorted(found.items()))


def columns(model: type[models.Model]) -> list[Any]:
    """The fields that are stored and not computed by the database."""
    return [field for field in model._meta.local_concrete_fields if not field.generated]


def rows(model: type[models.Model]) -> Iterator[list[Any]]:
    """Every row as values that JSON knows and that are the same on each vendor."""
    fields = columns(model)
    # Django reads NULL and JSON's own null alike.
    nulls = {
        _null(field): models.Q(**{f"{field.attname}__isnull": True})
        for field in fields
        if isinstance(field, models.JSONField)
    }
    for row in model._base_manager.annotate(**nulls).order_by("pk").iterator(BATCH):
        yield [_said(field, row) for field in fields]


def _null(field: Any) -> str:
    return f"{field.attname}_is_null"


def _said(field: Any, row: models.Model) -> Any:
    """A value as a dump has it: None is NULL, and what is stored as JSON stands there as its text."""
    value = field.value_from_object(row)
    if isinstance(field, models.JSONField):
        text = json.dumps(value, cls=field.encoder, sort_keys=True)
        return None if getattr(row, _null(field)) else text
    return None if value is None else field.value_to_string(row)


def stored(field: Any, said: Any) -> Any:
    """The reverse: what a model is given for it."""
    if said is None or not isinstance(field, models.JSONField):
        return None if said is None else field.to_python(said)
    value = json.loads(said, cls=field.decoder)
    return models.Value(None, models.JSONField()) if value is None else value


def sums() -> dict[str, list[Any]]:
    """{table: [rows, checksum]}"""
    found = {table: Sum() for table in tables()}
    for table, model in tables().items():
        for row in rows(model):
            found[table].add(row)
    return {table: one.said for table, one in found.items()}
