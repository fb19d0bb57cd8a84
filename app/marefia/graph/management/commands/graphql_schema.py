"""`manage.py graphql_schema > ../docs/schema.graphql`: what clients see, to be committed."""

from typing import Any

from django.core.management.base import BaseCommand

from marefia.graph.schema import schema


class Command(BaseCommand):
    """Print the schema in GraphQL's own language."""

    help = __doc__ or ""

    def handle(self, *args: Any, **options: Any) -> str:
        """Return it, which prints it."""
        return str(schema)
