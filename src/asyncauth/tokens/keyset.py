"""All keys of one issuer: which one a token names, and which one signs when.

A KeySet never changes; the KeyRing of an issuer holds the present one, and gets another whole.
"""

import asyncio
from collections.abc import Callable, Iterable

from asyncauth.errors import ConfigurationError, KeysUnavailableError, UnknownKeyError
from asyncauth.tokens.jwks import airflow_kid, thumbprint
from asyncauth.tokens.keys import Key

AIRFLOW_HMAC_KID = "not-used"
"""What Airflow writes into the header of tokens signed with a secret without a name."""


class KeySet:
    """Keys by the ids that tokens may name them with.

    Raises:
        ConfigurationError: two keys answer to one id.
    """

    def __init__(self, keys: Iterable[Key]) -> None:
        self.keys: tuple[Key, ...] = tuple(sorted(keys, key=lambda key: key.signs_from))
        self._by_kid: dict[str | None, Key] = {}
        for key in self.keys:
            for kid in _names(key):
                if kid in self._by_kid:
                    raise ConfigurationError(
                        "two keys have no kid" if kid is None else f"two keys have the kid {kid!r}"
                    )
                self._by_kid[kid] = key
        if len(self.keys) == 1:
            self._by_kid.setdefault(None, self.keys[0])

    def find(self, kid: str | None) -> Key | None:
        """The key of exactly that id. None is the id of tokens that name no key: they mean the only one, or the one
        that has no name itself."""
        return self._by_kid.get(kid)

    def signing(self, now: float) -> Key:
        """The key that signs at the time `now`: the latest that has begun to, else the first that will."""
        begun = [key for key in self.keys if key.signing is not None and key.signs_from <= now]
        return begun[-1] if begun else self.keys[0]

    def keeps(self, other: "KeySet") -> bool:
        """Whether whatever the other set verifies is verified by this one, with the same keys."""
        mine = self._by_kid
        return all(kid in mine and _same(mine[kid], key) for kid, key in other._by_kid.items())


def _names(key: Key) -> tuple[str | None, ...]:
    if key.kid is not None:
        return (key.kid,)
    if isinstance(key.verifying, bytes):
        return None, AIRFLOW_HMAC_KID
    return tuple(dict.fromkeys((None, thumbprint(key.verifying), airflow_kid(key.verifying))))


def _same(one: Key, other: Key) -> bool:
    return one.algorithm == other.algorithm and one.mark == other.mark


class KeyRing:
    """The present keys of one issuer, for the loop's thread.

    Args:
        keys: None: they have to be fetched first.
    """

    def __init__(self, keys: KeySet | None = None) -> None:
        self.keys = keys
        self.wanted: asyncio.Event = asyncio.Event()
        """Set when a token named a key that is not there: a hint for whoever reads the keys anew."""
        self.forget: list[Callable[[], None]] = []
        """Called when a key has gone or is another: what was verified with it must not be remembered."""

    def get(self, kid: str | None) -> Key:
        """The key of that id. Never waits for anything.

        Raises:
            UnknownKeyError: there is none (401); the keys may be read anew in the background.
            KeysUnavailableError: the keys could never be fetched (503).
        """
        if self.keys is None:
            self.wanted.set()
            raise KeysUnavailableError("the keys of the token's issuer could not be fetched yet")
        key = self.keys.find(kid)
        if key is None:
            self.wanted.set()
            raise UnknownKeyError("kid is missing or names no key of the issuer")
        return key

    def signing(self, now: float) -> Key:
        """The key that signs now. Only of our own ring, which always has keys."""
        assert self.keys is not None  # noqa: S101
        return self.keys.signing(now)

    def replace(self, keys: KeySet) -> None:
        """Take these keys from now on."""
        before, self.keys = self.keys, keys
        if before is not None and not keys.keeps(before):
            for forget in self.forget:
                forget()
