"""`airflow asyncauth users …`, and `airflow users …` where the FAB provider is absent."""

from argparse import Namespace

from airflow.cli.simple_table import AirflowConsole
from airflow.utils.cli import suppress_logs_and_warning
from pydantic import ValidationError

from asyncauth import AuthManager, admin
from asyncauth.admin.operator import operator
from asyncauth.admin.user_file import USER_FILE, AnotherNameError, file_users, import_user
from asyncauth.airflow.command_line import (
    all_roles,
    all_users,
    choose_password,
    command,
    read_json,
    require_role,
    run,
    write_json,
)
from asyncauth.errors import NotFoundError

_COLUMNS = ("id", "username", "email", "first_name", "last_name", "roles")


@suppress_logs_and_warning
@command
def list_users(args: Namespace) -> None:
    """List all users."""
    users = run(all_users)
    AirflowConsole().print_as(
        data=[{name: getattr(user, name) for name in _COLUMNS} for user in users], output=args.output
    )


@command
def create(args: Namespace) -> None:
    """Create a user with one role. No error if the username is taken."""

    async def work(auth: AuthManager) -> str:
        await require_role(auth, args.role)
        password = choose_password(args)
        try:
            await admin.get_user(auth, args.username)
        except NotFoundError:
            await admin.create_user(
                auth,
                username=args.username,
                password=password,
                email=args.email,
                first_name=args.firstname,
                last_name=args.lastname,
                roles=[args.role],
                actor=operator(),
            )
            return f'User "{args.username}" created with role "{args.role}"'
        return f"{args.username} already exists in the db"

    print(run(work))


@command
def reset_password(args: Namespace) -> None:
    """Give a user another password; the user's tokens end."""

    async def work(auth: AuthManager) -> str:
        user = await _find(auth, args)
        await admin.set_password(auth, user.username, choose_password(args), actor=operator())
        return user.username

    print(f'User "{run(work)}" password reset successfully')


@command
def delete(args: Namespace) -> None:
    """Delete a user; the user's tokens end."""

    async def work(auth: AuthManager) -> str:
        user = await _find(auth, args)
        await admin.delete_user(auth, user.username, actor=operator())
        return user.username

    print(f'User "{run(work)}" deleted')


@command
def add_role(args: Namespace) -> None:
    """Give a user a role."""

    async def work(auth: AuthManager) -> str:
        user = await _find(auth, args)
        await require_role(auth, args.role)
        if args.role in user.roles:
            raise SystemExit(f'User "{user.username}" is already a member of role "{args.role}"')
        await admin.grant_role(auth, username=user.username, role=args.role, actor=operator())
        return user.username

    print(f'User "{run(work)}" added to role "{args.role}"')


@command
def remove_role(args: Namespace) -> None:
    """Take a role from a user."""

    async def work(auth: AuthManager) -> str:
        user = await _find(auth, args)
        await require_role(auth, args.role)
        if args.role not in user.roles:
            raise SystemExit(f'User "{user.username}" is not a member of role "{args.role}"')
        await admin.take_role(auth, username=user.username, role=args.role, actor=operator())
        return user.username

    print(f'User "{run(work)}" removed from role "{args.role}"')


@command
def export_users(args: Namespace) -> None:
    """Write all users into a JSON file, without passwords, groups and whether they are active."""
    users = file_users(run(all_users))
    write_json(args.export, users, sort_keys=True, indent=4)
    print(f"{len(users)} users successfully exported to {args.export}")


@command
def import_users(args: Namespace) -> None:
    """Create the users of a JSON file, without passwords, and update those whose e-mail is known: names and roles.

    Nothing is written unless the file is of that form and all roles exist.
    """
    try:
        wanted = USER_FILE.validate_python(read_json(getattr(args, "import")))
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in problem["loc"])
        raise SystemExit(f"Error: Input file didn't pass validation: {place}: {problem['msg']}") from None

    async def work(auth: AuthManager) -> dict[str, list[str]]:
        valid = [role.name for role in await all_roles(auth)]
        for name in (name for user in wanted for name in user.roles):
            if name not in valid:
                raise SystemExit(f'Error: "{name}" is not a valid role. Valid roles are: [{", ".join(valid)}]')
        done: dict[str, list[str]] = {"Created": [], "Updated": []}
        for user in wanted:
            try:
                created = await import_user(auth, user, actor=operator())
            except AnotherNameError:
                advice = f"please delete and recreate the user with email {user.email}"
                raise SystemExit(f"Error: Changing the username is not allowed - {advice}") from None
            done["Created" if created else "Updated"].append(user.email)
        return done

    for what, emails in run(work).items():
        if emails:
            print("\n\t".join([f"{what} the following users:", *emails]))


async def _find(auth: AuthManager, args: Namespace) -> admin.UserInfo:
    if not args.username and not args.email:
        raise SystemExit("Missing args: must supply one of --username or --email")
    if args.username and args.email:
        raise SystemExit("Conflicting args: must supply either --username or --email, but not both")
    try:
        if args.username:
            return await admin.get_user(auth, args.username)
    except NotFoundError:
        found: tuple[admin.UserInfo, ...] = ()
    else:
        found = (await admin.list_users(auth, email=args.email, limit=2)).items
    if len(found) != 1:
        raise SystemExit(f'User "{args.username or args.email}" does not exist')
    return found[0]
