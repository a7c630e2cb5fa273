"""Check and make password hashes in werkzeug's formats, which FAB reads and writes, with the standard library.

`scrypt:N:r:p$salt$hex` (RFC 7914) and `pbkdf2:hash:iterations$salt$hex` (RFC 8018). In the same form, where somebody
has chosen it, what FAB cannot read: `argon2id:KiB:passes:lanes$salt$hex` (RFC 9106). The work takes about 0.1 s of one
core and 32 MiB a time: `hasher.py` does it off the event loop.
"""

import contextlib
import hashlib
import hmac
import secrets
import string
from dataclasses import dataclass

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from asyncauth.errors import ConfigurationError

MAX_PASSWORD_BYTES = 4096
MAX_HASH_MEMORY_BYTES = 256 * 1024 * 1024
MAX_ITERATIONS = 5_000_000
ARGON2 = "argon2id"
MAX_PASSES, MAX_LANES = 20, 16
_LEAST_WORK = {"sha256": 600_000, "sha512": 210_000, ARGON2: 7_168 * 5}
"""The OWASP Password Storage Cheat Sheet's: iterations, and KiB times passes."""
_ALPHABET = string.ascii_letters + string.digits
_DIGEST_BYTES = 64
_ARGON2_BYTES = 32
_DIGESTS = frozenset({"sha1", "sha224", "sha256", "sha384", "sha512"})


