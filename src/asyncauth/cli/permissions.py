"""`asyncauth permissions`: what can be granted."""

from typing import Annotated

import typer

from asyncauth import admin
from asyncauth.admin.operator import every, operator
from asyncauth.cli.common import Form, Output, run, say, show
from asyncauth.manager import AuthManager
from asyncauth.model import Permission

app = typer.Typer(help="List, store and delete permissions: pairs of an action and a resource.", no_args_is_help=True)
Action = Annotated[str, typer.Argument(metavar="ACTION")]
Resource = Annotated[str, typer.Argument(metavar="RESOURCE")]


@app.command("list")
def list_(
    username: Annotated[
        str | None, typer.Option("--username", "-u", metavar="NAME", help="Only what this user may do.")
    ] = None,
    output: Output = Form.table,
) -> None:
    """List what is stored, or what a user may do."""

    async def work(auth: AuthManager) -> list[Permission]:
        if username is not None:
            return list(await admin.list_user_permissions(auth, username))
        pages = every(lambda offset: admin.list_permissions(auth, limit=1000, offset=offset, order_by="resource"))
        return [permission async for permission in pages]

    rows = ({"action": one.action, "resource": one.resource} for one in run(work))
    show(rows, ("action", "resource"), output)


@app.command()
def create(action: Action, resource: Resource, output: Output = Form.table) -> None:
    """Store a permission, so that it can be granted; no error if it is there."""

    async def work(auth: AuthManager) -> None:
        await admin.create_permissions(auth, [(action, resource)], actor=operator())

    run(work)
    say(f"{action} on {resource} can be granted", output, action=action, resource=resource)


@app.command()
def delete(action: Action, resource: Resource, output: Output = Form.table) -> None:
    """Delete a permission. Exit code 1: a role holds it, or there is none."""

    async def work(auth: AuthManager) -> None:
        await admin.delete_permission(auth, action=action, resource=resource, actor=operator())

    run(work)
    say(f"{action} on {resource} is deleted", output, action=action, resource=resource)
