"""Every error that asyncauth raises, and the one source of the HTTP status that each becomes.

AuthError
├── ConfigurationError            at start: a setting, a driver or the schema is wrong
├── UnauthenticatedError          401  who are you?
│   ├── CredentialsMissingError
│   ├── LoginError                     wrong name, wrong password or inactive: never said which
│   ├── TokenError
│   │   ├── MalformedTokenError
│   │   │   ├── TokenTooLongError
│   │   │   └── HeaderError
│   │   │       └── TokenTypeError
│   │   ├── SignatureError
│   │   │   ├── AlgorithmError
│   │   │   └── UnknownKeyError
│   │   ├── ClaimError
│   │   │   ├── SubjectError
│   │   │   ├── IssuerError
│   │   │   └── AudienceError
│   │   ├── ExpiredTokenError
│   │   ├── ImmatureTokenError
│   │   ├── RevokedTokenError
│   │   ├── ApiKeyError
│   │   ├── RefreshTokenError
│   │   └── RefreshReusedError
│   ├── UserNotFoundError
│   └── UserInactiveError
├── ForbiddenError                403  you may not
│   ├── CrossOriginError               a cookie sent from another site
│   └── EscalationError                somebody gave, or acted on, more than they hold
├── TooManyAttemptsError          429  too many failed logins; carries retry_after_seconds
├── UnavailableError              503  cannot know just now; carries retry_after_seconds
│   ├── DatabaseUnavailableError
│   ├── KeysUnavailableError
│   ├── StaleError
│   ├── BusyError
│   └── ClosedError
└── ChangeError                   4xx  a use case refused the change
    ├── InvalidValueError         400
    ├── NotFoundError             404
    │   ├── UnknownRoleError      400      one that a request names beside its subject
    │   └── UnknownPermissionError 400
    ├── TakenError                409
    ├── InUseError                409
    ├── LastAdministratorError    409
    ├── ChangedMeanwhileError     412
    ├── BodyTooLargeError         413
    └── ConsistencyTokenError     400

`code` is stable and meant for logs, metrics and programs. `public_message` is all that an unauthenticated caller may
be told. `str(error)` may say more, for the operator's log, but never holds a token, a password or a hash.
"""

from typing import ClassVar

__all__ = [
    "AlgorithmError",
    "ApiKeyError",
    "AudienceError",
    "AuthError",
    "BodyTooLargeError",
    "BusyError",
    "ChangeError",
    "ChangedMeanwhileError",
    "ClaimError",
    "ClosedError",
    "ConfigurationError",
    "ConsistencyTokenError",
    "CredentialsMissingError",
    "CrossOriginError",
    "DatabaseUnavailableError",
    "EscalationError",
    "ExpiredTokenError",
    "ForbiddenError",
    "HeaderError",
    "ImmatureTokenError",
    "InUseError",
    "InvalidValueError",
    "IssuerError",
    "KeysUnavailableError",
    "LastAdministratorError",
    "LoginError",
    "MalformedTokenError",
    "NotFoundError",
    "RefreshReusedError",
    "RefreshTokenError",
    "RevokedTokenError",
    "SignatureError",
    "StaleError",
    "SubjectError",
    "TakenError",
    "TokenError",
    "TokenTooLongError",
    "TokenTypeError",
    "TooManyAttemptsError",
    "UnauthenticatedError",
    "UnavailableError",
    "UnknownKeyError",
    "UnknownPermissionError",
    "UnknownRoleError",
    "UserInactiveError",
    "UserNotFoundError",
]


class AuthError(Exception):
    """Root of the tree."""

    code: ClassVar[str] = "auth_error"
    status: ClassVar[int] = 500
    public_message: ClassVar[str] = "the request failed"

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail or self.public_message)


class ConfigurationError(AuthError):
    """Something an operator has to change before asyncauth can start; the message says what."""

    code = "configuration"
    public_message = "the server is not configured correctly"


class UnauthenticatedError(AuthError):
    """The caller is not known (RFC 9110 section 15.5.2)."""

    code = "unauthenticated"
    status = 401
    public_message = "the credentials are missing, invalid or expired"


class CredentialsMissingError(UnauthenticatedError):
    """No token came with the request."""

    code = "credentials_missing"


class LoginError(UnauthenticatedError):
    """The user name and password do not belong to an active user; which of the two was wrong is never said."""

    code = "login_refused"
    public_message = "wrong user name or password"


class TokenError(UnauthenticatedError):
    """The token was refused."""

    code = "token_invalid"


class MalformedTokenError(TokenError):
    """Not a JWS in compact form with a JSON object inside (RFC 7515 section 3.1, RFC 7519 section 7.2)."""

    code = "token_malformed"


class TokenTooLongError(MalformedTokenError):
    """More bytes than any token of ours or of a trusted issuer has."""

    code = "token_too_long"


class HeaderError(MalformedTokenError):
    """The header holds a member that changes how a token is read, or brings its own key: `crit`, `b64`, `zip`, `jwk`,
    `jku`, `x5c`, … (RFC 7515 section 4.1.11, RFC 8725 section 3.10)."""

    code = "token_header"


class TokenTypeError(HeaderError):
    """`typ` is not the configured one: some other kind of token (RFC 8725 section 3.11)."""

    code = "token_type"


class SignatureError(TokenError):
    """The signature does not verify with the configured key and algorithm (RFC 7515 section 5.2)."""

    code = "token_signature"


class AlgorithmError(SignatureError):
    """`alg` is not the one algorithm of the key (RFC 8725 section 3.1)."""

    code = "token_algorithm"


