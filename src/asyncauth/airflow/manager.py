"""The auth manager that Airflow is configured with.

Core calls `get_user_from_token` and `refresh_user` on the event loop and most other methods in threads, some of them on
the loop, too. So everything that decides is memory-only, and what has to be loaded is loaded on the loop, awaited there
and waited for in threads.
"""

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urljoin

from airflow.api_fastapi.app import AUTH_MANAGER_FASTAPI_APP_PREFIX
from airflow.api_fastapi.auth.managers.base_auth_manager import BaseAuthManager
from airflow.api_fastapi.common.types import ExtraMenuItem, MenuItem
from airflow.configuration import conf
from airflow.exceptions import AirflowConfigException
from airflow.models import Connection, DagModel, Pool, Variable
from airflow.models.asset import AssetModel
from airflow.utils.session import NEW_SESSION, provide_session
from jwt import ExpiredSignatureError, InvalidTokenError
from sqlalchemy import select

from asyncauth.airflow import mapping
from asyncauth.airflow.dag_permissions import run_forever, sync_dag_perms
from asyncauth.airflow.home import Home, open_home
from asyncauth.airflow.middleware import PublicRoleMiddleware, RefusalMiddleware
from asyncauth.airflow.settings import dag_sync_seconds, public_role, read_settings, wants_gc_freeze
from asyncauth.airflow.user import AirflowUser, make_public_user
from asyncauth.bootstrap import close_auth_manager
from asyncauth.errors import (
    ClosedError,
    DatabaseUnavailableError,
    ExpiredTokenError,
    ForbiddenError,
    StaleError,
    TokenError,
    UnauthenticatedError,
    UnknownRoleError,
)
from asyncauth.model import User
from asyncauth.settings import Settings

if TYPE_CHECKING:
    from airflow.api_fastapi.auth.managers.base_auth_manager import ResourceMethod
    from airflow.api_fastapi.auth.managers.models.batch_apis import IsAuthorizedDagRequest
    from airflow.api_fastapi.auth.managers.models.resource_details import AccessView, DagAccessEntity, DagDetails
    from airflow.cli.cli_config import CLICommand
    from fastapi import FastAPI
    from sqlalchemy.orm import Session

log = logging.getLogger(__name__)
_RETRY_SECONDS = 1.0
_MANY_IDS = 500
"""More ids than this are compared here instead of being sent to the database."""


