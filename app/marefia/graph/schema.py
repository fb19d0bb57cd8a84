"""Where a query begins."""

from collections.abc import Awaitable
from typing import Any

import graphene
from graphql import GraphQLResolveInfo

from marefia.accounts.models import User
from marefia.graph import rows, search, types
from marefia.graph.context import in_thread, load
from marefia.graph.mutations import Mutations
from marefia.graph.nodes import Node
from marefia.graph.pages import connection


class Query(graphene.ObjectType):
    """What can be read. Listings and what belongs to them is everybody's, `viewer` is whoever asks."""

    node = Node.Field()
    viewer = graphene.Field(types.Viewer, description="null for whoever has not logged in")
    listings = connection(
        types.ListingConnection,
        filter=search.ListingFilter(),
        order=search.ListingOrder(default_value="newest", required=True),
    )

    @staticmethod
    async def resolve_viewer(_root: None, info: GraphQLResolveInfo) -> Any:
        """Who asks, with the profile."""
        user = info.context.user
        return await load(info, rows.viewers, user.pk) if isinstance(user, User) else None

    @staticmethod
    def resolve_listings(
        _root: None, _info: GraphQLResolveInfo, order: Any, filter: Any = None, **asked: Any
    ) -> Awaitable[Any]:
        """Those that a filter leaves."""
        return in_thread(search.found, dict(filter or {}), getattr(order, "value", order), asked)


schema = graphene.Schema(query=Query, mutation=Mutations)
