"""The one configuration: frozen, read once, passed in. Units stand in the names."""

from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from asyncauth.custom_roles import CustomRoles
from asyncauth.errors import ConfigurationError
from asyncauth.model import MAX_ISSUER_BYTES, is_issuer
from asyncauth.trusted import TrustedIssuer

__all__ = ["Settings"]

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(gt=0)]
FailureCount = Annotated[int | None, Field(ge=0)]
API_KEY_SECRET_MIN_BYTES = 32
Names = Annotated[str | tuple[str, ...] | None, NoDecode]


class FileSource(EnvSettingsSource):
    """`ASYNCAUTH_JWT_SECRET_FILE=/run/secrets/jwt` in place of the value: how containers hand secrets over."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        path, _, _ = super().get_field_value(field, f"{field_name}_file")
        if not path:
            return None, field_name, False
        try:
            return Path(path).read_text(encoding="utf-8").strip(), field_name, False
        except (OSError, UnicodeDecodeError) as error:
            message = f"{self.env_prefix}{field_name.upper()}_FILE names a file that cannot be read: {error}"
            raise ConfigurationError(message) from None


class Settings(BaseSettings):
    """Every setting of asyncauth. `Settings()` reads the environment: `ASYNCAUTH_` and the name in capitals.

    Raises:
        ConfigurationError: a value is of the wrong type or out of range, or two contradict each other.
    """

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(
        env_prefix="ASYNCAUTH_", frozen=True, extra="forbid", hide_input_in_errors=True, env_ignore_empty=True
    )

    database_url: str | None = Field(default=None, repr=False)
    """Where the `ab_*` tables are: `postgresql+asyncpg://`, `postgresql+psycopg://`, `mysql+aiomysql://`,
    `mariadb+aiomysql://` or `sqlite+aiosqlite://`. Not needed when an engine is passed in."""

    jwt_secret: str | None = Field(default=None, repr=False)
    """Secret of HMAC tokens: at least as many bytes as the hash has (RFC 7518 section 3.2), 64 for HS512."""
    jwt_private_key_path: Path | None = None
    """PEM file with an RSA, EC or Ed25519 private key; in place of `jwt_secret`."""
    jwt_keys_path: Path | None = None
    """File of keys that rotate, kept by `asyncauth keys`; it signs. A `jwt_secret` or `jwt_private_key_path` beside it
    verifies what it signed before."""
    jwt_keys_refresh_seconds: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 60.0
    """How often that file is read anew. `asyncauth keys rotate` has to know it."""
    jwt_trusted_issuers: tuple[TrustedIssuer, ...] = ()
    """Whose tokens are taken beside our own; see `TrustedIssuer`. In the environment: a list in JSON."""
    jwt_allow_weak_secret: bool = False
    """Take a `jwt_secret` that is too short, with a warning at each start: for one that others have chosen already.
    Whoever guesses it can be anybody."""
    jwt_algorithm: str | None = None
    """HS256/384/512, RS256/384/512, PS256/384/512, ES256/384/512 or EdDSA. None: HS512 for a secret, else by the
    kind of key."""
    jwt_kid: str | None = None
    """Written as `kid` into the header of issued tokens."""
    jwt_issuer: Names = None
    """Value of `iss`; several (a tuple, or commas in the environment): the first signs, any verifies."""
    jwt_audience: Names = None
    """Value of `aud`; several: the first signs, any verifies."""
    jwt_allow_any_issuer: bool = False
    """Say so explicitly to leave `jwt_issuer` unset: tokens then carry no `iss` and none is checked."""
    jwt_allow_any_audience: bool = False
    """Say so explicitly to leave `jwt_audience` unset: tokens then carry no `aud` and none is checked."""
    jwt_leeway_seconds: Annotated[int, Field(ge=0, le=300)] = 10
    """Tolerated difference of clocks, for `exp`, `nbf` and `iat`."""
    jwt_expiration_seconds: Count = 86400
    """Life of an issued token."""
    jwt_cli_expiration_seconds: Count = 3600
    """Life of a token of `POST …/token/cli`."""
    jwt_max_age_seconds: Count = 90 * 86400
    """A token issued longer ago is refused as expired, whatever it says itself. Cut-offs ("log out everywhere") are
    kept that long: one that is raised lets tokens of former cut-offs live again that were too old before."""
    sliding_seconds: Annotated[int | None, Field(gt=0)] = None
    """Lets `AuthManager.slide` carry a login on with new tokens for at most this long, for cookies that should not end
    in the middle of the work. `revoke_token` then ends the whole login. None: tokens are not carried on."""
    refresh_tokens: bool = False
    """Whether logins may be carried on with refresh tokens (`login_pair`): set `jwt_expiration_seconds` short then."""
    refresh_expiration_seconds: Count = 14 * 86_400
    """Idle lifetime of a login: how long a refresh token can be used."""
    login_expiration_seconds: Count = 90 * 86_400
    """Absolute lifetime of a login, however often it is refreshed; its access tokens end then, too."""
    refresh_grace_seconds: Annotated[int, Field(ge=0, le=300)] = 10
    """For how long the loser of two concurrent refreshes with one token gets, once, a pair of its own. Later, or once
    more, the login is ended: somebody has a copy."""
    api_key_secret: str | None = Field(default=None, repr=False)
    """Under which the secrets of API keys are hashed: at least 32 bytes, the same on every worker. Another one ends all
    keys, unless the one before stands in `api_key_former_secrets`. None: API keys are off."""
    api_key_former_secrets: Names = Field(default=None, repr=False)
    """Under which keys were hashed before: they are accepted, and new ones are not made with them. Several: a tuple, or
    commas in the environment."""
    api_key_cache_size: Count = 10_000
    """API keys kept in memory."""
    token_cache_size: Count = 50_000
    """Verified tokens remembered until they expire."""
    token_cache_bytes: Count = 32 * 1024 * 1024
    """The same in bytes of token text."""

    user_cache_size: Count = 100_000
    """Users kept in memory; the least recently used goes first."""
    role_cache_size: Count = 10_000
    """Roles kept in memory."""
    poll_interval_seconds: Seconds = 0.25
    """How often one small query asks the database what changed."""
    late_commit_horizon_seconds: Seconds = 600.0
    """MariaDB and MySQL: how long a change that was noted but not yet committed is waited for."""
    trigger_check_seconds: Seconds = 30.0
    """How often the follower looks whether the triggers still stand."""
    change_retention_seconds: Seconds = 86_400.0
    """How long records of the change log are kept; a worker that was away for longer forgets everything."""
    listen: bool = True
    """PostgreSQL: whether to keep a connection that LISTENs. Off: polling only."""
    listen_url: str | None = Field(default=None, repr=False)
    """PostgreSQL: where to LISTEN, if `database_url` goes through a pooler that cannot (PgBouncer in transaction
    mode)."""
    redis_url: str | None = Field(default=None, repr=False)
    """Redis as a wake-up where the database cannot push: `redis://…`. Losing it costs latency, nothing else."""
    max_staleness_seconds: Seconds = 10.0
    """How long memory may be trusted after the last proof that it is current; then 503."""
    max_entry_age_seconds: Seconds = 300.0
    """How long a cached user or role may live whatever the polling says: the bound for writers it cannot see."""

    database_timeout_seconds: Seconds = 2.0
    """Deadline of every use of the database, waiting for a connection and one retry included."""
    database_pool_size: Count = 5
    """Connections at most, where asyncauth makes the engine itself."""
    max_concurrent_loads: Count = 4
    """Users loaded from the database at the same time; others wait, within the deadline."""
    group_roles: bool | None = None
    """Whether roles of a user's groups count. None: yes, but not in a database that Airflow's FAB provider manages,
    where they never did: nobody gains rights by moving."""
    seed_at_start: bool = False
    """Whether a start makes what is missing of FAB's default roles and of `custom_roles`, as `asyncauth db seed`
    does."""
    custom_roles: CustomRoles = Field(default_factory=dict)
    """Roles that seeding makes if they are missing; in FAB's format, see `CustomRoles`. In the environment: JSON."""
    admin_role: str = "Admin"
    """The role of administrators: its last active holder can be neither deleted, demoted nor switched off."""

    password_hash_method: str | None = None
    """How new passwords are hashed, as werkzeug writes it: `scrypt:131072:8:1`, `pbkdf2:sha256:1000000`; or, if no
    Airflow reads these hashes, `argon2id:19456:2:1` (KiB, passes, lanes). A password with a weaker hash gets a new one
    at its next login. None: `scrypt:32768:8:1`, werkzeug's own."""
    password_hash_concurrency: Count = 2
    """Password hashes computed at the same time: each takes about 0.1 s of one core and 32 MiB."""
    password_queue_size: Annotated[int, Field(ge=0)] = 64
    """Logins that may wait for one of these places; one more is answered 503."""
    password_queue_seconds: Seconds = 5.0
    """How long a login may wait; then 503."""
    login_failures_per_user: FailureCount = None
    """Failed logins for one user name within `login_failure_window_seconds`; more are answered 429, but from addresses
    that have logged this user in before: each of those has this limit for itself. None or 0: no limit. All three need
    the extra `throttle`, and count in Redis if `redis_url` is set, otherwise each worker for itself."""
    login_failures_per_address: FailureCount = None
    """The same for one address: of IPv6, one /64. Holds where `login` is given an address."""
    login_failures_in_all: FailureCount = None
    """The same for all together. An address that has logged the user in before is slowed down, not refused."""
    login_failure_window_seconds: Count = 300
    """How long failures count, from the first on."""
    known_address_seconds: Count = 30 * 86_400
    """How long it is remembered that an address has logged a user in."""
    known_address_size: Count = 100_000
    """So many pairs of user and address are remembered in memory; in Redis, all."""

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise ConfigurationError(_sentence(error)) from None
        except SettingsError as error:
            if isinstance(error.__cause__, ConfigurationError):  # of a FileSource
                raise error.__cause__ from None
            raise ConfigurationError(str(error)) from None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order of precedence: arguments, environment, files named by the environment, secrets directory."""
        return init_settings, env_settings, FileSource(settings_cls), dotenv_settings, file_secret_settings

    @property
    def issuers(self) -> tuple[str, ...]:
        """`jwt_issuer` as a tuple; empty if none is configured."""
        return _names(self.jwt_issuer)

    @property
    def audiences(self) -> tuple[str, ...]:
        """`jwt_audience` as a tuple; empty if none is configured."""
        return _names(self.jwt_audience)

    @property
    def api_key_secrets(self) -> tuple[bytes, ...]:
        """`api_key_secret` and the former ones; empty: API keys are off."""
        if self.api_key_secret is None:
            return ()
        return tuple(secret.encode() for secret in (self.api_key_secret, *_names(self.api_key_former_secrets)))

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.jwt_secret is not None and self.jwt_private_key_path is not None:
            raise ValueError("set jwt_secret or jwt_private_key_path, not both")
        self._check_lifetimes()
        trusted = [one.issuer for one in self.jwt_trusted_issuers]
        if len({*trusted, *self.issuers}) < len(trusted) + len(self.issuers):
            raise ValueError("an issuer is configured twice: each has one set of keys and one rule")
        if not all(map(is_issuer, self.issuers)):
            raise ValueError(
                f"jwt_issuer is longer than {MAX_ISSUER_BYTES} bytes, or not printable: nothing could be revoked"
            )
        if any(len(secret) < API_KEY_SECRET_MIN_BYTES for secret in self.api_key_secrets):
            raise ValueError(
                f"api_key_secret, or a former one, is shorter than {API_KEY_SECRET_MIN_BYTES} bytes; make one with: "
                "python -c 'import secrets; print(secrets.token_urlsafe(32))'"
            )
        for name in ("issuer", "audience"):
            unset = not _names(getattr(self, f"jwt_{name}"))
            if unset and not getattr(self, f"jwt_allow_any_{name}"):
                raise ValueError(
                    f"set jwt_{name}, or say jwt_allow_any_{name}=True to accept tokens whatever their {name}"
                )
            if not unset and getattr(self, f"jwt_allow_any_{name}"):
                raise ValueError(f"jwt_{name} is set and jwt_allow_any_{name} too: choose one")
        return self

    def _check_lifetimes(self) -> None:
        if self.refresh_tokens and self.sliding_seconds is not None:
            raise ValueError("refresh_tokens and sliding_seconds are two ways to carry a login on: choose one")
        if self.jwt_max_age_seconds < max(self.jwt_expiration_seconds, self.sliding_seconds or 0):
            raise ValueError("jwt_max_age_seconds must be at least jwt_expiration_seconds and sliding_seconds")
        if self.max_staleness_seconds <= self.poll_interval_seconds:
            raise ValueError("max_staleness_seconds must be longer than poll_interval_seconds")


def _names(value: str | tuple[str, ...] | None) -> tuple[str, ...]:
    if value is None:
        return ()
    parts = value.split(",") if isinstance(value, str) else value
    return tuple(part.strip() for part in parts if part.strip())


def _sentence(error: ValidationError) -> str:
    """One line for an operator; pydantic's own text spans several and may quote the input."""
    problems = []
    for problem in error.errors(include_url=False, include_input=False):
        name = ".".join(str(part) for part in problem["loc"])
        text = problem["msg"].removeprefix("Value error, ")
        problems.append(f"setting {name}: {text}" if name else text)
    return "; ".join(problems)
