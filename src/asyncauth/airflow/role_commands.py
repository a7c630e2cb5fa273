"""`airflow asyncauth roles …`, and `airflow roles …` where the FAB provider is absent."""

from argparse import Namespace
from collections import defaultdict
from collections.abc import Iterable
from itertools import product

from airflow.cli.simple_table import AirflowConsole
from airflow.utils.cli import suppress_logs_and_warning
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from asyncauth import AuthManager, Permission, admin
from asyncauth.admin.operator import every, operator
from asyncauth.airflow.command_line import all_roles, command, read_json, run, write_json
from asyncauth.db.default_roles import DEFAULT_ROLES


class _Imported(BaseModel):
    """What a role may do on one resource, as FAB writes it; both empty for a role that may do nothing."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    name: str
    resource: str = ""
    action: str = ""


_FILE = TypeAdapter(list[_Imported])


@suppress_logs_and_warning
@command
def list_roles(args: Namespace) -> None:
    """List all roles, or what they permit."""
    roles = sorted(run(all_roles), key=lambda role: role.name)
    rows = [row for role in roles for row in _rows(role)] if args.permission else [{"name": one.name} for one in roles]
    AirflowConsole().print_as(data=rows, output=args.output)


@command
def create(args: Namespace) -> None:
    """Create roles without permissions; those that exist stay as they are."""

    async def work(auth: AuthManager) -> None:
        there = {role.name for role in await all_roles(auth)}
        for name in dict.fromkeys(args.role):
            if name not in there:
                await admin.create_role(auth, name, actor=operator())

    run(work)
    print(f"Added {len(args.role)} role(s)")


@command
def delete(args: Namespace) -> None:
    """Delete roles; none, if one of them does not exist."""

    async def work(auth: AuthManager) -> None:
        await _require_roles(auth, args.role)
        for name in args.role:
            await admin.delete_role(auth, name, actor=operator())

    run(work)
    print(f"Deleted {len(args.role)} role(s)")


@command
def add_permissions(args: Namespace) -> None:
    """Let roles do every one of the actions on every one of the resources, which must be stored."""

    async def work(auth: AuthManager) -> list[str]:
        held = await _require_roles(auth, args.role)
        await _require_names(auth, args.resource, args.action)
        said = []
        for name in args.role:
            new = [pair for pair in _pairs(args.action, args.resource) if pair not in held[name]]
            await admin.grant_permissions(auth, role=name, permissions=new, actor=operator())
            said += [f"Added {_words(pair)} to role {name}" for pair in new]
        return said

    _tell(run(work), "Added")


@command
def delete_permissions(args: Namespace) -> None:
    """Take from roles every one of the actions, or all, on every one of the resources."""

    async def work(auth: AuthManager) -> list[str]:
        held = await _require_roles(auth, args.role)
        await _require_names(auth, args.resource, args.action or ())
        said = []
        for name in args.role:
            taken = [
                pair
                for pair in sorted(held[name])
                if pair.resource in args.resource and (not args.action or pair.action in args.action)
            ]
            await admin.take_permissions(auth, role=name, permissions=taken, actor=operator())
            said += [f"Deleted {_words(pair)} from role {name}" for pair in taken]
        return said

    _tell(run(work), "Deleted")


@command
def export_roles(args: Namespace) -> None:
    """Write all roles but the default ones, with what they permit, into a JSON file."""
    roles = [role for role in run(all_roles) if role.name not in DEFAULT_ROLES]
    rows = [row for role in roles for row in _rows(role) or [{"name": role.name, "resource": "", "action": ""}]]
    write_json(args.file, rows, indent=4 if args.pretty else None)
    print(f"{len(roles)} roles with {len(rows)} linked permissions successfully exported to {args.file}")


@command
def import_roles(args: Namespace) -> None:
    """Create the roles of a JSON file; those that exist stay as they are."""
    try:
        rows = _FILE.validate_python(read_json(args.file))
    except ValidationError as error:
        raise SystemExit(f"File '{args.file}' is no list of roles: {error.error_count()} mistakes") from None
    wanted: dict[str, list[Permission]] = defaultdict(list)
    for row in rows:
        complete = row.resource and row.action
        wanted[row.name] += _pairs(row.action.split(","), [row.resource]) if complete else ()

    async def work(auth: AuthManager) -> None:
        there = {role.name for role in await all_roles(auth)}
        new = {name: pairs for name, pairs in wanted.items() if name not in there}
        pairs = [pair for pairs in new.values() for pair in pairs]
        await _require_names(auth, {one.resource for one in pairs}, {one.action for one in pairs})
        for name, permissions in new.items():
            await admin.create_role(auth, name, permissions, actor=operator())

    run(work)
    print("roles and permissions successfully imported")


def _rows(role: admin.RoleInfo) -> list[dict[str, str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for pair in sorted(role.permissions):
        found[pair.resource].append(pair.action)
    return [
        {"name": role.name, "resource": resource, "action": ",".join(actions)}
        for resource, actions in sorted(found.items())
    ]


async def _require_roles(auth: AuthManager, names: Iterable[str]) -> dict[str, frozenset[Permission]]:
    """What each of them holds; ends the command if one does not exist."""
    held = {role.name: frozenset(role.permissions) for role in await all_roles(auth)}
    for name in names:
        if name not in held:
            print(f"Role named '{name}' does not exist")
            raise SystemExit(1)
    return held


async def _require_names(auth: AuthManager, resources: Iterable[str], actions: Iterable[str]) -> None:
    """End the command if no permission is stored with one of these names."""
    stored = [pair async for pair in every(lambda offset: admin.list_permissions(auth, limit=1000, offset=offset))]
    wanted = {"Resource": (resources, {one.resource for one in stored})}
    wanted["Action"] = (actions, {one.action for one in stored})
    unknown = [(what, name) for what, (names, known) in wanted.items() for name in names if name not in known]
    for what, name in unknown:
        print(f"{what} named '{name}' does not exist")
    if unknown:
        raise SystemExit(1)


def _pairs(actions: Iterable[str], resources: Iterable[str]) -> list[Permission]:
    return [Permission(action, resource) for resource, action in product(resources, actions)]


def _words(pair: Permission) -> str:
    return f"{pair.action.replace('_', ' ')} on {pair.resource}"


def _tell(said: list[str], what: str) -> None:
    print("\n".join([*said, f"{what} {len(said)} permission(s)"]))
