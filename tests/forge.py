"""Make tokens by hand: any header, any payload, signed rightly or not."""

import hashlib
import hmac
import json
from base64 import urlsafe_b64encode
from typing import Any

NOW = 1_700_000_000
ISSUER = "tests"
AUDIENCE = "api"
SECRET = "a secret of the tests, long enough for HS512: 64 bytes, not one less"
HEADER = {"alg": "HS512", "typ": "JWT"}


def claims(**changes: Any) -> dict[str, Any]:
    """The claims of a good token; `...` leaves one out."""
    good = {"jti": "ab12", "sub": "7", "iss": ISSUER, "aud": AUDIENCE, "iat": NOW, "nbf": NOW, "exp": NOW + 60}
    return {name: value for name, value in (good | changes).items() if value is not ...}


def forge(payload: object, header: object = HEADER, *, secret: str | bytes = SECRET, digest: str = "sha512") -> str:
    """A token signed with HMAC over `header` and `payload`, which are bytes as they are, or are written as JSON."""
    signed = f"{encode(header)}.{encode(payload)}"
    key = secret.encode() if isinstance(secret, str) else secret
    return f"{signed}.{encode(hmac.digest(key, signed.encode(), getattr(hashlib, digest)))}"


def encode(part: object) -> str:
    """One part of a token."""
    data = part if isinstance(part, bytes) else json.dumps(part).encode()
    return urlsafe_b64encode(data).rstrip(b"=").decode()
