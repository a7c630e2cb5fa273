"""A foreign issuer: keys of its own, and a real HTTP server on loopback that publishes them, or misbehaves."""

import asyncio
import gzip
import json
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import jwt

from asyncauth.tokens.jwks import public_jwk
from asyncauth.tokens.keys import Key
from asyncauth.tokens.rotation import make_key
from tests.waiting import settle

ISSUER = "https://idp.example"
AUDIENCE = "us there"


class Idp:
    """Answers every request as `mode` says, and counts them."""

    def __init__(self) -> None:
        self.keys = [make_key("ES256", 0)]
        self.mode = "good"
        self.requests = 0
        self.asked: list[bytes] = []
        """The first line of each request."""
        self.url = ""

    def describe(self, **changes: Any) -> dict[str, Any]:
        """It as a trusted issuer in settings."""
        usual = {
            "issuer": ISSUER,
            "audience": AUDIENCE,
            "jwks_url": self.url,
            "allow_http": True,
            "matches": "username",
        }
        return {**usual, **changes}

    def issue(self, subject: str, *, key: Key | None = None, kid: str | None = None, **more: Any) -> str:
        """A token for somebody."""
        signing = key or self.keys[-1]
        now = int(time.time())
        said = {"iss": ISSUER, "aud": AUDIENCE, "sub": subject, "jti": uuid.uuid4().hex, "iat": now, "exp": now + 600}
        return jwt.encode({**said, **more}, signing.signing, signing.algorithm, headers={"kid": kid or signing.kid})

    def body(self) -> bytes:
        """Its key set."""
        return json.dumps({"keys": [public_jwk(key) for key in self.keys]}).encode()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one answer."""
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                head = await reader.readuntil(b"\r\n\r\n")
                self.asked.append(head.split(b"\r\n")[0])
                self.requests += 1
                await self._misbehave(writer)
                writer.close()
                await writer.wait_closed()
        finally:
            writer.transport.abort()

    async def _misbehave(self, writer: asyncio.StreamWriter) -> None:
        if self.mode == "stall":
            await asyncio.sleep(60)
        elif self.mode == "trickle":
            for byte in self._whole():
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0.05)
        elif self.mode == "endless":
            writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
            while True:
                writer.write(b" " * 65536)
                await writer.drain()
        else:
            writer.write(self._whole())
        await writer.drain()

    def _whole(self) -> bytes:
        body = self.body()
        packed = gzip.compress(body)
        answers = {
            "half": _head(200, len(body)) + body[: len(body) // 2],
            "redirect": _head(302, len(body), f"Location: {self.url}/elsewhere\r\n") + body,
            "gzip": _head(200, len(packed), "Content-Encoding: gzip\r\n") + packed,
            "error": _head(500, len(body)) + body,
            "no http": b"canary\r\n\r\n",
            "huge": _head(200, 65_537 + len(body)) + b" " * 65_537 + body,
            "garbage": _head(200, 6) + b"canary",
            "empty": _head(200, 12) + b'{"keys": []}',
            "nothing": _head(200, 0),
        }
        return answers.get(self.mode, _head(200, len(body)) + body)


def _head(status: int, length: int, more: str = "") -> bytes:
    return f"HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n{more}\r\n".encode()


@asynccontextmanager
async def serving() -> AsyncIterator[Idp]:
    """One that is running."""
    idp = Idp()
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.ensure_future(idp.answer(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    idp.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/keys"
    try:
        yield idp
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await settle()  # let what was aborted close
