"""The keys that sign our tokens: a secret or a PEM file in the settings, or a file of keys that rotate."""

from pathlib import Path

from anyio import to_thread

from asyncauth.errors import ConfigurationError
from asyncauth.settings import Settings
from asyncauth.tokens.jwks import parse_own
from asyncauth.tokens.keys import Key, load_key
from asyncauth.tokens.keyset import KeyRing, KeySet
from asyncauth.tokens.refresh import Refresh

MAX_BYTES = 1024 * 1024
RETRY_SECONDS = 5.0
"""From one reading of the file to the next at least, when a token names an unknown key."""


def load_keys(settings: Settings) -> KeySet:
    """All keys that `settings` describe. Reads files: not on the event loop.

    Raises:
        ConfigurationError: no key, a weak one, or one that does not fit the algorithm.
    """
    return KeySet(_load(settings))


def own_refresh(settings: Settings, ring: KeyRing) -> Refresh | None:
    """What reads the file of our keys anew; None if there is no such file."""
    if settings.jwt_keys_path is None:
        return None

    async def read() -> list[Key]:
        return await to_thread.run_sync(_load, settings)

    seconds = settings.jwt_keys_refresh_seconds
    return Refresh("our own", ring, read, refresh_seconds=seconds, retry_seconds=RETRY_SECONDS)


def read_file(path: Path, what: str) -> bytes:
    """The bytes of a file of keys.

    Raises:
        ConfigurationError: it cannot be read, or is far too long.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(f"{what} {path} cannot be read: {error.strerror}") from None
    if len(data) > MAX_BYTES:
        raise ConfigurationError(f"{what} {path} has more than {MAX_BYTES} bytes")
    return data


def _load(settings: Settings) -> list[Key]:
    path = settings.jwt_keys_path
    if path is None:
        return [load_key(settings)]
    data = read_file(path, "jwt_keys_path")
    try:
        keys = list(parse_own(data))
    except ConfigurationError as error:
        raise ConfigurationError(f"jwt_keys_path {path}: {error}") from None
    if settings.jwt_secret is not None or settings.jwt_private_key_path is not None:
        # It has signed before there was a file: it signs on until the first key of the file does, and verifies. It
        # stands first, because of two that begin at the same time the last one signs.
        keys.insert(0, load_key(settings))
    return keys
