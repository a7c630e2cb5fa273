"""Consistency tokens: a writer's receipt, with which any other worker first catches up to that write.

Opaque to whoever carries it and authenticated, so that nobody can make a worker look for what never was; bound to the
database that it speaks of.
"""

import base64
import hashlib
import hmac
from dataclasses import dataclass

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from asyncauth.db.feed import Position
from asyncauth.errors import ConsistencyTokenError
from asyncauth.tokens.keys import Key

MAX_LENGTH = 200
_TAG_BYTES = 16


@dataclass(frozen=True, slots=True)
class Receipts:
    """Makes and reads the tokens. All workers with the same signing key understand each other's."""

    secret: bytes

    def issue(self, epoch: str, mark: int) -> str:
        """The token of a write whose mark is `mark` (see `db.feed.read_mark`)."""
        body = f"{epoch}:{mark}".encode()
        return base64.urlsafe_b64encode(self._tag(body) + body).rstrip(b"=").decode()

    def read(self, token: object, epoch: str) -> int:
        """The mark in a token.

        Raises:
            ConsistencyTokenError: not one of ours, or of another database.
        """
        raw = _decode(token)
        tag, body = raw[:_TAG_BYTES], raw[_TAG_BYTES:]
        if not hmac.compare_digest(tag, self._tag(body)):
            raise ConsistencyTokenError("not a consistency token of this server")
        its_epoch, _, mark = body.decode("ascii").rpartition(":")
        if its_epoch != epoch:
            raise ConsistencyTokenError("the consistency token speaks of another database")
        return int(mark)

    def _tag(self, body: bytes) -> bytes:
        return hmac.digest(self.secret, body, hashlib.sha256)[:_TAG_BYTES]


def _decode(token: object) -> bytes:
    if not isinstance(token, str) or len(token) > MAX_LENGTH:
        return b""
    try:
        return base64.b64decode(token.encode("ascii") + b"=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except ValueError:
        return b""


def make_receipts(key: Key) -> Receipts:
    """Derive the secret from the key that signs tokens."""
    material = key.signing
    if not isinstance(material, bytes):
        material = material.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return Receipts(hmac.digest(material, b"asyncauth consistency token", hashlib.sha256))


def covers(position: Position, mark: int, dialect: str) -> bool:
    """Whether somebody at `position` knows the write with that mark."""
    if dialect == "postgresql":
        return mark < position.xmax and mark not in position.running
    return mark <= position.last and not any(gap.low <= mark <= gap.high for gap in position.gaps)
