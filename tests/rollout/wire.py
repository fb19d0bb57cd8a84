"""HTTP/1.1 as strictly as the promise needs it: a response is complete and framed, or it is lost.

No client library is used, because they help: they retry, they look whether an idle connection is still
open before they send, they take a body without a length for complete. Here none of that happens.
"""

import asyncio
import ssl
from dataclasses import dataclass, field


class LostError(Exception):
    """A request without a complete response; its text is the reason."""


@dataclass(frozen=True)
class Request:
    """What a client sends and the status that it expects."""

    method: str
    path: str
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    follow: str | None = None
    """A pattern whose first group, found in the body, is the path to get next on the same connection."""
    label: str | None = None

    @property
    def what(self) -> str:
        """The name under which this request is counted."""
        return f"{self.method} {self.label or self.path.partition('?')[0]}"

    def encode(self, host: str) -> bytes:
        """The bytes on the wire."""
        lines = [f"{self.method} {self.path} HTTP/1.1", f"Host: {host}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        if self.body or self.method not in ("GET", "HEAD"):
            lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join([*lines, "", ""]).encode() + self.body


@dataclass(frozen=True)
class Response:
    """A complete response; `keep` says whether the server promised to keep the connection."""

    status: int
    headers: dict[str, str]
    body: bytes
    keep: bool


async def read_response(reader: asyncio.StreamReader) -> Response:
    """Read one response. Raises LostError when it is cut, malformed or has no end of its own."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError as error:
        raise LostError("truncated" if error.partial else "closed without a response") from error
    except asyncio.LimitOverrunError as error:
        raise LostError("malformed: endless headers") from error
    status_line, *lines = head.rstrip("\r\n").split("\r\n")
    version, _, rest = status_line.partition(" ")
    if not version.startswith("HTTP/1.") or not rest[:3].isdigit():
        raise LostError(f"malformed: {status_line[:60]!r}")
    headers = {
        name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }
    status = int(rest[:3])
    try:
        body = b"" if status in (204, 304) else await _read_body(reader, headers)
    except asyncio.IncompleteReadError as error:
        raise LostError("truncated") from error
    except ValueError as error:
        raise LostError(f"malformed: {error}") from error
    keep = version == "HTTP/1.1" and headers.get("connection", "").lower() != "close"
    return Response(status, headers, body, keep)


async def _read_body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").lower() == "chunked":
        chunks = []
        while size := int((await reader.readuntil(b"\r\n")).strip(), 16):
            chunks.append((await reader.readexactly(size + 2))[:-2])
        await reader.readexactly(2)
        return b"".join(chunks)
    if "content-length" not in headers:
        raise LostError("a body without a length: nobody can tell whether it is complete")
    return await reader.readexactly(int(headers["content-length"]))


class Connection:
    """One connection that is used until the server said `close` or it failed; never tested, never revived."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, now: float) -> None:
        self.reader, self.writer = reader, writer
        self.opened = self.used = now
        self.port: int = writer.get_extra_info("sockname")[1]

    @classmethod
    async def open(
        cls, host: str, port: int, tls: ssl.SSLContext | None = None, name: str | None = None
    ) -> "Connection":
        """Connect; over TLS to whom goes by `name`, when that is not the host. Raises LostError when nobody listens."""
        try:
            reader, writer = await asyncio.open_connection(host, port, ssl=tls, server_hostname=name)
        except ConnectionResetError as error:
            raise LostError("reset") from error
        except OSError as error:
            raise LostError("refused" if isinstance(error, ConnectionRefusedError) else str(error)) from error
        return cls(reader, writer, asyncio.get_running_loop().time())

    async def exchange(self, data: bytes) -> Response:
        """Send and wait for the response. Raises LostError, also when the connection was dropped before."""
        try:
            self.writer.write(data)
            await self.writer.drain()
            response = await read_response(self.reader)
        except OSError as error:
            raise LostError("reset") from error
        self.used = asyncio.get_running_loop().time()
        return response

    def close(self) -> None:
        """Close without waiting for the other side."""
        self.writer.transport.abort()


def fetch(
    request: Request, host: str, port: int, tls: ssl.SSLContext | None = None, at: str = ""
) -> Response:
    """Send one request on a connection of its own, to `at` when no name server knows the host. Raises LostError."""

    async def exchange() -> Response:
        connection = await Connection.open(at or host, port, tls, host if tls else None)
        try:
            return await connection.exchange(request.encode(f"{host}:{port}"))
        finally:
            connection.close()

    return asyncio.run(exchange())
