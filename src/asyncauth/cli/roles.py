"""`asyncauth roles`: FAB's commands."""

import json
from collections import defaultdict
from itertools import product
from pathlib import Path
from typing import Annotated

import typer
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from asyncauth import admin
from asyncauth.admin.operator import every, operator
from asyncauth.cli.common import Form, Output, counted, read_json, run, say, show, tracked, write_text
from asyncauth.db.default_roles import DEFAULT_ROLES
from asyncauth.manager import AuthManager
from asyncauth.model import Permission

app = typer.Typer(help="Make, change and delete roles.", no_args_is_help=True)
Names = Annotated[list[str], typer.Argument(metavar="ROLE...")]
Resources = Annotated[
    list[str], typer.Option("--resource", "-r", metavar="RESOURCE", help="May be given several times.")
]
Actions = Annotated[list[str], typer.Option("--action", "-a", metavar="ACTION", help="May be given several times.")]


async def _all(auth: AuthManager) -> list[admin.RoleInfo]:
    return [role async for role in every(lambda offset: admin.list_roles(auth, limit=1000, offset=offset))]


@app.command("list")
def list_(
    permission: Annotated[bool, typer.Option("--permission", "-p", help="Show what they permit.")] = False,
    output: Output = Form.table,
) -> None:
    """List all roles."""
    roles = run(_all)
    if not permission:
        show(({"name": role.name} for role in roles), ("name",), output)
        return
    rows = (
        {"name": role.name, "resource": resource, "action": ",".join(actions)}
        for role in roles
        for resource, actions in _by_resource(role.permissions).items()
    )
    show(rows, ("name", "resource", "action"), output)


@app.command()
def create(role: Names, output: Output = Form.table) -> None:
    """Create roles without permissions. Exit code 1: a name is taken; those before it are there."""

    async def work(auth: AuthManager) -> None:
        for name in role:
            await admin.create_role(auth, name, actor=operator())

    run(work)
    say(f"{counted(len(role), 'role')} created", output, created=role)


@app.command()
def delete(role: Names, output: Output = Form.table) -> None:
    """Delete roles; who holds one loses it. Exit code 1: one does not exist (then none is deleted), or nobody would be
    left to manage."""

    async def work(auth: AuthManager) -> None:
        for name in role:
            await admin.get_role(auth, name)
        for name in role:
            await admin.delete_role(auth, name, actor=operator())

    run(work)
    say(f"{counted(len(role), 'role')} deleted", output, deleted=role)


@app.command("add-perms")
def add_perms(
    role: Names,
    resource: Resources,
    action: Actions,
    new_names: Annotated[
        bool, typer.Option("--new-names", help="Store actions and resources that no permission has used yet.")
    ] = False,
    output: Output = Form.table,
) -> None:
    """Let roles do every one of the actions on every one of the resources."""
    pairs = [Permission(*pair) for pair in product(action, resource)]

    async def work(auth: AuthManager) -> None:
        for name in role:
            await admin.grant_permissions(auth, role=name, permissions=pairs, new_names=new_names, actor=operator())

    run(work)
    say(
        f"{counted(len(pairs), 'permission')} granted to {counted(len(role), 'role')}",
        output,
        roles=role,
        permissions=pairs,
    )


@app.command("del-perms")
def del_perms(
    role: Names,
    resource: Resources,
    action: Annotated[
        list[str] | None, typer.Option("--action", "-a", metavar="ACTION", help="Without any: all actions.")
    ] = None,
    output: Output = Form.table,
) -> None:
    """Take from roles every one of the actions on every one of the resources."""

    async def work(auth: AuthManager) -> int:
        count = 0
        for name in role:
            held = (await admin.get_role(auth, name)).permissions
            taken = [one for one in held if one.resource in resource and (not action or one.action in action)]
            await admin.take_permissions(auth, role=name, permissions=taken, actor=operator())
            count += len(taken)
        return count

    count = run(work)
    say(f"{counted(count, 'permission')} taken", output, roles=role, taken=count)


# ── files ──


class _Imported(BaseModel):
    """What a role may do on one resource, as FAB writes it; both empty for a role that may do nothing."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    name: Annotated[str, Field(min_length=1)]
    resource: str = ""
    action: str = ""


_FILE = TypeAdapter(list[_Imported])


@app.command("export")
def export(
    file: Annotated[Path, typer.Argument(metavar="FILE")],
    pretty: Annotated[bool, typer.Option("--pretty", "-p", help="With indents.")] = False,
) -> None:
    """Write all roles but the default ones, with their permissions, into a JSON file, as FAB does."""
    roles = [role for role in run(_all) if role.name not in DEFAULT_ROLES]
    rows = [
        {"name": role.name, "resource": resource, "action": ",".join(actions)}
        for role in roles
        for resource, actions in (_by_resource(role.permissions) or {"": []}).items()
    ]
    write_text(file, json.dumps(rows, indent=4 if pretty else None))
    typer.echo(f"{counted(len(roles), 'role')} exported to {file}")


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE")],
    new_names: Annotated[
        bool, typer.Option("--new-names", help="Store actions and resources that no permission has used yet.")
    ] = False,
    output: Output = Form.table,
) -> None:
    """Create the roles of a JSON file, as FAB writes it; roles that stand already stay as they are.

    Exit code 1: the file is not of that form, or names an action or a resource that is not stored: that role is not
    made, those before it are.
    """
    wanted: dict[str, list[Permission]] = {}
    for row in read_json(file, _FILE):
        pairs = wanted.setdefault(row.name, [])
        if row.resource and row.action:
            pairs += [Permission(action, row.resource) for action in row.action.split(",")]

    async def work(auth: AuthManager) -> list[str]:
        there = {role.name for role in await _all(auth)}
        made = [name for name in wanted if name not in there]
        for name in tracked(made, "importing roles"):
            await admin.create_role(auth, name, wanted[name], new_names=new_names, actor=operator())
        return made

    made = run(work)
    say(f"{counted(len(made), 'role')} created, {len(wanted) - len(made)} there already", output, created=made)


def _by_resource(pairs: tuple[Permission, ...]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for pair in sorted(pairs):
        found[pair.resource].append(pair.action)
    return found
