"""What the commands share: a manager on Airflow's database, and how they end."""

import getpass
import json
import secrets
import string
from argparse import Namespace
from collections.abc import Awaitable, Callable
from functools import partial, wraps
from pathlib import Path
from typing import Any, TypeVar

import anyio
from airflow.utils.providers_configuration_loader import providers_configuration_loaded
from sqlalchemy.exc import SQLAlchemyError

from asyncauth import AuthError, AuthManager, admin
from asyncauth.admin.operator import calm, every
from asyncauth.airflow.home import AirflowAuth
from asyncauth.airflow.settings import read_settings

T = TypeVar("T")
RANDOM_LENGTH = 16


def command(function: Callable[[Namespace], None]) -> Callable[[Namespace], None]:
    """A command that knows the options of all providers and ends with one sentence when it is refused.

    Airflow's own wrapper for commands is left out: it stores the command line, and knows passwords only where FAB's
    commands have them. What was changed stands in the audit table.
    """

    @wraps(function)
    def run_command(args: Namespace) -> None:
        try:
            function(args)
        except AuthError as error:
            raise SystemExit(str(error)) from None
        except SQLAlchemyError as error:
            raise SystemExit(f"the database refused: {getattr(error, 'orig', error)}") from None

    wrapped: Callable[[Namespace], None] = providers_configuration_loaded(run_command)
    return wrapped


def run(work: Callable[[AuthManager], Awaitable[T]]) -> T:
    """Run `work` with a manager on Airflow's database, as Airflow's configuration describes it.

    Raises:
        AuthError: it cannot be made, or refuses.
    """
    return anyio.run(partial(_run, work))


async def _run(work: Callable[[AuthManager], Awaitable[T]]) -> T:
    async with AirflowAuth(calm(read_settings())) as auth:
        return await work(auth)


async def all_users(auth: AuthManager) -> list[admin.UserInfo]:
    """Every user."""
    return [user async for user in every(lambda offset: admin.list_users(auth, limit=1000, offset=offset))]


async def all_roles(auth: AuthManager) -> list[admin.RoleInfo]:
    """Every role."""
    return [role async for role in every(lambda offset: admin.list_roles(auth, limit=1000, offset=offset))]


async def require_role(auth: AuthManager, name: str) -> None:
    """End the command unless the role exists."""
    names = [role.name for role in await all_roles(auth)]
    if name not in names:
        raise SystemExit(f"{name} is not a valid role. Valid roles are: [{', '.join(names)}]")


def choose_password(args: Namespace) -> str:
    """The password that was given, a random one, or one that is typed twice."""
    if args.use_random_password:
        return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(2 * RANDOM_LENGTH))
    if args.password:
        return str(args.password)
    password = getpass.getpass("Password:")
    if password != getpass.getpass("Repeat for confirmation:"):
        raise SystemExit("Passwords did not match")
    return password


def read_json(path: str) -> Any:
    """What stands in a file."""
    try:
        return json.loads(Path(path).expanduser().read_bytes())
    except FileNotFoundError:
        raise SystemExit(f"File '{path}' does not exist") from None
    except OSError as error:
        raise SystemExit(f"File '{path}' cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise SystemExit(f"File '{path}' is not valid JSON. Error: {error}") from None


def write_json(path: str, value: Any, **form: Any) -> None:
    """Write a file."""
    try:
        Path(path).expanduser().write_text(json.dumps(value, **form), encoding="utf-8")
    except OSError as error:
        raise SystemExit(f"File '{path}' cannot be written: {error.strerror}") from None
