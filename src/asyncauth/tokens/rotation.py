"""The file of keys that rotate: made, added to and cleaned up. For the command line; servers only read it."""

import json
import os
import secrets
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from asyncauth.errors import ConfigurationError
from asyncauth.tokens.jwks import parse_own, private_jwk, thumbprint
from asyncauth.tokens.keys import HMAC_MIN_BYTES, RSA, Key
from asyncauth.tokens.own import read_file

SKEW_SECONDS = 60
"""What the clocks of workers may differ by, and a slow disk may take."""
_LEEWAY_SECONDS = 300
"""The most that `jwt_leeway_seconds` can be."""
_RSA_BITS = 3072
_MAKERS: dict[str, Callable[[], Any]] = {
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ES384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "ES512": lambda: ec.generate_private_key(ec.SECP521R1()),
    **dict.fromkeys(RSA, lambda: rsa.generate_private_key(65537, _RSA_BITS)),
}
KINDS = (*_MAKERS, *HMAC_MIN_BYTES)


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast servers learn and forget keys: their settings, in seconds."""

    refresh_seconds: float
    """`jwt_keys_refresh_seconds`."""
    token_seconds: float
    """`jwt_expiration_seconds`."""

    @property
    def learn_seconds(self) -> int:
        """Until every server has read a key that is in the file now, one failed reading included."""
        return int(2 * self.refresh_seconds + SKEW_SECONDS)

    def expired(self, successor: Key, now: float) -> bool:
        """Whether everything has expired that was signed before `successor` began to sign."""
        return successor.signs_from + self.token_seconds + self.learn_seconds + _LEEWAY_SECONDS <= now


def make_key(algorithm: str, signs_from: float) -> Key:
    """A new random key, with a name that tells nothing of a secret.

    Raises:
        ConfigurationError: no such algorithm.
    """
    if algorithm in HMAC_MIN_BYTES:
        secret = secrets.token_bytes(HMAC_MIN_BYTES[algorithm])
        return Key(algorithm, secret, secret, secrets.token_urlsafe(16), int(signs_from))
    if algorithm not in _MAKERS:
        raise ConfigurationError(f"there is no algorithm {algorithm}: use one of {', '.join(KINDS)}")
    private = _MAKERS[algorithm]()
    public = private.public_key()
    return Key(algorithm, private, public, thumbprint(public), int(signs_from))


def rotated(keys: Sequence[Key], new: Key, now: float, pace: Pace) -> list[Key]:
    """The keys that go on: those whose last token may still be valid, and the new one.

    Raises:
        ConfigurationError: the last rotation is not over yet.
    """
    ordered = sorted(keys, key=lambda key: key.signs_from)
    if ordered and ordered[-1].signs_from > now:
        wait = int(ordered[-1].signs_from - now) + 1
        raise ConfigurationError(f"the newest key begins to sign in {wait} s only: rotate after that")
    kept = [key for key, successor in pairwise(ordered) if not pace.expired(successor, now)]
    return [*kept, *ordered[-1:], new]


def create_file(path: Path, key: Key) -> None:
    """Make the file with its first key.

    Raises:
        ConfigurationError: it exists already, or cannot be written.
    """
    with suppress(FileNotFoundError):
        path.stat()
        raise ConfigurationError(f"{path} exists already: rotate its keys with asyncauth keys rotate")
    _replace(path, lambda: [key])


def rotate_file(path: Path, new: Key, now: float, pace: Pace) -> tuple[list[Key], list[Key]]:
    """Add a key and drop those that are over. Returns the keys before and after.

    Raises:
        ConfigurationError: see `rotated`; or the file cannot be read or written.
    """
    before: list[Key] = []
    after: list[Key] = []

    def work() -> list[Key]:
        before.extend(read_keys(path))
        after.extend(rotated(before, new, now, pace))
        return after

    _replace(path, work)
    return before, after


def read_keys(path: Path) -> list[Key]:
    """The keys of the file, in the order in which they sign.

    Raises:
        ConfigurationError: it cannot be read, or a key in it is bad.
    """
    keys = parse_own(read_file(path, "the file of keys"))
    return sorted(keys, key=lambda key: key.signs_from)


def _replace(path: Path, work: Callable[[], list[Key]]) -> None:
    """Write a new file in place of the old one: who reads it sees one of the two whole, whatever happens.

    The new file is also the lock: of two commands at once, one is refused."""
    draft = path.with_name(f"{path.name}.new")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        message = f"{draft} exists: another asyncauth keys is at work, or one was cut off; then remove it"
        raise ConfigurationError(message) from None
    except OSError as error:
        raise ConfigurationError(f"{draft} cannot be written: {error.strerror}") from None
    try:
        with open(descriptor, "w", encoding="ascii") as file:  # noqa: PTH123 a descriptor
            json.dump({"keys": [private_jwk(key) for key in work()]}, file, indent=1)
            file.write("\n")
            file.flush()
            _keep_owner(path, descriptor)
            os.fsync(descriptor)
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from None
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def _keep_owner(path: Path, descriptor: int) -> None:
    """A file that root has rotated must stay readable for the servers' account, or their group; never for all."""
    with suppress(FileNotFoundError, PermissionError):
        status = path.stat()
        os.chown(descriptor, status.st_uid, status.st_gid)
        os.fchmod(descriptor, stat.S_IMODE(status.st_mode) & 0o640 | 0o600)
