"""Foreign issuers whose tokens are taken, as an operator describes them."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, model_validator

from asyncauth.model import MAX_ISSUER_BYTES, Match, is_issuer

__all__ = ["TrustedIssuer"]

Text = Annotated[str, Field(min_length=1, max_length=255)]
Algorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"
]  # fmt: skip


class TrustedIssuer(BaseModel):
    """Whose tokens, with which keys, for whom, and how they name our users. In the environment: JSON.

    Only public keys: an issuer that shares a secret with us could not be told from us.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    issuer: Text
    """Exactly the `iss` of its tokens."""
    audience: Text | tuple[Text, ...]
    """What it calls us in `aud`; several: any."""
    algorithms: Annotated[tuple[Algorithm, ...], Field(min_length=1)] = ("RS256", "ES256", "EdDSA")
    """What it may sign with. A key that does not name its algorithm serves the first of these that fits it."""
    jwks_url: str | None = None
    """Where its keys are, fetched in the background (needs the extra `jwks`)."""
    jwks_path: Path | None = None
    """Or a file with its key set, read anew as often."""
    public_key_path: Path | None = None
    """Or a PEM file with its one public key, read at the start."""
    allow_http: bool = False
    """Allow `jwks_url` without TLS: whoever is on the way then chooses the keys."""
    refresh_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 300.0
    """How often its keys are read anew, about."""
    retry_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 10.0
    """From one reading to the next at least, also after a token has named an unknown key or a reading has failed."""
    timeout_seconds: Annotated[float, Field(gt=0, le=60, allow_inf_nan=False)] = 5.0
    """Deadline of one fetch, from its start to its last byte."""
    token_type: Text | None = None
    """What `typ` must be, such as `at+jwt` (RFC 9068); None: JWT, or left out."""
    claim: Text = "sub"
    """The member that names the user …"""
    matches: Match
    """… and what of our user it equals: `username` or `email`, to the letter. E-mails must be verified by the issuer
    (`email_verified`)."""

    @property
    def audiences(self) -> frozenset[str]:
        """`audience` as a set."""
        return frozenset([self.audience] if isinstance(self.audience, str) else self.audience)

    @property
    def types(self) -> frozenset[str | None]:
        """The accepted values of `typ`. RFC 7515 section 4.1.9: `application/` may be left out."""
        if self.token_type is None:
            return frozenset({None, "JWT"})
        return frozenset({self.token_type, f"application/{self.token_type}"})

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not is_issuer(self.issuer):
            raise ValueError(f"issuer is longer than {MAX_ISSUER_BYTES} bytes, or not printable")
        if not self.audiences:
            raise ValueError("audience is empty")
        if [self.jwks_url, self.jwks_path, self.public_key_path].count(None) != 2:
            raise ValueError("set one of jwks_url, jwks_path and public_key_path")
        if self.jwks_url is not None:
            parts = urlsplit(self.jwks_url)
            schemes = ("https", "http") if self.allow_http else ("https",)
            if parts.scheme not in schemes or not parts.hostname:
                raise ValueError("jwks_url must be an https:// URL (or say allow_http)")
        return self
