"""Form fields that several parts share."""

from typing import Any

from django import forms


class OneLineField(forms.CharField):
    """Text without line breaks or doubled blanks, whatever was pasted, in the direction that its letters have."""

    def to_python(self, value: Any) -> str:
        """Collapse white space."""
        return " ".join((super().to_python(value) or "").split())

    def widget_attrs(self, widget: forms.Widget) -> dict[str, Any]:
        """Let the browser find the direction."""
        return super().widget_attrs(widget) | {"dir": "auto"}
