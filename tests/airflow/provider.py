"""Runs under Airflow's own Python: the real Airflow 3.3.2 with the real FAB provider, asked one thing at a time.

Reads one JSON object a line, `{"do": NAME, "with": {…}}`, and answers each with one: `{"result": …}` or
`{"error": TEXT}`. Ends when its input does. Configured by `AIRFLOW__…` variables, as Airflow is.
"""

import asyncio
import contextlib
import io
import json
import os
import sys
from ast import literal_eval
from collections.abc import Callable
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import pymysql
import pymysql.converters

# Airflow looks for mysqlclient before it talks to MySQL or MariaDB; PyMySQL, whose URL it is given, takes its place.
pymysql.install_as_MySQLdb()
pymysql.converters.DateTime2literal = pymysql.converters.escape_datetime
sys.modules["MySQLdb.converters"] = pymysql.converters

at_exit = ExitStack()


def cli(line: list[str]) -> None:
    """Run an `airflow` command."""
    from airflow.cli.cli_parser import get_parser

    arguments = get_parser().parse_args(line)
    arguments.func(arguments)


def say(line: list[str]) -> dict[str, Any]:
    """Run an `airflow` command; what it said, and how it ended."""
    said, code = io.StringIO(), 0
    with contextlib.redirect_stdout(said):
        try:
            cli(line)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
            print("" if isinstance(end.code, int) else end.code or "")
    return {"out": said.getvalue(), "code": code}


def set_up(users: list[dict[str, Any]], roles: dict[str, list[tuple[str, str]]] | None = None) -> None:
    """Make the database, the default roles, others and users, as an operator does; some passwords hashed with PBKDF2.

    Args:
        roles: by name, pairs of action and resource.
    """
    from werkzeug.security import generate_password_hash

    cli(["db", "migrate"])
    cli(["sync-perm"])
    for role, pairs in (roles or {}).items():
        for action, resource in pairs:
            add_permission(role, action, resource)
    for user in users:
        values = {name: str(user[name]) for name in ("username", "firstname", "lastname", "email", "role", "password")}
        cli(["users", "create", *(part for name, value in values.items() for part in (f"--{name}", value))])
    manager = security_manager()
    for user in users:
        row = manager.find_user(username=user["username"])
        row.roles = [manager.find_role(name) for name in user["roles"]]
        row.active = user["active"]
        if method := user.get("hash"):
            row.password = generate_password_hash(user["password"], method=method)
        manager.update_user(row)
    add_group(manager, users[0]["username"])


def migrate() -> None:
    """Bring a database to Airflow's tables, whatever stands in it."""
    cli(["db", "migrate"])


def migrate_by_files() -> None:
    """Make FAB's tables as the installations of earlier releases have them: by its migrations, not from its models."""
    from airflow.providers.fab.auth_manager.models.db import FABDBManager
    from airflow.utils.session import create_session

    with create_session() as session:
        FABDBManager(session).upgradedb(use_migration_files=True)


def drop_ours() -> None:
    """What `airflow db reset` does with our database manager, and nothing of the rest."""
    from airflow import settings
    from airflow.utils.session import create_session

    from asyncauth.airflow.db_manager import AsyncAuthDBManager

    with create_session() as session, settings.get_engine().begin() as connection:
        AsyncAuthDBManager(session).drop_tables(connection)


def write_dags(dags: dict[str, str], compress: bool = False) -> None:
    """Serialize Dags as Airflow does after it has parsed them: the literals of their `access_control` by id."""
    import warnings

    from airflow.models import serialized_dag
    from airflow.models.dag import DagModel
    from airflow.models.dagbundle import DagBundleModel
    from airflow.sdk import DAG
    from airflow.serialization.serialized_objects import LazyDeserializedDAG
    from airflow.utils.session import create_session

    serialized_dag._COMPRESS_SERIALIZED_DAGS = compress
    with create_session() as session, warnings.catch_warnings(action="ignore"):
        session.merge(DagBundleModel(name="tests"))
        session.flush()
        for dag_id, wanted in dags.items():
            session.merge(DagModel(dag_id=dag_id, bundle_name="tests"))
            session.flush()
            dag = LazyDeserializedDAG.from_dag(DAG(dag_id, schedule=None, access_control=literal_eval(wanted)))
            serialized_dag.SerializedDagModel.write_dag(dag, bundle_name="tests", session=session)


