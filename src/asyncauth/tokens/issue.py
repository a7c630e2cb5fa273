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

    def issue(
        self,
        user_id: int,
        now: float,
        *,
        issued_at: int | None = None,
        login_id: str | None = None,
        expires_at: int | None = None,
    ) -> str:
        """Sign a token for a user id. Times in seconds since the epoch; `issued_at`: the `iat` if it is not `now`,
        because a cut-off stands at that very second; `login_id`: the `sid`, of the login that it comes from."""
        issued_at = int(now) if issued_at is None else issued_at
        claims: dict[str, object] = {
            "jti": uuid.uuid4().hex,
            "sub": str(user_id),
            "nbf": min(int(now), issued_at),
            "iat": issued_at,
            "exp": issued_at + self.expiration_seconds if expires_at is None else expires_at,
        }
        if login_id is not None:
            claims["sid"] = login_id
        if self.name is not None:
            claims["iss"] = self.name
        if self.audience is not None:
            claims["aud"] = self.audience
        key = self.ring.signing(now)
        headers = {"kid": key.kid} if key.kid is not None else None
        return jwt.encode(claims, key.signing, algorithm=key.algorithm, headers=headers)
