"""What the resolvers of one request share: who asks, and rows that many of them want, fetched in one query."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from asgiref.sync import sync_to_async
from django.contrib.auth.models import AnonymousUser
from graphene.utils.dataloader import DataLoader
from graphql import GraphQLResolveInfo

from marefia.accounts.models import User

Fetch = Callable[..., Mapping[Any, Any]]
R = TypeVar("R")


@dataclass
class Context:
    """`info.context`."""

    user: User | AnonymousUser
    origin: str
    """Of this site, as who asks knows it: https://name."""
    loaders: dict[Any, DataLoader] = field(default_factory=dict)


def load(info: GraphQLResolveInfo, fetch: Fetch, key: Any, *arguments: Any) -> Awaitable[Any]:
    """Return what `fetch(keys, *arguments)` finds for a key, or None; asked once for all keys of a moment."""
    loaders = info.context.loaders
    if (fetch, arguments) not in loaders:

        async def batch(keys: Sequence[Any]) -> list[Any]:
            found = await in_thread(fetch, keys, *arguments)
            return [found.get(key) for key in keys]

        loaders[fetch, arguments] = DataLoader(batch)
    awaitable: Awaitable[Any] = loaders[fetch, arguments].load(key)
    return awaitable


async def in_thread(function: Callable[..., R], *arguments: Any) -> R:
    """Call what uses the database: in the request's own thread, where its connection is."""
    return await sync_to_async(function, thread_sensitive=True)(*arguments)
