"""The values that leave asyncauth: frozen, slotted, safe to share between tasks and threads."""

from dataclasses import dataclass, field
from typing import Generic, Literal, NewType, TypeVar

__all__ = ["Claims", "Decision", "Permission", "Role", "TokenPair", "User", "Written"]

T = TypeVar("T")
Match = Literal["username", "email"]
"""What a name that a foreign issuer vouches for is compared with."""

PermissionKey = NewType("PermissionKey", str)
"""A permission as one string: action, NUL, resource. The garbage collector does not track strings, so a role with
50,000 permissions costs it nothing."""


def permission_key(action: str, resource: str) -> PermissionKey:
    """Join a pair into its key.

    INVARIANT: a *stored* key holds exactly one NUL (`is_storable` keeps others out), so a question whose action or
    resource holds a NUL has two or more and equals no stored key: different pairs never share one.
    """
    return f"{action}\0{resource}"  # type: ignore[return-value]  # to call a NewType takes as long as the rest


def is_storable(text: str) -> bool:
    """Say whether a name can be part of a stored permission key."""
    return "\0" not in text


@dataclass(frozen=True, slots=True, order=True)
class Permission:
    """One action (`can_read`) on one resource (`DAG:etl`)."""

    action: str
    resource: str


@dataclass(frozen=True, slots=True)
class Role:
    """A named set of permissions. Shared by all users who hold it."""

    id: int
    name: str
    keys: frozenset[PermissionKey] = field(repr=False)
    granted: "Decision" = field(init=False, repr=False, compare=False)
    """The decision that this role leads to: made once, because a decision takes less time than making one."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "granted", Decision(allowed=True, role=self.name))

    @property
    def permissions(self) -> frozenset[Permission]:
        """The same set as objects, made on each call."""
        return frozenset(Permission(*key.split("\0")) for key in self.keys)


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who may act: a person or a machine. A snapshot of one committed state of the database.

    A user in the hand is not a licence: whoever keeps one longer than a request asks `AuthManager.current(user)`.
    """

    id: int
    username: str
    roles: tuple[Role, ...] = ()
    first_name: str = field(default="", repr=False)
    last_name: str = field(default="", repr=False)
    email: str = field(default="", repr=False)
    active: bool = True
    scope: frozenset[PermissionKey] | None = field(default=None, repr=False)
    """What the API key that was shown may at most; `roles` are narrowed to it already. None: it narrows nothing."""
    api_key_id: int | None = None
    """The API key that was shown; None: another kind of token."""


MAX_ISSUER_BYTES = 255


def is_issuer(issuer: str) -> bool:
    """Whether the database can hold an issuer in the table of revoked tokens."""
    return len(issuer.encode(errors="surrogatepass")) <= MAX_ISSUER_BYTES and issuer.isprintable()


def make_login_key(issuer: str | None, login_id: str) -> tuple[str, str]:
    """(issuer or "", "login:" and its id): under this key the revocation of a login stands among those of tokens."""
    return (issuer or "", f"login:{login_id}")


@dataclass(frozen=True, slots=True)
class Claims:
    """The verified content of a token (RFC 7519 section 4.1). Exists only if the signature held. Times in seconds
    since the epoch, UTC."""

    user_id: int | None
    """None in a token of a foreign issuer, whose `sub` is never an id of ours."""
    jti: str
    issuer: str | None
    issued_at: int
    not_before: int
    expires_at: int
    login_id: str | None = None
    """Of `sid`: the login that a token of ours came from."""
    name: str | None = None
    """By which a foreign issuer names the user."""
    matches: Match | None = None
    """What of ours the name has to equal."""
    token_id: tuple[str, str] = field(init=False, repr=False, compare=False)
    """(issuer or "", jti): what a revocation names. Never the token's text: ECDSA signatures are malleable."""

    login_key: tuple[str, str] | None = field(init=False, repr=False, compare=False)
    """What a revocation of the whole login names."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "token_id", (self.issuer or "", self.jti))
        login_key = None if self.login_id is None else make_login_key(self.issuer, self.login_id)
        object.__setattr__(self, "login_key", login_key)


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What a login with refresh tokens gives (RFC 6749 section 5.1). Times in seconds since the epoch."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    """Can be used once, for the next pair. Keep it where scripts of a page cannot read it."""
    access_expires_at: int
    refresh_expires_at: int


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to one question. True if allowed; the reason is put into words only when it is read."""

    allowed: bool
    role: str | None = None
    """The role that allows it."""
    action: str = ""
    resource: str = ""
    user: User | None = field(default=None, repr=False)
    """Who was refused; None on an allowed decision, which is shared by all who hold the role."""

    def __bool__(self) -> bool:
        return self.allowed

    @property
    def reason(self) -> str:
        """One sentence for a person."""
        if self.allowed:
            return f"role `{self.role}` allows it"
        user = self.user
        if user is None or not user.active:
            return "the user is inactive"
        if user.scope is not None and permission_key(self.action, self.resource) not in user.scope:
            return f"the scope of API key {user.api_key_id} leaves out `{self.action}` on `{self.resource}`"
        looked_at = ", ".join(f"`{role.name}`" for role in user.roles)
        where = f"looked at: {looked_at}" if looked_at else "the user has no role"
        return f"no role of `{user.username}` has permission `{self.action}` on `{self.resource}` ({where})"


@dataclass(frozen=True, slots=True)
class Written(Generic[T]):
    """What a change gives back."""

    value: T
    token: str
    """The consistency token: any worker that is shown it knows of the change before it answers."""
