"""What a client is told: by a message, and by a code for its program."""

from graphql import GraphQLError

SHOWN = 500  # characters: messages quote what was sent


def bad_input(message: str) -> GraphQLError:
    """Return the error of a value that no client should send."""
    return GraphQLError(message, extensions={"code": "BAD_INPUT"})


def formatted(error: GraphQLError) -> dict[str, object]:
    """Return an error as a response holds it, not longer than a person reads."""
    return {**error.formatted, "message": error.message[:SHOWN]}
