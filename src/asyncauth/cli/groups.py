"""`asyncauth groups`: groups, their members, and the roles that they carry."""

from typing import Annotated, Any

import typer

from asyncauth import admin
from asyncauth.admin.operator import every, operator
from asyncauth.cli.common import Form, Output, run, say, show
from asyncauth.manager import AuthManager

app = typer.Typer(
    help="Make and delete groups, and say who is in them and which roles they carry. In a database that Airflow's FAB "
    "provider manages, roles of groups count only with ASYNCAUTH_GROUP_ROLES=true.",
    no_args_is_help=True,
)
Group = Annotated[str, typer.Argument(metavar="GROUP")]
Username = Annotated[str, typer.Option("--username", "-u", metavar="NAME")]
RoleName = Annotated[str, typer.Option("--role", "-r", metavar="ROLE")]
_COLUMNS = ("name", "label", "description", "roles", "members")


@app.command("list")
def list_(output: Output = Form.table) -> None:
    """List all groups."""

    async def work(auth: AuthManager) -> list[admin.GroupInfo]:
        return [group async for group in every(lambda offset: admin.list_groups(auth, limit=1000, offset=offset))]

    show(({name: getattr(group, name) for name in _COLUMNS} for group in run(work)), _COLUMNS, output)


@app.command()
def members(group: Group, output: Output = Form.table) -> None:
    """List the members of a group."""

    async def work(auth: AuthManager) -> list[str]:
        pages = every(lambda offset: admin.list_members(auth, group, limit=1000, offset=offset))
        return [username async for username in pages]

    show(({"username": username} for username in run(work)), ("username",), output)


@app.command()
def create(
    group: Group,
    label: Annotated[str | None, typer.Option()] = None,
    description: Annotated[str | None, typer.Option()] = None,
    role: Annotated[list[str] | None, typer.Option("--role", "-r", metavar="ROLE")] = None,
    output: Output = Form.table,
) -> None:
    """Create a group that carries these roles. Exit code 1: the name is taken, or a role does not exist."""

    async def work(auth: AuthManager) -> None:
        await admin.create_group(auth, group, label=label, description=description, roles=role or (), actor=operator())

    run(work)
    say(f'group "{group}" created', output, group=group)


@app.command()
def delete(group: Group, output: Output = Form.table) -> None:
    """Delete a group; its members lose the roles that it carries."""

    async def work(auth: AuthManager) -> None:
        await admin.delete_group(auth, group, actor=operator())

    run(work)
    say(f'group "{group}" deleted', output, group=group)


@app.command("add-member")
def add_member(group: Group, username: Username, output: Output = Form.table) -> None:
    """Put a user into a group; no error if the user is in it."""
    _change(admin.add_member, output, f'user "{username}" is in "{group}"', group=group, username=username)


@app.command("remove-member")
def remove_member(group: Group, username: Username, output: Output = Form.table) -> None:
    """Take a user out of a group; no error if the user is not in it."""
    _change(admin.remove_member, output, f'user "{username}" is not in "{group}"', group=group, username=username)


@app.command("add-role")
def add_role(group: Group, role: RoleName, output: Output = Form.table) -> None:
    """Let a group carry a role; no error if it does."""
    _change(admin.grant_group_role, output, f'group "{group}" carries the role "{role}"', group=group, role=role)


@app.command("remove-role")
def remove_role(group: Group, role: RoleName, output: Output = Form.table) -> None:
    """Take a role from a group; no error if it does not carry it."""
    done = f'group "{group}" does not carry the role "{role}"'
    _change(admin.take_group_role, output, done, group=group, role=role)


def _change(use_case: Any, output: Form, done: str, **what: str) -> None:
    async def work(auth: AuthManager) -> None:
        await use_case(auth, **what, actor=operator())

    run(work)
    say(done, output, **what)
