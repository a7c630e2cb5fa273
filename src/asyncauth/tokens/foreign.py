"""What holds for the tokens of each trusted issuer, and what reads its keys anew."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from anyio import to_thread

from asyncauth.errors import ConfigurationError
from asyncauth.settings import Settings
from asyncauth.tokens.claims import NameRule, Rule
from asyncauth.tokens.jwks import parse_foreign
from asyncauth.tokens.keys import Key, load_public_key
from asyncauth.tokens.keyset import KeyRing, KeySet
from asyncauth.tokens.own import load_keys, own_refresh, read_file
from asyncauth.tokens.refresh import Refresh
from asyncauth.trusted import TrustedIssuer


@dataclass(frozen=True, slots=True)
class LoadedKeys:
    """Everybody's keys, and what reads them anew."""

    ring: KeyRing
    """Our own."""
    trusted: Mapping[str, Rule]
    """What holds for the tokens of each foreign issuer, by its `iss`."""
    refreshes: tuple[Refresh, ...]


def load_all(settings: Settings) -> LoadedKeys:
    """Our own keys and those of trusted issuers that are in files. Not on the event loop.

    Raises:
        ConfigurationError: no key, a bad one, a file that cannot be read, or httpx is missing.
    """
    ring = KeyRing(load_keys(settings))
    trusted, refreshes = _load_trusted(settings.jwt_trusted_issuers)
    own = own_refresh(settings, ring)
    return LoadedKeys(ring, trusted, tuple(refreshes if own is None else [own, *refreshes]))


def _load_trusted(issuers: Iterable[TrustedIssuer]) -> tuple[dict[str, Rule], list[Refresh]]:
    rules: dict[str, Rule] = {}
    refreshes: list[Refresh] = []
    for trusted in issuers:
        ring = KeyRing(_load(trusted))
        rules[trusted.issuer] = Rule(ring, trusted.audiences, trusted.types, NameRule(trusted.claim, trusted.matches))
        read = _reader(trusted)
        if read is not None:
            seconds, retry = trusted.refresh_seconds, trusted.retry_seconds
            refreshes.append(Refresh(trusted.issuer, ring, read, refresh_seconds=seconds, retry_seconds=retry))
    return rules, refreshes


def _load(trusted: TrustedIssuer) -> KeySet | None:
    if trusted.public_key_path is not None:
        return KeySet([load_public_key(trusted.public_key_path, trusted.algorithms)])
    return None if trusted.jwks_path is None else KeySet(_read_path(trusted))


def _reader(trusted: TrustedIssuer) -> Callable[[], Awaitable[Iterable[Key]]] | None:
    if trusted.jwks_path is not None:
        return partial(to_thread.run_sync, partial(_read_path, trusted))
    if trusted.jwks_url is None:
        return None
    try:
        from asyncauth.tokens.remote import fetch  # here, in a thread: its modules are read from disk
    except ImportError:
        raise ConfigurationError("jwks_url is set and httpx is missing: pip install 'asyncauth[jwks]'") from None

    async def read(url: str) -> tuple[Key, ...]:
        return parse_foreign(await fetch(url, timeout_seconds=trusted.timeout_seconds), trusted.algorithms)

    return partial(read, trusted.jwks_url)


def _read_path(trusted: TrustedIssuer) -> tuple[Key, ...]:
    path = trusted.jwks_path
    assert path is not None  # noqa: S101
    data = read_file(path, "jwks_path")
    try:
        return parse_foreign(data, trusted.algorithms)
    except ConfigurationError as error:
        raise ConfigurationError(f"jwks_path {path}: {error}") from None
