"""Cookies as carriers of tokens: off unless a `CookiePolicy` is passed in, then for this origin's own pages."""

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Literal

from asyncauth.errors import ConfigurationError, CrossOriginError, InvalidValueError, MalformedTokenError
from asyncauth.web.http import Headers, ScopeView, credential_headers, header_values

__all__ = ["CookiePolicy"]

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""Methods that change nothing (RFC 9110 section 9.2.1)."""
_HTTP_SCHEMES = {"ws": "http", "wss": "https"}
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # token of RFC 9110 section 5.6.2
_PATH = re.compile(r"/[!-:<-~]*")  # visible ASCII without the semicolon
_ORIGIN = re.compile(r"https?://[a-z0-9._\[\]:-]+")  # as browsers write it: in lower case, without a default port
_VALUE = re.compile(r"[A-Za-z0-9._~+/=-]+")
_MAX_BYTES = 4096
"""Of name and value: of more, browsers keep nothing (RFC 6265bis section 5.6), and nobody would be told."""


@dataclass(frozen=True, slots=True)
class CookiePolicy:
    """Where the token's cookie lives. Passing one to an adapter turns cookies on.

    The default name makes browsers refuse the cookie unless it is Secure, has the path `/` and no domain (`__Host-`,
    RFC 6265bis section 4.1.3.2), so that no neighbouring host can plant one.

    Raises:
        ConfigurationError: the name or path cannot stand in a cookie, or the name promises what the rest breaks.
    """

    name: str = "__Host-asyncauth"
    path: str = "/"
    secure: bool = True
    """False only for plain HTTP in development; the name must then be another one."""
    samesite: Literal["Lax", "Strict"] = "Lax"
    origins: tuple[str, ...] = ()
    """Origins that are ours as well, like `https://example.com`: where a proxy in front ends TLS or rewrites the host,
    and the server is not told the outer ones."""
    _opening: str = field(init=False, repr=False, compare=False)
    """What stands before the token, if another cookie does."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or not _PATH.fullmatch(self.path):
            raise ConfigurationError(f"no cookie can have the name {self.name!r} and the path {self.path!r}")
        if self.samesite not in ("Lax", "Strict"):
            raise ConfigurationError("samesite must be Lax or Strict")
        if wrong := [origin for origin in self.origins if not _ORIGIN.fullmatch(origin)]:
            raise ConfigurationError(f"{wrong[0]!r} is no origin: write scheme and host, as in https://example.com")
        if self.name.startswith("__Host-") and not (self.secure and self.path == "/"):
            raise ConfigurationError(f"a cookie named {self.name!r} must be secure and have the path `/`")
        if self.name.startswith("__Secure-") and not self.secure:
            raise ConfigurationError(f"a cookie named {self.name!r} must be secure")
        object.__setattr__(self, "_opening", f"; {self.name}=")

    def set_cookie(self, token: str, *, max_age_seconds: int | None = None) -> str:
        """Value of a Set-Cookie header that hands the token to a browser; without an age until the browser closes.

        Raises:
            InvalidValueError: the token cannot stand in a cookie, or is longer than browsers keep.
        """
        if not _VALUE.fullmatch(token):
            raise InvalidValueError("the token holds a character that no cookie carries")
        if len(self.name) + len(token) > _MAX_BYTES:
            raise InvalidValueError(f"name and token are longer than the {_MAX_BYTES} bytes that browsers keep")
        return self._header(token, max_age_seconds)

    def clear_cookie(self) -> str:
        """Value of a Set-Cookie header that makes a browser forget the token."""
        return self._header("", 0)

    def _header(self, value: str, max_age_seconds: int | None) -> str:
        age = [] if max_age_seconds is None else [f"Max-Age={max_age_seconds}"]
        secure = ["Secure"] if self.secure else []
        parts = [f"{self.name}={value}", *age, f"Path={self.path}", "HttpOnly", *secure, f"SameSite={self.samesite}"]
        return "; ".join(parts)

    def find_token(self, scope: ScopeView) -> str | None:
        """The token that a browser sent along; None if there is none.

        Raises:
            CrossOriginError: the request could change something, or opens a websocket, and is not from our own pages.
            MalformedTokenError: the cookie came twice, so that somebody else may have planted one of them.
        """
        return self.find_token_in(credential_headers(scope), scope)

    def glance(self, cookies: bytes) -> str:
        """The token in the only Cookie header of a request that changes nothing, where the name stands in it once, as
        browsers write it. Anything else gives no token: ask `find_token`."""
        before, _, after = ("; " + cookies.decode("latin-1")).partition(self._opening)
        token, _, rest = after.partition(";")
        return "" if self.name in before or self.name in rest else token

    def find_token_in(self, headers: Headers, scope: ScopeView) -> str | None:
        """As `find_token`, where the `credential_headers` of the scope are at hand."""
        values = _cookie_values(headers, self.name)
        if not values:
            return None
        if len(values) > 1:
            raise MalformedTokenError("the cookie came more than once")
        if scope["type"] == "websocket" or scope["method"] not in SAFE_METHODS:
            check_same_origin(scope, self.origins)
        return values[0]


def check_same_origin(scope: ScopeView, origins: Collection[str] = ()) -> None:
    """Refuse what another site's page may have sent. A login route that sets the cookie should ask this, too.

    `Origin` and `Sec-Fetch-Site` must each say "same origin" where present, and one must be present. Behind a proxy
    that ends TLS the server has to be told the outer scheme (uvicorn: `--proxy-headers`), or `origins` has to name the
    outer origin.

    Raises:
        CrossOriginError: they do not.
    """
    known = {origin.encode("ascii") for origin in origins}
    sent = header_values(scope, b"origin")
    sites = header_values(scope, b"sec-fetch-site")
    fits = (not sent or sent == [_own_origin(scope)] or (len(sent) == 1 and sent[0] in known)) and (
        not sites or sites == [b"same-origin"]
    )
    if not fits or not (sent or sites):
        raise CrossOriginError


def _own_origin(scope: ScopeView) -> bytes | None:
    hosts = header_values(scope, b"host")
    if len(hosts) != 1 or not hosts[0]:
        return None
    given: str = scope.get("scheme", "http")
    scheme = _HTTP_SCHEMES.get(given, given)
    host = hosts[0].lower().removesuffix(_DEFAULT_PORTS.get(scheme, "").encode())
    return f"{scheme}://".encode() + host


def _cookie_values(headers: Headers, name: str) -> list[str]:
    pairs = b";".join(headers.get(b"cookie", ())).decode("latin-1").split(";")
    # Taking a pair apart costs more than to see that it is another's.
    split = [pair.partition("=") for pair in pairs if name in pair]
    return [value.strip() for key, _, value in split if key.strip() == name]
