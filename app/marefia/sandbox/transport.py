"""The way to the sandbox from within the service: no socket, so no web waits for itself."""

import asyncio
import contextvars
import time
from collections.abc import Callable
from typing import Any

import httpx
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.db import connections

HERE = "marefia.here"
"""In a request's environ when it came this way; no client can send it."""
HOST = next((name for name in settings.ALLOWED_HOSTS if not name.startswith((".", "*"))), "localhost")
URL = f"http://{HOST}/sandbox/chapa/v1"


patience: contextvars.ContextVar[float | None] = contextvars.ContextVar("patience", default=None)
"""Seconds after which who asked this way has gone; None for everybody else."""


class Here(httpx.BaseTransport):
    """Asks this service itself, whatever the host.

    The inner request leaves alone what belongs to the outer one: its log context, and its database connection,
    which the signals of a request might close.
    """

    def __init__(self) -> None:
        handler = WSGIHandler()

        def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
            response = handler.get_response(WSGIRequest(environ | {HERE: True}))
            start_response(f"{response.status_code} {response.reason_phrase}", [*response.items()])
            return [*response]

        self._transport = httpx.WSGITransport(app=application)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """As httpx asks for it, whose patience ends here, too."""
        seconds = request.extensions.get("timeout", {}).get("read")
        context, begin = contextvars.copy_context(), time.monotonic()
        context.run(patience.set, seconds)
        response = context.run(self._transport.handle_request, request)
        if seconds is not None and time.monotonic() - begin >= seconds:
            raise httpx.ReadTimeout("it took too long", request=request)
        return response


def outside() -> httpx.BaseTransport:
    """The way to other services."""
    return httpx.HTTPTransport()


class InThread(httpx.AsyncBaseTransport):
    """The same, awaited."""

    def __init__(self, transport: httpx.BaseTransport) -> None:
        self._transport = transport

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """As httpx asks for it."""
        await request.aread()
        response = await asyncio.to_thread(self._in_thread, request)
        return httpx.Response(
            response.status_code, headers=response.headers, content=response.read(), request=request
        )

    def _in_thread(self, request: httpx.Request) -> httpx.Response:
        try:
            return self._transport.handle_request(request)
        finally:
            connections.close_all()  # this thread's own, which nobody else ever closes
