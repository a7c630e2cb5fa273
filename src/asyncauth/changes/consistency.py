"""Consistency tokens: a writer's receipt, with which any other worker first catches up to that write.

Opaque to whoever carries it and authenticated, so that nobody can make a worker look for what never was; bound to the
database that it speaks of.
"""

import base64
from collections.abc import Callable

from asyncauth.db.feed import Position
from asyncauth.errors import ConsistencyTokenError
from asyncauth.tokens.keyset import KeyRing
from asyncauth.tokens.seals import SEAL_BYTES, Seals

MAX_LENGTH = 200


class Receipts:
    """Makes and reads the tokens. All workers that share a key understand each other's, while keys rotate as well.

    Args:
        ring: our own keys: the one that signs makes the receipts, each of them reads its own.
        now: seconds since the epoch.
    """

    def __init__(self, ring: KeyRing, now: Callable[[], float]) -> None:
        self._seals = Seals(ring, now, b"asyncauth consistency token")

    def issue(self, epoch: str, mark: int) -> str:
        """The token of a write whose mark is `mark` (see `db.feed.read_mark`)."""
        body = f"{epoch}:{mark}".encode()
        return base64.urlsafe_b64encode(self._seals.make(body) + body).rstrip(b"=").decode()

    def read(self, token: object, epoch: str) -> int:
        """The mark in a token.

        Raises:
            ConsistencyTokenError: not one of ours, or of another database.
        """
        raw = _decode(token)
        seal, body = raw[:SEAL_BYTES], raw[SEAL_BYTES:]
        if not self._seals.fits(seal, body):
            raise ConsistencyTokenError("not a consistency token of this server")
        its_epoch, _, mark = body.decode("ascii").rpartition(":")
        if its_epoch != epoch:
            raise ConsistencyTokenError("the consistency token speaks of another database")
        return int(mark)


def _decode(token: object) -> bytes:
    if not isinstance(token, str) or len(token) > MAX_LENGTH:
        return b""
    try:
        return base64.b64decode(token.encode("ascii") + b"=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except ValueError:
        return b""


def covers(position: Position, mark: int, dialect: str) -> bool:
    """Whether somebody at `position` knows the write with that mark."""
    if dialect == "postgresql":
        return mark < position.xmax and mark not in position.running
    return mark <= position.last and not any(gap.low <= mark <= gap.high for gap in position.gaps)
