"""Chapa as this service knows it: the real one, or the sandbox that is a part of it (marefia/sandbox)."""

from typing import Any

from django.conf import settings

from marefia.payments.chapa import AsyncChapa, Chapa


def chapa(**changes: Any) -> Chapa:
    """A client; to be closed."""
    return Chapa(**_told() | changes)


def async_chapa(**changes: Any) -> AsyncChapa:
    """The same, to be awaited."""
    told = _told() | changes
    if settings.SANDBOX:
        from marefia.sandbox.transport import InThread

        told["transport"] = InThread(told["transport"])
    return AsyncChapa(**told)


def mode() -> str:
    """What Chapa calls the mode of our key."""
    return "test" if settings.CHAPA_KEY.startswith("CHASECK_TEST") else "live"


def _told() -> dict[str, Any]:
    if not settings.SANDBOX:
        return {"key": settings.CHAPA_KEY, "url": settings.CHAPA_URL}
    from marefia.sandbox import transport

    return {"key": settings.CHAPA_KEY, "url": transport.URL, "transport": transport.Here()}
