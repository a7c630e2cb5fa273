"""`asyncauth db`: make, upgrade and check the tables."""

import os
from pathlib import Path
from typing import Annotated

import anyio
import typer

from asyncauth.cli.common import counted
from asyncauth.custom_roles import CustomRoles, read_custom_roles
from asyncauth.db import migrate
from asyncauth.db.explain import MISSING_TABLES
from asyncauth.db.indexes import STATEMENT
from asyncauth.db.seed import seed as make_missing
from asyncauth.errors import ConfigurationError

_VARIABLE = "ASYNCAUTH_DATABASE_URL"
_CUSTOM_ROLES = "ASYNCAUTH_CUSTOM_ROLES"

app = typer.Typer(help="Make, upgrade and check the tables.", no_args_is_help=True)
Url = Annotated[
    str | None,
    typer.Option(
        "--database-url",
        metavar="URL",
        help=f"Where the tables are; otherwise {_VARIABLE} or the file that {_VARIABLE}_FILE names. "
        "Drivers may be async or sync. Other users of this machine can read arguments, and so a password in them.",
    ),
]


@app.command()
def upgrade(
    database_url: Url = None,
    sql: Annotated[
        bool, typer.Option("--sql", help="Print the statements for an empty database (MariaDB: a mariadb URL) instead.")
    ] = False,
    adopt: Annotated[
        bool, typer.Option("--adopt", help="With --sql: for a database that Airflow's FAB provider made.")
    ] = False,
    add_indexes: Annotated[
        bool,
        typer.Option(
            "--add-indexes",
            help="Also add an index on ab_user_role.role_id, which FAB's tables lack on PostgreSQL and SQLite: with "
            "many users, changing a role reads the roles of all of them without it.",
        ),
    ] = False,
) -> None:
    """Bring the tables to this version: made in an empty database, added to one that Airflow's FAB provider made."""
    url = get_url(database_url)
    if sql:
        typer.echo(migrate.sql(url, adopted=adopt), nl=False)
        if add_indexes:
            typer.echo(f"{STATEMENT};")
        return
    done = anyio.run(migrate.upgrade, url)
    typer.echo("the tables have been upgraded" if done else "there was nothing to upgrade")
    if add_indexes:
        made = anyio.run(migrate.add_indexes, url)
        typer.echo("the index has been added" if made else "there was no index to add")


@app.command()
def current(database_url: Url = None) -> None:
    """Print the version of the tables."""
    version = anyio.run(migrate.current, get_url(database_url))
    if version is None:
        raise ConfigurationError(MISSING_TABLES)
    typer.echo(version)


@app.command()
def check(database_url: Url = None) -> None:
    """Say what is right and what is wrong with the database, and what to do about it."""
    findings = anyio.run(migrate.check, get_url(database_url))
    for finding in findings:
        advice = f": {finding.advice}" if finding.advice else ""
        typer.echo(f"{'ok   ' if finding.ok else 'WRONG'}  {finding.what}{advice}")
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


@app.command()
def seed(
    database_url: Url = None,
    custom_roles: Annotated[
        Path | None,
        typer.Option(
            "--custom-roles",
            metavar="FILE",
            help='Roles of your own: {"role": [{"action": "…", "resource": "…"}]}; otherwise '
            f"{_CUSTOM_ROLES} or the file that {_CUSTOM_ROLES}_FILE names.",
        ),
    ] = None,
) -> None:
    """Make what is missing of FAB's default roles (Admin, Op, User, Viewer, Public) and of roles of your own.

    Nothing is taken away; many processes may do it at once.
    """
    url = get_url(database_url)
    made = anyio.run(make_missing, url, _custom_roles(custom_roles))
    if made:
        numbers = (made.roles, "role"), (made.permissions, "permission"), (made.grants, "grant")
        typer.echo(f"made {', '.join(counted(number, noun) for number, noun in numbers)}")
    else:
        typer.echo("there was nothing to seed")


def _custom_roles(option: Path | None) -> CustomRoles:
    if option is not None:
        return read_custom_roles(_read(option, "--custom-roles"))
    path = os.environ.get(f"{_CUSTOM_ROLES}_FILE")
    text = os.environ.get(_CUSTOM_ROLES) or (path and _read(Path(path), f"{_CUSTOM_ROLES}_FILE"))
    return read_custom_roles(text) if text else {}


def get_url(option: str | None) -> str:
    """Where the tables are: the option, or what the environment says."""
    path = os.environ.get(f"{_VARIABLE}_FILE")
    if option or os.environ.get(_VARIABLE):
        return option or os.environ[_VARIABLE]
    if not path:
        raise typer.BadParameter(f"pass --database-url or set {_VARIABLE}")
    return _read(Path(path), f"{_VARIABLE}_FILE")


def _read(path: Path, who: str) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not text"
        raise ConfigurationError(f"{who} names a file that cannot be read: {reason}") from None
