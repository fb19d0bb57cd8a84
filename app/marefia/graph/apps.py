"""GraphQL as a Django application."""

from django.apps import AppConfig


class GraphConfig(AppConfig):
    """GraphQL."""

    name = "marefia.graph"
