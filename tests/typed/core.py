"""`asyncauth` itself, used as an application uses it."""

from collections.abc import Mapping
from typing import Any, assert_type

from sqlalchemy.ext.asyncio import AsyncEngine

from asyncauth import (
    AuthError,
    AuthManager,
    Claims,
    Decision,
    Permission,
    Role,
    Settings,
    TokenPair,
    User,
    close_auth_manager,
    create_auth_manager,
    deserialize_user,
    get_auth_manager,
    serialize_user,
)
from asyncauth.db.migrate import Finding, check, current, sql, upgrade
from asyncauth.errors import TooManyAttemptsError, UnavailableError
from asyncauth.metrics import register_opentelemetry, register_prometheus
from asyncauth.model import Written
from asyncauth.status import Status
from asyncauth.trusted import TrustedIssuer


async def the_process_wide_manager() -> None:
    settings = Settings(
        jwt_trusted_issuers=(TrustedIssuer(issuer="https://idp.example", audience="api", matches="username"),)
    )
    assert_type(await create_auth_manager(settings), AuthManager)
    assert_type(get_auth_manager(), AuthManager)
    assert_type(await deserialize_user({"sub": "1"}), User)
    assert_type(await close_auth_manager(), None)


async def a_manager(settings: Settings, engine: AsyncEngine) -> None:
    async with AuthManager(settings, engine=engine) as auth:
        assert_type(auth, AuthManager)
        token = assert_type(await auth.login("ada", "correct horse", "192.0.2.1"), str)
        user = assert_type(await auth.get_user_from_token(token, at_least=None), User)
        assert_type(auth.find_user_from_token(token), User | None)
        assert_type(await auth.get_user(username="ada"), User)
        assert_type(auth.current(user), User)
        assert_type(await auth.load_current(user), User)
        assert_type(auth.decide(user, "can_read", "DAG:etl"), Decision)
        assert_type(auth.filter_allowed(user, "can_read", ["DAG:etl"]), list[str])
        assert_type(auth.allowed_resources(user, "can_read", "DAG:"), frozenset[str])
        assert_type(auth.verify(token), Claims)
        assert_type(auth.slide(auth.verify(token)), str | None)
        assert_type(await auth.get_role("Viewer"), Role)
        assert_type(await auth.revoke_token(token), str | None)
        assert_type(auth.status(), Status)
        assert_type(auth.public_keys(), dict[str, Any])


async def logins_that_go_on(auth: AuthManager) -> None:
    pair = assert_type(await auth.login_pair("ada", "correct horse"), TokenPair)
    assert_type(pair.refresh_token, str)
    assert_type(await auth.refresh(pair.refresh_token), TokenPair)
    assert_type(await auth.end_login(pair.refresh_token), str | None)
    assert_type(await auth.end_tokens(1), str)


async def transactions_of_ones_own(auth: AuthManager) -> None:
    async def count(session: object) -> int:
        return 1

    assert_type(await auth.read(count), int)
    written = assert_type(await auth.write(count), Written[int])
    assert_type(written.value, int)
    assert_type(written.token, str)


def values(user: User, decision: Decision, claims: Claims) -> None:
    assert_type(user.username, str)
    assert_type(user.roles, tuple[Role, ...])
    assert_type(bool(decision), bool)
    assert_type(decision.reason, str)
    assert_type(claims.user_id, int | None)
    assert_type(Permission("can_read", "DAG:etl").resource, str)
    assert_type(serialize_user(user), dict[str, str])


def refusals(error: AuthError, late: UnavailableError, often: TooManyAttemptsError) -> None:
    assert_type(error.status, int)
    assert_type(error.code, str)
    assert_type(late.retry_after_seconds, int)
    assert_type(often.retry_after_seconds, int)


async def tables(url: str) -> None:
    assert_type(await upgrade(url), bool)
    assert_type(await current(url), str | None)
    assert_type(await check(url), list[Finding])
    assert_type(sql(url), str)


def claims_of_any_mapping(claims: Mapping[str, object]) -> object:
    return deserialize_user(claims)


def metrics(auth: AuthManager, registry: Any, meter: Any) -> None:
    assert_type(register_prometheus(auth, registry), None)
    assert_type(register_opentelemetry(auth, meter), None)