@dataclass(frozen=True, slots=True)
class Scheme:
    """How a hash is computed, read from its first part."""

    text: str
    digest: str = ""
    """Of PBKDF2; or `ARGON2`; empty: scrypt."""
    iterations: int = 0
    """Of PBKDF2; of Argon2id, the passes."""
    n: int = 0
    """Of scrypt; of Argon2id, the KiB."""
    r: int = 0
    p: int = 0
    """Of scrypt; of Argon2id, the lanes."""

    @property
    def memory_bytes(self) -> int:
        """About what one computation needs; of scrypt times `p`, which costs time only."""
        return 1024 * self.n if self.digest == ARGON2 else 132 * self.n * self.r * self.p

    @property
    def work(self) -> int:
        """How much one computation costs, comparable within one kind only."""
        if self.digest == ARGON2:
            return self.n * self.iterations
        return self.iterations if self.digest else self.n * self.r * self.p

    @property
    def _rank(self) -> int:
        """PBKDF2 needs no memory, scrypt does, Argon2id is chosen by whoever wants nothing else."""
        return 2 if self.digest == ARGON2 else 0 if self.digest else 1

    def is_weaker(self, other: "Scheme") -> bool:
        """Whether a hash of this scheme is better replaced by one of the other. Never from one that needs memory to
        PBKDF2, nor from Argon2id to scrypt."""
        if self._rank != other._rank:
            return self._rank < other._rank
        return self.work < other.work if self.digest == other.digest else self.digest in _OLD_DIGESTS

    def rest(self, other: "Scheme") -> "Scheme | None":
        """What has still to be computed after this one, for both to cost about what the other does; None: nothing, or
        they cannot be compared."""
        if self.digest != other.digest or self.work >= other.work:
            return None
        if self.digest == ARGON2:
            passes = max(1, (other.work - self.work) // self.n)
            return Scheme("", digest=ARGON2, iterations=passes, n=self.n, p=self.p)
        if self.digest:
            return Scheme("", digest=self.digest, iterations=other.work - self.work)
        # With the smaller memory of the two, because `p` divides the work evenly there.
        return Scheme("", n=self.n, r=self.r, p=max(1, (other.work - self.work) // (self.n * self.r)))

    def compute(self, password: bytes, salt: str) -> str:
        """The slow part: call it in a worker thread only. All functions release the interpreter lock.

        Raises:
            ValueError: OpenSSL refuses the parameters, or is too old for Argon2id.
        """
        if self.digest == ARGON2:
            return self._compute_argon2(password, salt.encode())
        if self.digest:
            return hashlib.pbkdf2_hmac(self.digest, password, salt.encode(), self.iterations).hex()
        return hashlib.scrypt(
            password,
            salt=salt.encode(),
            n=self.n,
            r=self.r,
            p=self.p,
            maxmem=MAX_HASH_MEMORY_BYTES,
            dklen=_DIGEST_BYTES,
        ).hex()

    def _compute_argon2(self, password: bytes, salt: bytes) -> str:
        try:
            kdf = Argon2id(
                salt=salt, length=_ARGON2_BYTES, iterations=self.iterations, lanes=self.p, memory_cost=self.n
            )
        except UnsupportedAlgorithm:
            raise ValueError("this OpenSSL has no Argon2id") from None
        return kdf.derive(password).hex()


_OLD_DIGESTS = frozenset({"sha1", "sha224"})
DEFAULT_SCHEME = Scheme("scrypt:32768:8:1", n=32768, r=8, p=1)
_DUMMY_SALT = "asyncauthasyncau"


def parse_scheme(text: str) -> Scheme | None:
    """Read `scrypt:32768:8:1`, `pbkdf2:sha256:600000` or `argon2id:19456:2:1`; None if it is none of them, or asks for
    too much work."""
    method, *arguments = text.split(":")
    try:
        if method == "scrypt" and len(arguments) in {0, 3}:
            n, r, p = (_number(argument) for argument in arguments or ("32768", "8", "1"))
            scheme = Scheme(text, n=n, r=r, p=p)
            # RFC 7914 section 2: N is a power of two larger than 1.
            sound = n > 1 and n & (n - 1) == 0 and r > 0 and p > 0
            return scheme if sound and scheme.memory_bytes <= MAX_HASH_MEMORY_BYTES else None
        if method == "pbkdf2" and len(arguments) <= 2:
            digest, count = (*arguments, *("sha256", "1000000")[len(arguments) :])
            if digest in _DIGESTS and 0 < _number(count) <= MAX_ITERATIONS:
                return Scheme(text, digest=digest, iterations=_number(count))
        if method == ARGON2 and len(arguments) == 3:
            memory, passes, lanes = (_number(argument) for argument in arguments)
            scheme = Scheme(text, digest=ARGON2, iterations=passes, n=memory, p=lanes)
            # RFC 9106 section 3.1: at least 8 KiB for each lane.
            sound = 0 < passes <= MAX_PASSES and 0 < lanes <= MAX_LANES and memory >= 8 * lanes
            return scheme if sound and scheme.memory_bytes <= MAX_HASH_MEMORY_BYTES else None
    except ValueError:
        pass
    return None


def new_scheme(text: str) -> Scheme:
    """How new hashes are to be made, by the setting `password_hash_method`.

    Raises:
        ConfigurationError: no method of werkzeug's, one that asks for too much work, or one that is too weak.
    """
    scheme = parse_scheme(text)
    least = "scrypt:32768:8:1, pbkdf2:sha256:600000 (sha512: 210000) or argon2id:19456:2:1, which FAB cannot read"
    if scheme is None or ":" not in text:
        raise ConfigurationError(f"password_hash_method is none that can be used: write it out, at least {least}")
    if scheme.work < (_LEAST_WORK.get(scheme.digest, MAX_ITERATIONS) if scheme.digest else DEFAULT_SCHEME.work):
        raise ConfigurationError(f"password_hash_method {text} is too weak: use at least {least}")
    if scheme.digest == ARGON2:
        try:
            Argon2id(salt=b"asyncauth", length=_ARGON2_BYTES, iterations=1, lanes=1, memory_cost=8)
        except UnsupportedAlgorithm:
            raise ConfigurationError(f"password_hash_method {text} needs OpenSSL 3.2 or newer") from None
    return scheme


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError("not a decimal number")
    return int(text)


def is_usable(password: str) -> bool:
    """Say whether `password` may be looked at at all: not empty, not over 4 KiB, and text.

    A password of NULs alone counts as empty: HMAC pads its key with zeros (RFC 2104), so scrypt and PBKDF2 cannot tell
    it from the empty one, whose hash FAB stores for users of LDAP and OAuth. This is what makes such a hash "none".
    """
    try:
        size = len(password.encode())
    except UnicodeEncodeError:
        return False
    return size <= MAX_PASSWORD_BYTES and password.strip("\0") != ""


def check(stored: str | None, password: str, scheme: Scheme | None = None) -> bool:
    """Compare in constant time. Without a hash that can be checked the work of `scheme` (None: the default) is done
    against a dummy, and after a weaker one the rest of it, so that time does not tell who has which. Blocks for about
    0.1 s."""
    whole = scheme or DEFAULT_SCHEME
    found = read_scheme(stored)
    salt, _, expected = (stored or "").partition("$")[2].partition("$")
    missing: Scheme | None = whole
    if found is not None and expected:
        with contextlib.suppress(ValueError):  # a combination that OpenSSL refuses before any work
            actual = found.compute(password.encode(), salt)
            if hmac.compare_digest(actual.encode(), expected.encode()):
                return True
            missing = found.rest(whole)
    if missing is not None:
        missing.compute(password.encode(), _DUMMY_SALT)
    return False


def read_scheme(stored: str | None) -> Scheme | None:
    """How a stored hash was made; None if it cannot be checked."""
    return parse_scheme((stored or "").partition("$")[0])


def make(password: str, scheme: Scheme | None = None) -> str:
    """A new hash with a new salt. Blocks for about 0.1 s."""
    scheme = scheme or DEFAULT_SCHEME
    salt = "".join(secrets.choice(_ALPHABET) for _ in range(16))
    return f"{scheme.text}${salt}${scheme.compute(password.encode(), salt)}"