def copy_dag(dag_id: str, count: int) -> None:
    """So many more Dags that ask for the same."""
    import uuid

    from airflow.models.dag import DagModel
    from airflow.models.dag_version import DagVersion
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.utils.session import create_session
    from sqlalchemy import insert, select

    names = [f"{dag_id}_{number}" for number in range(count)]
    versions = {name: uuid.uuid4() for name in names}
    with create_session() as session:
        row = session.scalars(select(SerializedDagModel).where(SerializedDagModel.dag_id == dag_id)).one()
        session.add_all([DagModel(dag_id=name, bundle_name="tests", max_active_tasks=1) for name in names])
        session.flush()
        new = [{"id": versions[name], "dag_id": name, "bundle_name": "tests", "version_number": 1} for name in names]
        session.execute(insert(DagVersion), new)
        same = {"_data": row._data, "dag_hash": row.dag_hash}
        new = [{"id": uuid.uuid4(), "dag_id": name, "dag_version_id": versions[name], **same} for name in names]
        session.execute(insert(SerializedDagModel), new)


def sync_dags(fab: bool) -> list[str]:
    """Make what all Dags ask for what roles may do, by FAB's code or by ours; the problems."""
    from airflow.models.serialized_dag import SerializedDagModel

    if not fab:
        from asyncauth.airflow.dag_permissions import sync

        return list(sync().problems.values())
    return [
        problem
        for dag_id, dag in sorted(SerializedDagModel.read_all_dags().items())
        if (problem := sync_dag(dag_id, repr(dag.access_control), fab=True))
    ]


def sync_dags_at_once(workers: int) -> list[list[int]]:
    """The same by so many workers at the same time: what each stored, granted and took."""
    from concurrent.futures import ThreadPoolExecutor
    from threading import Barrier

    from asyncauth.airflow.dag_permissions import Synchronizer

    start = Barrier(workers)

    def work(_: int) -> list[int]:
        start.wait()
        report = Synchronizer().sync()
        return [report.stored, report.granted, report.taken]

    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(work, range(workers)))


