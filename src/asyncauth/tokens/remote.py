"""Fetch the key set of an issuer: one GET with a deadline and a limit, no redirects."""

import asyncio

from anyio import to_thread
from httpx import AsyncClient, HTTPError, InvalidURL

from asyncauth.errors import KeysUnavailableError

MAX_BYTES = 64 * 1024
_HEADERS = {"Accept": "application/jwk-set+json, application/json", "Accept-Encoding": "identity"}


async def fetch(url: str, *, timeout_seconds: float) -> bytes:
    """The body of the answer.

    Raises:
        KeysUnavailableError: no answer in time, another status than 200 (a redirect is one: it would leave the choice
            of keys to whoever can make the issuer redirect), a compressed body, or one longer than `MAX_BYTES`.
    """
    try:
        async with asyncio.timeout(timeout_seconds):
            # In a thread: a client reads the certificates of the machine.
            client = await to_thread.run_sync(_client, timeout_seconds, abandon_on_cancel=True)
            async with client:
                return await _get(client, url)
    except TimeoutError:
        raise KeysUnavailableError(f"no whole answer within {timeout_seconds:g} s") from None
    except (HTTPError, InvalidURL) as error:
        raise KeysUnavailableError(f"the request failed: {type(error).__name__}") from None


def _client(timeout_seconds: float) -> AsyncClient:
    return AsyncClient(timeout=timeout_seconds, follow_redirects=False, headers=_HEADERS)


async def _get(client: AsyncClient, url: str) -> bytes:
    async with client.stream("GET", url) as response:
        if response.status_code != 200:
            raise KeysUnavailableError(f"the answer has the status {response.status_code}, not 200")
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise KeysUnavailableError("the answer is compressed, which nobody asked for")
        body = bytearray()
        async for piece in response.aiter_raw():
            body += piece
            if len(body) > MAX_BYTES:
                raise KeysUnavailableError(f"the answer has more than {MAX_BYTES} bytes")
        return bytes(body)
