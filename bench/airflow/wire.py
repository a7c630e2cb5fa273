"""HTTP/1.1 as lean as it gets, so that the client costs the two cores as little as it can."""

import asyncio
import json
from types import TracebackType
from typing import Any, Self

HOST = "127.0.0.1"


def request(method: str, path: str, *, token: str = "", cookie: bool = False, body: Any = None) -> str:
    """The text of a request."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {HOST}"]
    if token:
        lines.append(f"Cookie: _token={token}" if cookie else f"Authorization: Bearer {token}")
    content = "" if body is None else json.dumps(body)
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
    return "\r\n".join([*lines, "", content])


class Connection:
    """One keep-alive connection, opened anew when the server has closed it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None

    async def ask_for(self, content: bytes) -> bytes:
        """The body of the answer, which must be of known length. Raises OSError."""
        self._reader, self._writer = await asyncio.open_connection(HOST, self._port)
        self._writer.write(content)
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        place = head.index(b"content-length:")
        return await self._reader.readexactly(int(head[place + 15 : head.index(b"\r\n", place)]))

    async def ask(self, content: bytes) -> int:
        """The status of the answer; 0: the connection broke."""
        try:
            if self._writer is None:
                self._reader, self._writer = await asyncio.open_connection(HOST, self._port)
            assert self._reader is not None
            self._writer.write(content)
            return await self._read(self._reader)
        except (OSError, asyncio.IncompleteReadError):
            self.close()
            return 0

    async def _read(self, reader: asyncio.StreamReader) -> int:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        status = int(head[9:12])
        if b"transfer-encoding: chunked" in head:
            await self._skip_chunks(reader)
        elif (place := head.find(b"content-length:")) >= 0:
            await reader.readexactly(int(head[place + 15 : head.index(b"\r\n", place)]))
        if b"connection: close" in head:
            self.close()
        return status

    async def _skip_chunks(self, reader: asyncio.StreamReader) -> None:
        while size := int(await reader.readline(), 16):
            await reader.readexactly(size + 2)
        await reader.readline()