class UnknownKeyError(SignatureError):
    """The issuer has no key of that `kid` (RFC 7515 section 4.1.4)."""

    code = "token_key_unknown"


class ClaimError(TokenError):
    """A required claim is missing, of the wrong type, or not the configured value (RFC 7519 section 4.1)."""

    code = "token_claim"


class SubjectError(ClaimError):
    """The claim that names the user is missing, of another form, or not vouched for (RFC 7519 section 4.1.2)."""

    code = "token_subject"


class IssuerError(ClaimError):
    """`iss` is missing or nobody whose tokens are taken (RFC 7519 section 4.1.1)."""

    code = "token_issuer"


class AudienceError(ClaimError):
    """`aud` is missing or somebody else (RFC 7519 section 4.1.3)."""

    code = "token_audience"


class ExpiredTokenError(TokenError):
    """`exp` has passed (RFC 7519 section 4.1.4)."""

    code = "token_expired"


class ImmatureTokenError(TokenError):
    """`nbf` or `iat` lies in the future (RFC 7519 sections 4.1.5 and 4.1.6)."""

    code = "token_immature"


class RevokedTokenError(TokenError):
    """The token was revoked."""

    code = "token_revoked"


class ApiKeyError(TokenError):
    """Not an API key of ours: of another form, unknown, or with another secret; or API keys are off."""

    code = "api_key_refused"


class RefreshTokenError(TokenError):
    """Not a refresh token of ours: of another form, or unknown (any more)."""

    code = "refresh_token_refused"


class RefreshReusedError(TokenError):
    """A refresh token that was spent before came again: somebody has a copy. The login was ended (RFC 9700 section
    4.14.2)."""

    code = "refresh_token_reused"


class UserNotFoundError(UnauthenticatedError):
    """The user does not exist (any more)."""

    code = "user_not_found"


class UserInactiveError(UnauthenticatedError):
    """The user exists and is switched off: `active` is false or NULL."""

    code = "user_inactive"


class ForbiddenError(AuthError):
    """The caller is known and may not do this (RFC 9110 section 15.5.4)."""

    code = "forbidden"
    status = 403
    public_message = "you may not do this"


class CrossOriginError(ForbiddenError):
    """An unsafe request or a websocket came with a cookie, but not from this origin."""

    code = "cross_origin"
    public_message = "a cookie is accepted from this server's own pages only"


class TooManyAttemptsError(AuthError):
    """Too many logins have failed: for this user, from this address, or in all (RFC 6585 section 4). Whether this one
    would have succeeded is not said. To be tried again after `retry_after_seconds`."""

    code = "too_many_attempts"
    status = 429
    public_message = "too many logins have failed; try again later"

    def __init__(self, detail: str = "", *, retry_after_seconds: int = 1) -> None:
        super().__init__(detail)
        self.retry_after_seconds = retry_after_seconds


class EscalationError(ForbiddenError):
    """The change would give somebody more than its author holds, or is about a user who holds more than they do."""

    code = "escalation"
    public_message = "you may not give, or act on, more than you hold"


class UnavailableError(AuthError):
    """The answer cannot be known just now. Safe to retry after `retry_after_seconds`."""

    code = "unavailable"
    status = 503
    public_message = "the answer cannot be known just now; try again"

    def __init__(self, detail: str = "", *, retry_after_seconds: int = 1) -> None:
        super().__init__(detail)
        self.retry_after_seconds = retry_after_seconds


class DatabaseUnavailableError(UnavailableError):
    """The database did not answer within its deadline, twice where a retry is safe."""

    code = "database_unavailable"


class KeysUnavailableError(UnavailableError):
    """The keys of the token's issuer could not be fetched yet, not even once."""

    code = "keys_unavailable"


class StaleError(UnavailableError):
    """What is in memory is not proven fresh, so nothing is granted on it."""

    code = "stale"


class BusyError(UnavailableError):
    """Too many passwords are being checked at once."""

    code = "busy"


class ClosedError(UnavailableError):
    """The manager is not started, is closing, or is closed."""

    code = "closed"


class ChangeError(AuthError):
    """A use case refused the change; nothing was written. The message is safe to show to whoever asked for it."""

    code = "change_refused"
    status = 400
    public_message = "the change was refused"


class InvalidValueError(ChangeError):
    """A value is empty, too long or holds a character that no database stores."""

    code = "invalid_value"


class NotFoundError(ChangeError):
    """The user, role or permission to change does not exist."""

    code = "not_found"
    status = 404


class UnknownRoleError(NotFoundError):
    """Roles that a change names do not exist."""

    code = "unknown_role"
    status = 400


class UnknownPermissionError(NotFoundError):
    """An action or a resource that a change names does not exist."""

    code = "unknown_permission"
    status = 400


class ConsistencyTokenError(ChangeError):
    """A consistency token that is not ours, of another database, or ahead of this one."""

    code = "consistency_token"
    public_message = "the consistency token is not one of this server's"


class TakenError(ChangeError):
    """The name is in use."""

    code = "taken"
    status = 409


class InUseError(ChangeError):
    """What was to be deleted is in use."""

    code = "in_use"
    status = 409


class LastAdministratorError(ChangeError):
    """Nobody would be left who is active and holds the role of administrators."""

    code = "last_administrator"
    status = 409


class ChangedMeanwhileError(ChangeError):
    """It is not any more what the caller had read (RFC 9110 section 15.5.13)."""

    code = "changed_meanwhile"
    status = 412


class BodyTooLargeError(ChangeError):
    """A request sends more than anybody needs to."""

    code = "body_too_large"
    status = 413
