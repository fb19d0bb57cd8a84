"""Objects with an id of their own (https://relay.dev/graphql/objectidentification.htm)."""

from typing import Any

import graphene
from graphene import relay
from graphql import GraphQLResolveInfo
from graphql_relay import from_global_id

from marefia.graph.errors import bad_input

LARGEST = 2**63 - 1


class Node(relay.Node):
    """What can be asked for by its id alone."""

    class Meta:
        name = "Node"

    @classmethod
    def get_node_from_global_id(
        cls, info: GraphQLResolveInfo, global_id: str, only_type: type[graphene.ObjectType] | None = None
    ) -> Any:
        """Return the object, or None when there is none or it is not for who asks."""
        name, pk = parts(global_id)
        graphene_type = getattr(info.schema.get_type(name), "graphene_type", None)
        get_node = getattr(graphene_type, "get_node", None)
        if get_node is None:
            raise bad_input("This is not the id of anything.")
        return get_node(info, pk)


def parts(global_id: str) -> tuple[str, int]:
    """Return type and key of an id; raise for what is none."""
    name, key = from_global_id(global_id)
    if not (key.isascii() and key.isdecimal() and len(key) < 20 and 0 < int(key) <= LARGEST):
        raise bad_input("This is not the id of anything.")
    return name, int(key)