def sync_dags_held_up() -> list[int]:
    """The same where another writer holds the database for longer, the first time, than one waits."""
    from sqlalchemy import Engine, event
    from sqlalchemy.exc import OperationalError

    from asyncauth.airflow.dag_permissions import sync

    held_up: list[str] = []

    def hold_up(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("UPDATE asyncauth_feed") and not held_up:
            held_up.append(statement)
            raise OperationalError(statement, {}, Exception("database is locked"))

    event.listen(Engine, "before_cursor_execute", hold_up)
    try:
        report = sync()
    finally:
        event.remove(Engine, "before_cursor_execute", hold_up)
    return [len(held_up), report.stored, report.granted, report.taken]


def sync_dag(dag_id: str, wanted: str, fab: bool) -> str:
    """The same for one Dag, as the Dag processor calls it; the problem."""
    from types import SimpleNamespace

    from airflow.providers.fab.auth_manager.security_manager.override import FabException
    from airflow.providers.fab.www.security_appless import ApplessAirflowSecurityManager
    from airflow.utils.session import create_session

    from asyncauth.airflow.dag_permissions import sync_dag_perms

    with create_session() as session:
        try:
            if fab:
                ApplessAirflowSecurityManager(session).sync_perm_for_dag(dag_id, literal_eval(wanted))
            else:
                sync_dag_perms(SimpleNamespace(dag_id=dag_id, access_control=literal_eval(wanted)), session=session)
        except (FabException, ValueError) as error:
            return str(error)
    return ""


def look_for_changed_dags(times: int) -> list[list[Any]]:
    """What our background task does, so many times: Dags that it looked at, grants and takings, statements."""
    from sqlalchemy import Engine, event

    sent: list[str] = []
    found = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        sent.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        for _ in range(times):
            sent.clear()
            report = synchronizer().sync()
            found.append([report.dags, report.granted, report.taken, len(sent)])
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    return found


def read_options() -> dict[str, list[str]]:
    """Options of `[asyncauth]` that are read: those that are settings, and others, as the code names them."""
    import re

    from asyncauth.airflow import manager, settings
    from asyncauth.settings import Settings

    text = "".join(Path(one).read_text() for one in Path(manager.__file__).parent.glob("*.py"))
    others = re.findall(r'conf\.get\w*\(\s*(?:"asyncauth"|SECTION), "(\w+)"', text)
    return {"settings": sorted(Settings.model_fields.keys() - settings._tokens().keys()), "others": others}


@cache
def synchronizer() -> Any:
    """One that lives as long as the process."""
    from asyncauth.airflow.dag_permissions import Synchronizer

    return Synchronizer()


def add_group(manager: Any, username: str) -> None:
    """Give a user a role through a group, which FAB stores and never looks at."""
    from airflow.providers.fab.auth_manager.models import Group

    group = Group(name="operators", roles=[manager.find_role("Op")], users=[manager.find_user(username=username)])
    manager.session.add(group)
    manager.session.commit()


@cache
def application() -> Any:
    """FAB's application builder, inside its application context until the process ends."""
    from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder

    return at_exit.enter_context(get_application_builder())


def security_manager() -> Any:
    """FAB's security manager, about to begin a new transaction."""
    manager = application().sm
    manager.session.rollback()
    return manager


def read_users() -> list[dict[str, Any]]:
    """All users as FAB's decisions see them."""
    users = [
        {
            "id": user.id,
            "username": user.username,
            "first_name": user.first_name,
            "last_name": user.last_name,
            "email": user.email,
            "active": user.active,
            "roles": sorted(role.name for role in user.roles),
            "permissions": sorted([action, resource] for action, resource in user.perms),
        }
        for user in sorted(security_manager().get_all_users(), key=lambda user: user.id)
    ]
    security_manager()  # end the transaction: MariaDB gives no table a trigger that somebody has looked at
    return users


def add_user(username: str, password: str, role: str) -> None:
    """Insert a user, which draws an id."""
    manager = security_manager()
    manager.add_user(username, "", "", f"{username}@x.org", manager.find_role(role), password)


def add_permission(role: str, action: str, resource: str) -> None:
    """Insert a role, a permission, and what it is made of: an id from each of their sequences."""
    manager = security_manager()
    manager.add_permission_to_role(manager.add_role(role), manager.create_permission(action, resource))


def patch(name: str, **arguments: Any) -> None:
    """Do what a PATCH of FAB's REST API does: to a `role` or a `user`."""
    from airflow.providers.fab.auth_manager.api_fastapi.datamodels.roles import RoleBody
    from airflow.providers.fab.auth_manager.api_fastapi.datamodels.users import UserPatchBody
    from airflow.providers.fab.auth_manager.api_fastapi.services.roles import FABAuthManagerRoles
    from airflow.providers.fab.auth_manager.api_fastapi.services.users import FABAuthManagerUsers

    security_manager()
    if "role" in arguments:
        FABAuthManagerRoles.patch_role(name=name, body=RoleBody.model_validate(arguments["role"]))
    else:
        FABAuthManagerUsers.update_user(username=name, body=UserPatchBody.model_validate(arguments["user"]))


def set_active(username: str, active: bool) -> None:
    """What the box on FAB's page of a user does."""
    manager = security_manager()
    row = manager.find_user(username=username)
    row.active = active
    manager.update_user(row)


def check_login(username: str, password: str) -> bool:
    """Whether FAB logs this user in."""
    return security_manager().auth_user_db(username, password, rotate_session_id=False) is not None


def sign(user_id: int, issuer: str | None, audience: str, key: dict[str, str]) -> str:
    """A token of this user, by Airflow's generator."""
    from airflow.api_fastapi.auth.tokens import JWTGenerator

    generator = JWTGenerator(valid_for=3600, audience=audience, issuer=issuer, **key_arguments(key))
    return str(generator.generate({"sub": str(user_id)}))


def validate(token: str, issuer: str | None, audience: str, key: dict[str, str]) -> dict[str, Any]:
    """The claims of a token, by Airflow's validator."""
    from airflow.api_fastapi.auth.tokens import JWKS, JWTValidator, _guess_best_algorithm

    arguments = key_arguments(key)
    if private := arguments.pop("private_key", None):
        arguments = {"jwks": JWKS.from_private_key(private), "algorithm": _guess_best_algorithm(private)}
    validator = JWTValidator(audience=audience, issuer=issuer, leeway=10, **arguments)
    return dict(validator.validated_claims(token))


def key_arguments(key: dict[str, str]) -> dict[str, Any]:
    """`{"secret": …}` or `{"path": …}` as Airflow's classes take it."""
    from airflow.api_fastapi.auth.tokens import _pem_to_key

    if "secret" in key:
        return {"secret_key": key["secret"]}
    return {"private_key": _pem_to_key(Path(key["path"]).read_bytes())}


def read_kid(key: dict[str, str]) -> str:
    """The `kid` under which Airflow knows a key."""
    from airflow.api_fastapi.auth.tokens import JWTGenerator

    return str(JWTGenerator(valid_for=1, audience="", **key_arguments(key)).kid)


def find_username(token: str) -> str | None:
    """Whom the FAB auth manager, as configured, takes the bearer of a token for; None: it refuses."""
    from airflow.providers.fab.auth_manager.fab_auth_manager import FabAuthManager
    from jwt import InvalidTokenError

    try:
        return str(asyncio.run(FabAuthManager().get_user_from_token(token)).username)
    except InvalidTokenError:
        return None


def revoke(token: str) -> None:
    """Log the bearer of a token out."""
    from airflow.providers.fab.auth_manager.fab_auth_manager import FabAuthManager

    FabAuthManager().revoke_token(token)


def read_revocations() -> list[tuple[str, int]]:
    """The ids of revoked tokens and when each expires, in seconds since the epoch, as Airflow reads them."""
    from airflow.models.revoked_token import RevokedToken
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        return [(row.jti, int(row.exp.timestamp())) for row in session.scalars(select(RevokedToken))]


@cache
def rest_client() -> Any:
    """A client of the REST API of the provider, mounted as Airflow mounts it."""
    from airflow.api_fastapi.app import init_auth_manager
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

    app = FastAPI()
    manager: Any = init_auth_manager(app)
    manager.flask_app.config["AUTH_USER_REGISTRATION_ROLE"] = "Public"
    return TestClient(app, raise_server_exceptions=False)


def rest(method: str, path: str, token: str, body: Any = None) -> tuple[int, Any]:
    """Status and JSON of an answer of the REST API."""
    answer = rest_client().request(method, path, json=body, headers={"Authorization": f"Bearer {token}"})
    is_json = answer.headers.get("Content-Type", "").startswith("application/json")
    return answer.status_code, answer.json() if is_json and answer.content else None


def describe_rest() -> dict[str, Any]:
    """The OpenAPI document of the provider's REST API."""
    return dict(rest_client().get("/auth/openapi.json").json())


COMMANDS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        *(cli, set_up, migrate, migrate_by_files, read_users, add_user, add_permission, patch, set_active, check_login),
        *(say, drop_ours, write_dags, copy_dag, sync_dags, sync_dag, look_for_changed_dags),
        *(sync_dags_at_once, sync_dags_held_up, read_options),
        *(sign, validate, read_kid, find_username, revoke, read_revocations, rest, describe_rest),
    )
}


def main() -> None:
    """Answer until the input ends."""
    with at_exit, os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)  # what Airflow prints is a log
        for line in sys.stdin:
            command = json.loads(line)
            try:
                answer = json.dumps({"result": COMMANDS[command["do"]](**command["with"])})
            except (Exception, SystemExit) as error:  # noqa: BLE001  # a test tells it, whatever it is
                answer = json.dumps({"error": f"{type(error).__name__}: {error}"})
            print(answer, file=answers, flush=True)


if __name__ == "__main__":
    main()