class AsyncAuthManager(BaseAuthManager[AirflowUser]):
    """Airflow's users, roles and permissions in FAB's tables, without Flask and without SQL in a warm request."""

    syncs_dags = True
    """Whether the API server turns the `access_control` of DAGs into permissions."""

    def __init__(self) -> None:
        super().__init__()
        self._home: Home | None = None

    @cached_property
    def settings(self) -> Settings:
        """What Airflow's configuration says. Raises ConfigurationError."""
        return read_settings()

    def init(self) -> None:
        """Core calls this once in each process that serves requests. Connects to nothing yet.

        Raises:
            ConfigurationError: an option cannot be used.
            AirflowConfigException: multi-team mode.
        """
        if conf.getboolean("core", "multi_team", fallback=False):
            raise AirflowConfigException("[core] multi_team: FAB's tables know no teams, so neither does asyncauth")
        _ = self.settings

    # ── life ──

    @asynccontextmanager
    async def lifespan(self, _: "FastAPI") -> AsyncIterator[None]:
        """Of the app that core mounts at `/auth`: starts with the server and ends with it. A database that does not
        answer delays the start, not the server, which says 503 until then.

        Raises:
            ConfigurationError: something that an operator has to change.
        """
        try:
            await self._start()
        except DatabaseUnavailableError as error:
            log.warning("%s; trying again until it does", error)
        background = [asyncio.create_task(work) for work in self._background()]
        if wants_gc_freeze():
            gc.collect()
            gc.freeze()
        try:
            yield
        finally:
            for task in background:
                task.cancel()
            self._home = None
            await close_auth_manager()

    def _background(self) -> Iterator[Coroutine[Any, Any, None]]:
        if self._home is None:
            yield self._start_some_time()
        if self.syncs_dags and (seconds := dag_sync_seconds()):
            yield run_forever(seconds)

    async def _start_some_time(self) -> None:
        while True:
            await asyncio.sleep(_RETRY_SECONDS)
            with suppress(DatabaseUnavailableError):
                await self._start()
                return

    async def _start(self) -> Home:
        self._home = home = await open_home(self.settings)
        return home

    async def _here(self) -> Home:
        """The manager of the running event loop, started if need be: under a test client nobody starts it before."""
        home = self._home
        if home is not None and home.is_here and home.auth.started:
            return home
        return await self._start()

    def _require_home(self) -> Home:
        if self._home is None:
            raise ClosedError("the auth manager is not started")
        return self._home

    # ── who is it? ──

    async def get_user_from_token(self, token: str) -> AirflowUser:
        """A token → its user, without SQL when warm. On the event loop.

        Raises:
            ExpiredSignatureError: core answers 401.
            InvalidTokenError: core answers 403.
            UnavailableError: it cannot be known just now; `RefusalMiddleware` answers 503.
        """
        auth = (await self._here()).auth
        try:
            user = auth.find_user_from_token(token)
            if user is None:
                user = await auth.get_user_from_token(token)
            return AirflowUser(user, auth.verify(token) if user.api_key_id is None else None)
        except ExpiredTokenError:
            raise ExpiredSignatureError("the token has expired") from None
        except UnauthenticatedError as error:
            log.info("a token was refused: %s", error.code)
            raise InvalidTokenError(error.code) from None

    def refresh_user(self, *, user: AirflowUser) -> AirflowUser | None:
        """The same user with a new token if the cookie's is past half of its life and `[asyncauth] sliding_seconds`
        lets the login go on; core then calls `generate_jwt`. Memory only."""
        if user.claims is None:
            return None
        renewed = self._require_home().auth.slide(user.claims)
        return None if renewed is None else AirflowUser(user.user, user.claims, renewed=renewed)

    def generate_jwt(self, user: AirflowUser, *, expiration_time_in_seconds: int | None = None) -> str:
        """A token for a user.

        Raises:
            ForbiddenError: the user came with an API key, or nobody has logged in.
        """
        if user.renewed is not None and expiration_time_in_seconds is None:
            return user.renewed  # for the cookie; who asks for a token of some lifetime gets one of its own
        self._refuse_unnamed(user)
        return self._require_home().auth.issue_token(user.user.id, lifetime_seconds=expiration_time_in_seconds)

    def serialize_user(self, user: AirflowUser) -> dict[str, Any]:
        """The claims of a token of this user. Raises ForbiddenError: see `generate_jwt`."""
        self._refuse_unnamed(user)
        return {"sub": str(user.user.id)}

    def _refuse_unnamed(self, user: AirflowUser) -> None:
        if user.public or user.user.api_key_id is not None:
            raise ForbiddenError("only who has logged in with a name gets a token")

    def deserialize_user(self, token: dict[str, Any]) -> AirflowUser:
        """Verified claims → user; from threads. Core itself asks `get_user_from_token`.

        Raises:
            ValueError: no active user has this id.
            UnavailableError: it cannot be known just now, or has to be loaded on the very loop that waits for it.
        """
        home = self._require_home()
        if home.is_here:
            raise StaleError("await get_user_from_token on the event loop")
        try:
            return AirflowUser(home.wait(home.auth.deserialize_user(token)))
        except UnauthenticatedError as error:
            raise ValueError(error.code) from None

    def revoke_token(self, token: str) -> None:
        """End a token, or with `sliding_seconds` its whole login: here at once. From threads; a token that is not ours
        or has expired ends nothing.

        Raises:
            DatabaseUnavailableError: it may not be stored: 503, and the browser keeps its cookie to try again.
        """
        home = self._require_home()
        if home.is_here:
            raise StaleError("await AuthManager.revoke_token on the event loop")
        with suppress(TokenError):
            home.wait(home.auth.revoke_token(token))

    async def public_user(self) -> AirflowUser:
        """Whoever has not logged in, with the role of `[fab] auth_role_public`. Raises UnavailableError."""
        name = public_role()
        auth = (await self._here()).auth
        try:
            return make_public_user(None if name is None else auth.find_role(name) or await auth.get_role(name))
        except UnknownRoleError:
            return make_public_user(None)

    def _now(self, user: AirflowUser) -> User:
        """The user as known now: core may ask seconds after the request was resolved.

        Raises:
            UnavailableError: the user changed this very moment and the caller cannot wait for a load, or it cannot be
                known.
        """
        home = self._require_home()
        try:
            if user.public:
                return self._public_now(home, user)
            try:
                return home.auth.current(user.user)
            except StaleError:
                if home.is_here:
                    raise
                return home.wait(home.auth.load_current(user.user))
        except UnauthenticatedError:  # gone, switched off, or the API key is
            return replace(user.user, roles=(), active=False)

    def _public_now(self, home: Home, user: AirflowUser) -> User:
        if not user.user.roles:
            return user.user
        role = home.auth.find_role(user.user.roles[0].name)
        if role is None:
            if home.is_here:
                raise StaleError("the public role has changed this moment")
            return home.wait(self.public_user()).user
        return replace(user.user, roles=(role,))

    # ── may they? ──

    def _may(self, method: str, resource: str, user: AirflowUser) -> bool:
        return mapping.may(self._now(user), method, resource)

    def is_authorized_configuration(self, *, method: "ResourceMethod", user: AirflowUser, **_: object) -> bool:
        """Whether the user may do this to the configuration."""
        return self._may(method, "Configurations", user)

    def is_authorized_connection(self, *, method: "ResourceMethod", user: AirflowUser, **_: object) -> bool:
        """Whether the user may do this to connections: all or none."""
        return self._may(method, "Connections", user)

    def is_authorized_dag(
        self,
        *,
        method: "ResourceMethod",
        user: AirflowUser,
        access_entity: "DagAccessEntity | None" = None,
        details: "DagDetails | None" = None,
        **_: object,
    ) -> bool:
        """Whether the user may do this to a DAG, or to something of it; see `mapping.may_dag`."""
        dag_id = details.id if details is not None else None
        return mapping.may_dag(self._now(user), method, access_entity, dag_id)

    def is_authorized_asset(self, *, method: "ResourceMethod", user: AirflowUser, **_: object) -> bool:
        """Whether the user may do this to assets: all or none."""
        return self._may(method, "Assets", user)

    def is_authorized_asset_alias(self, *, method: "ResourceMethod", user: AirflowUser, **_: object) -> bool:
        """Whether the user may do this to asset aliases: all or none."""
        return self._may(method, "Asset Aliases", user)

    def is_authorized_pool(self, *, method: "ResourceMethod", user: AirflowUser, **_: object) -> bool:
        """Whether the user may do this to pools: all or none."""
        return self._may(method, "Pools", user)

    def is_authorized_variable(self, *, method: "ResourceMethod", user: AirflowUser, **_: object) -> bool:
        """Whether the user may do this to variables: all or none."""
        return self._may(method, "Variables", user)

    def is_authorized_team(self, **_: object) -> bool:
        """Nobody belongs to a team: FAB's tables know none."""
        return False

    def is_authorized_view(
        self, *, access_view: "AccessView", user: AirflowUser, team_name: str | None = None, **_: object
    ) -> bool:
        """Whether the user may see a page; one that is not known here, or of a team, nobody may."""
        return team_name is None and mapping.may_view(self._now(user), access_view)

    def is_authorized_custom_view(self, *, method: str, resource_name: str, user: AirflowUser, **_: object) -> bool:
        """Whether the user may do this on a page of a plugin's; `method` may be an action of the plugin's own."""
        return mapping.holds(self._now(user), mapping.ACTIONS.get(method, method), resource_name)

    def is_authorized_hitl_task(self, *, assigned_users: set[str], user: AirflowUser, **_: object) -> bool:
        """Whether the user is among those assigned."""
        return self._now(user).active and user.get_id() in assigned_users

    def filter_authorized_menu_items(self, menu_items: list[MenuItem], *, user: AirflowUser) -> list[MenuItem]:
        """Of these items those that the user may open."""
        now = self._now(user)
        return [item for item in menu_items if mapping.may_open(now, item)]

    def get_extra_menu_items(self, *, user: AirflowUser) -> list[ExtraMenuItem]:
        """Links to those of our pages that the user may open."""
        now = self._now(user)
        pages = (("Users", "List Users", "users/list/"), ("Roles", "List Roles", "roles/list/"))
        return [
            ExtraMenuItem(text=text, href=f"{AUTH_MANAGER_FASTAPI_APP_PREFIX}/{path}")
            for text, resource, path in pages
            if mapping.may(now, "MENU", resource)
        ]

    # ── many at once ──

    def batch_is_authorized_connection(self, requests: Sequence[Any], *, user: AirflowUser) -> bool:
        """Whether all of these are allowed."""
        return self._may_all("Connections", requests, user)

    def batch_is_authorized_pool(self, requests: Sequence[Any], *, user: AirflowUser) -> bool:
        """Whether all of these are allowed."""
        return self._may_all("Pools", requests, user)

    def batch_is_authorized_variable(self, requests: Sequence[Any], *, user: AirflowUser) -> bool:
        """Whether all of these are allowed."""
        return self._may_all("Variables", requests, user)

    def _may_all(self, resource: str, requests: Sequence[Any], user: AirflowUser) -> bool:
        now = self._now(user)
        return all(mapping.may(now, method, resource) for method in {request["method"] for request in requests})

    def batch_is_authorized_dag(self, requests: Sequence["IsAuthorizedDagRequest"], *, user: AirflowUser) -> bool:
        """Whether all of these are allowed."""
        now = self._now(user)
        for request in requests:
            details = request.get("details")
            dag_id = details.id if details is not None else None
            if not mapping.may_dag(now, request["method"], request.get("access_entity"), dag_id):
                return False
        return True

    def filter_authorized_connections(
        self, *, conn_ids: set[str], user: AirflowUser, method: "ResourceMethod" = "GET", **_: object
    ) -> set[str]:
        """All or none."""
        return set(conn_ids) if self._may(method, "Connections", user) else set()

    def filter_authorized_pools(
        self, *, pool_names: set[str], user: AirflowUser, method: "ResourceMethod" = "GET", **_: object
    ) -> set[str]:
        """All or none."""
        return set(pool_names) if self._may(method, "Pools", user) else set()

    def filter_authorized_variables(
        self, *, variable_keys: set[str], user: AirflowUser, method: "ResourceMethod" = "GET", **_: object
    ) -> set[str]:
        """All or none."""
        return set(variable_keys) if self._may(method, "Variables", user) else set()

    def filter_authorized_teams(self, **_: object) -> set[str]:
        """None: see `is_authorized_team`."""
        return set()

    def filter_authorized_dag_ids(
        self, *, dag_ids: set[str], user: AirflowUser, method: "ResourceMethod" = "GET", **_: object
    ) -> set[str]:
        """Of these DAGs those to which the user may do this."""
        return mapping.filter_dags(self._now(user), method, dag_ids)

    # FAB gives all ids of these, whoever asks: the route has asked for the permission before.

    @provide_session
    def get_authorized_assets(self, *, session: "Session" = NEW_SESSION, **_: object) -> set[int]:
        """The ids of all assets."""
        return set(session.scalars(select(AssetModel.id)))

    @provide_session
    def get_authorized_connections(self, *, session: "Session" = NEW_SESSION, **_: object) -> set[str]:
        """The ids of all connections."""
        return set(session.scalars(select(Connection.conn_id)))

    @provide_session
    def get_authorized_pools(self, *, session: "Session" = NEW_SESSION, **_: object) -> set[str]:
        """The names of all pools."""
        return {name for name in session.scalars(select(Pool.pool)) if name is not None}

    @provide_session
    def get_authorized_variables(self, *, session: "Session" = NEW_SESSION, **_: object) -> set[str]:
        """The keys of all variables."""
        return set(session.scalars(select(Variable.key)))

    @provide_session
    def get_authorized_dag_ids(
        self, *, user: AirflowUser, method: "ResourceMethod" = "GET", session: "Session" = NEW_SESSION
    ) -> set[str]:
        """The ids of the DAGs that exist and to which the user may do this: at most one statement, for the ids."""
        held = mapping.find_dags(self._now(user), method)
        dag_id = DagModel.__table__.c.dag_id  # of the table, not the model: a quarter faster
        if held is None:
            return set(session.connection().scalars(select(dag_id)).all())
        if not held:
            return set()
        if len(held) > _MANY_IDS:
            return set(held.intersection(session.connection().scalars(select(dag_id)).all()))
        return set(session.connection().scalars(select(dag_id).where(dag_id.in_(held))).all())

    # ── what core asks once ──

    def get_url_login(self, **kwargs: Any) -> str:
        """Where the login page is; `next_url`: where to go from there."""
        url = urljoin(conf.get("api", "base_url", fallback="/"), f"{AUTH_MANAGER_FASTAPI_APP_PREFIX}/login/")
        next_url = kwargs.get("next_url")
        return f"{url}?{urlencode({'next': next_url})}" if next_url else str(url)

    def get_url_logout(self) -> str:
        """Where core sends a browser that it has logged out."""
        return str(urljoin(conf.get("api", "base_url", fallback="/"), f"{AUTH_MANAGER_FASTAPI_APP_PREFIX}/logout"))

    def get_fastapi_app(self) -> "FastAPI":
        """The app at `/auth`: login page, REST routes, pages."""
        from asyncauth.airflow.app import make_airflow_app

        return make_airflow_app(self.lifespan)

    def get_fastapi_middlewares(self) -> list[tuple[Any, dict[str, Any]]]:
        """The last one stands outermost."""
        refusals: tuple[Any, dict[str, Any]] = (RefusalMiddleware, {})
        if public_role() is None:
            return [refusals]
        return [(PublicRoleMiddleware, {"find_user": self.public_user}), refusals]

    @cached_property
    def security_manager(self) -> Any:
        """FAB's own commands, `airflow users …` where its provider is installed, ask the auth manager for the object
        that does their work, having set `appbuilder`. So they go on working. Nobody else asks for it.

        Raises:
            AttributeError: nobody set it: there is no FAB here.
        """
        builder = vars(self).get("appbuilder")
        if builder is None:
            raise AttributeError("security_manager")
        from airflow.providers.fab.auth_manager.security_manager.override import FabAirflowSecurityManagerOverride

        return FabAirflowSecurityManagerOverride(builder)

    @staticmethod
    def get_cli_commands() -> "list[CLICommand]":
        """The commands of `airflow asyncauth`."""
        from asyncauth.airflow.commands import get_commands

        return get_commands()

    @staticmethod
    def sync_dag_perms(dag: Any, *, session: "Session") -> None:
        """Newer cores call this for each DAG that they have parsed; see `dag_permissions.sync_dag_perms`."""
        sync_dag_perms(dag, session=session)

    @staticmethod
    def get_db_manager() -> str:
        """What makes our tables in `airflow db migrate`."""
        return "asyncauth.airflow.db_manager.AsyncAuthDBManager"


class AsyncFabAuthManager(AsyncAuthManager):
    """The same under a name by which core 3.3 knows that the FAB provider is installed, and lets it turn the
    `access_control` of DAGs into permissions."""

    syncs_dags = False
