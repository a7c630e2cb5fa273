"""Make tokens that Airflow's JWTValidator accepts: jti, sub, iss, aud, nbf, iat, exp."""

import uuid
from dataclasses import dataclass

import jwt

from asyncauth.tokens.keyset import KeyRing


@dataclass(frozen=True, slots=True)
class Issuer:
    """What every token of ours carries. `name` and `audience` are left out of the token when None."""

    ring: KeyRing
    name: str | None
    audience: str | None
    expiration_seconds: int

    def issue(self, user_id: int, now: float) -> str:
        """Sign a token for a user id. `now` in seconds since the epoch."""
        issued_at = int(now)
        claims: dict[str, object] = {
            "jti": uuid.uuid4().hex,
            "sub": str(user_id),
            "nbf": issued_at,
            "iat": issued_at,
            "exp": issued_at + self.expiration_seconds,
        }
        if self.name is not None:
            claims["iss"] = self.name
        if self.audience is not None:
            claims["aud"] = self.audience
        key = self.ring.signing(now)
        headers = {"kid": key.kid} if key.kid is not None else None
        return jwt.encode(claims, key.signing, algorithm=key.algorithm, headers=headers)
