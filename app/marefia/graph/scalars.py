"""Scalars of our own."""

from decimal import Decimal
from typing import Any

import graphene
from django import forms
from django.core.exceptions import ValidationError
from graphql import FloatValueNode, IntValueNode, StringValueNode, ValueNode

from marefia.graph.errors import bad_input

AMOUNT = forms.DecimalField(min_value=0, max_digits=13, decimal_places=2)


class Money(graphene.Scalar):
    """ETB with two decimals. It comes as a string, `"1500.00"`, and is taken as a string or a number."""

    @staticmethod
    def serialize(value: Decimal) -> str:
        """Say it."""
        return f"{value:.2f}"

    @staticmethod
    def parse_value(value: Any) -> Decimal:
        """Take it from a variable."""
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            raise bad_input("Money is a string or a number.")
        try:
            amount = AMOUNT.clean(str(value)[:40])
        except ValidationError as error:
            raise bad_input(" ".join(error.messages)) from error
        return Decimal(amount)

    @classmethod
    def parse_literal(cls, node: ValueNode, _variables: Any = None) -> Decimal:
        """Take it from the document."""
        if not isinstance(node, (StringValueNode, IntValueNode, FloatValueNode)):
            raise bad_input("Money is a string or a number.")
        return cls.parse_value(node.value)
