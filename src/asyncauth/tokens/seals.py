"""Seals: short proofs that this server, whichever of its workers, said something before."""

import hashlib
import hmac
from collections.abc import Callable

from asyncauth.tokens.keyset import KeyRing, KeySet

SEAL_BYTES = 16


class Seals:
    """Makes and checks MACs under keys derived from our own signing keys, while those rotate as well.

    Args:
        ring: the key that signs makes seals, each of them checks its own.
        now: seconds since the epoch.
        purpose: seals of one purpose are worth nothing for another.
    """

    def __init__(self, ring: KeyRing, now: Callable[[], float], purpose: bytes) -> None:
        self._ring = ring
        self._now = now
        self._purpose = purpose
        self._derived_from: KeySet | None = None
        self._secrets: dict[bytes, bytes] = {}

    def make(self, content: bytes) -> bytes:
        """The seal of this content, `SEAL_BYTES` long."""
        return _mac(self._known()[self._ring.signing(self._now()).mark], content)

    def fits(self, seal: bytes, content: bytes) -> bool:
        """Whether a worker of ours made this seal for this content."""
        return any(hmac.compare_digest(seal, _mac(secret, content)) for secret in self._known().values())

    def _known(self) -> dict[bytes, bytes]:
        """The secret of each key, by the key's mark."""
        present = self._ring.keys
        if present is not None and present is not self._derived_from:
            self._secrets = {key.mark: key.derive(self._purpose) for key in present.keys}
            self._derived_from = present
        return self._secrets


def _mac(secret: bytes, content: bytes) -> bytes:
    return hmac.digest(secret, content, hashlib.sha256)[:SEAL_BYTES]
