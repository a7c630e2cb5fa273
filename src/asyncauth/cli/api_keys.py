"""`asyncauth api-keys`: keys with which machines act as a user."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from asyncauth import admin
from asyncauth.admin.operator import operator
from asyncauth.cli.common import Form, Output, run, say, show
from asyncauth.manager import AuthManager

app = typer.Typer(help="Make, list and revoke API keys, with which machines act as a user.", no_args_is_help=True)
_COLUMNS = ("id", "username", "name", "scopes", "created_at", "expires_at", "revoked_at", "last_used_at")
_TIMES = _COLUMNS[4:]
_DAY_SECONDS = 86_400
Username = Annotated[str, typer.Option("--username", "-u", metavar="NAME", help="Who the machine acts as.")]
Owner = Annotated[str | None, typer.Option("--username", "-u", metavar="NAME", help="Only the keys of this user.")]


@app.command()
def create(
    username: Username,
    name: Annotated[str, typer.Option("--name", "-n", metavar="TEXT", help="What the key is for.")],
    scope: Annotated[
        list[str] | None,
        typer.Option(
            "--scope",
            "-s",
            metavar="ACTION:RESOURCE",
            help="Narrow the key to this, such as can_read:DAGs; may be given several times. None: it is not narrowed.",
        ),
    ] = None,
    expires_days: Annotated[int | None, typer.Option(min=1, metavar="DAYS", help="None: it does not expire.")] = None,
    output: Output = Form.table,
) -> None:
    """Make a key and print it, this once: nobody can look it up later. Exit code 1: there is no such user."""
    scopes = None if scope is None else [_pair(text) for text in scope]

    async def work(auth: AuthManager) -> admin.NewApiKey:
        expires_at = None if expires_days is None else int(auth.now()) + expires_days * _DAY_SECONDS
        written = await admin.create_api_key(
            auth, username=username, name=name, scopes=scopes, expires_at=expires_at, actor=operator()
        )
        return written.value

    made = run(work)
    say(f'API key {made.id} of "{username}", shown this once: {made.text}', output, id=made.id, key=made.text)


@app.command("list")
def list_(username: Owner = None, output: Output = Form.table) -> None:
    """List keys, revoked and expired ones included. Exit code 1: there is no such user."""

    async def work(auth: AuthManager) -> list[admin.ApiKeyInfo]:
        return await admin.list_api_keys(auth, username=username)

    show((_row(key, output) for key in run(work)), _COLUMNS, output)


@app.command()
def revoke(key_id: Annotated[int, typer.Argument(metavar="ID", min=1)], output: Output = Form.table) -> None:
    """End a key; doing it twice is no error. Exit code 1: there is none of this id."""

    async def work(auth: AuthManager) -> None:
        await admin.revoke_api_key(auth, key_id=key_id, actor=operator())

    run(work)
    say(f"API key {key_id} revoked", output, id=key_id)


def _pair(text: str) -> tuple[str, str]:
    action, colon, resource = text.partition(":")
    if not (action and colon and resource):
        raise typer.BadParameter(f"--scope {text}: write ACTION:RESOURCE, such as can_read:DAGs")
    return action, resource


def _row(key: admin.ApiKeyInfo, output: Form) -> dict[str, Any]:
    row = {name: getattr(key, name) for name in _COLUMNS}
    row["scopes"] = None if key.scopes is None else [f"{one.action}:{one.resource}" for one in key.scopes]
    if output is Form.table:
        row |= {name: _moment(row[name]) for name in _TIMES}
        row["scopes"] = "all" if key.scopes is None else row["scopes"]
    return row


def _moment(seconds: int | None) -> str | None:
    return None if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}"
