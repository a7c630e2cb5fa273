"""`asyncauth users`: FAB's commands, and a few more."""

import json
import secrets
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from asyncauth import admin
from asyncauth.admin.operator import every, operator
from asyncauth.admin.user_file import USER_FILE, file_users, import_user
from asyncauth.cli.common import Form, Output, counted, read_json, read_secret, run, say, show, tracked, write_text
from asyncauth.errors import NotFoundError, UnknownRoleError
from asyncauth.manager import AuthManager

app = typer.Typer(
    help="Make, change and delete users. Passwords are asked for, or come as the first line of the input; never as an "
    "argument, which other users of the machine can read.",
    no_args_is_help=True,
)
Username = Annotated[str | None, typer.Option("--username", "-u", metavar="NAME", help="Of the user, in any case.")]
Email = Annotated[str | None, typer.Option("--email", "-e", metavar="EMAIL", help="Of the user, instead of the name.")]
RandomPassword = Annotated[bool, typer.Option("--use-random-password", help="Make one, and print it.")]
RoleName = Annotated[str, typer.Option("--role", "-r", metavar="ROLE", help="Name of the role.")]
_COLUMNS = ("id", "username", "email", "first_name", "last_name", "active", "roles")


@app.command("list")
def list_(output: Output = Form.table) -> None:
    """List all users."""

    async def work(auth: AuthManager) -> list[admin.UserInfo]:
        return [user async for user in every(lambda offset: admin.list_users(auth, limit=1000, offset=offset))]

    show(({name: getattr(user, name) for name in _COLUMNS} for user in run(work)), _COLUMNS, output)


@app.command()
def create(
    username: Annotated[str, typer.Option("--username", "-u", metavar="NAME")],
    email: Annotated[str, typer.Option("--email", "-e", metavar="EMAIL")],
    role: Annotated[list[str], typer.Option("--role", "-r", metavar="ROLE", help="May be given several times.")],
    firstname: Annotated[str, typer.Option("--firstname", "-f")] = "",
    lastname: Annotated[str, typer.Option("--lastname", "-l")] = "",
    use_random_password: RandomPassword = False,
    output: Output = Form.table,
) -> None:
    """Create an active user who can log in. Exit code 1: the name or the e-mail is taken, or a role does not exist."""
    password = _password(use_random_password)

    async def work(auth: AuthManager) -> admin.UserInfo:
        written = await admin.create_user(
            auth,
            username=username,
            password=password,
            email=email,
            first_name=firstname,
            last_name=lastname,
            roles=role,
            actor=operator(),
        )
        return written.value

    user = run(work)
    _say_with(password if use_random_password else None, f'user "{user.username}" created', output, user.username)


@app.command("reset-password")
def reset_password(
    username: Username = None,
    email: Email = None,
    use_random_password: RandomPassword = False,
    output: Output = Form.table,
) -> None:
    """Give a user another password; the user's tokens end."""
    _require_one(username, email)
    password = _password(use_random_password)

    async def work(auth: AuthManager) -> str:
        name = await _find(auth, username, email)
        await admin.set_password(auth, name, password, actor=operator())
        return name

    name = run(work)
    _say_with(password if use_random_password else None, f'the password of "{name}" is another now', output, name)


@app.command()
def delete(username: Username = None, email: Email = None, output: Output = Form.table) -> None:
    """Delete a user, whose tokens and API keys end. Exit code 1: there is none, or it is the last administrator."""
    _change(username, email, output, "deleted", admin.delete_user)


@app.command()
def activate(username: Username = None, email: Email = None, output: Output = Form.table) -> None:
    """Let a user log in again."""
    _change(username, email, output, "activated", admin.activate_user)


@app.command()
def deactivate(username: Username = None, email: Email = None, output: Output = Form.table) -> None:
    """Switch a user off, whose tokens end. Exit code 1: there is none, or it is the last administrator."""
    _change(username, email, output, "deactivated", admin.deactivate_user)


@app.command("end-tokens")
def end_tokens(username: Username = None, email: Email = None, output: Output = Form.table) -> None:
    """Log a user out everywhere: tokens issued until now are refused."""
    _change(username, email, output, "logged out everywhere", admin.end_tokens)


@app.command("add-role")
def add_role(role: RoleName, username: Username = None, email: Email = None, output: Output = Form.table) -> None:
    """Give a user a role; no error if the user holds it."""
    done = f'given the role "{role}"'
    _change(username, email, output, done, partial(_move, admin.grant_role, role))


@app.command("remove-role")
def remove_role(role: RoleName, username: Username = None, email: Email = None, output: Output = Form.table) -> None:
    """Take a role from a user; no error if the user does not hold it. Exit code 1: nobody would be left to manage."""
    done = f'no more of the role "{role}"'
    _change(username, email, output, done, partial(_move, admin.take_role, role))


# ── files ──


@app.command("export")
def export(file: Annotated[Path, typer.Argument(metavar="FILE")]) -> None:
    """Write all users into a JSON file, as FAB does: without passwords, groups and whether they are active."""

    async def work(auth: AuthManager) -> list[admin.UserInfo]:
        return [user async for user in every(lambda offset: admin.list_users(auth, limit=1000, offset=offset))]

    users = file_users(run(work))
    write_text(file, json.dumps(users, sort_keys=True, indent=4))
    typer.echo(f"{counted(len(users), 'user')} exported to {file}")


@app.command("import")
def import_(file: Annotated[Path, typer.Argument(metavar="FILE")], output: Output = Form.table) -> None:
    """Create the users of a JSON file, as FAB writes it, and update those whose e-mail is known: names and roles.

    New users have no password: give them one with `users reset-password`. Nothing is written unless all names of roles
    exist. Exit code 1: the file is not of that form, or a user was refused; those before it are there, and importing
    again goes on.
    """
    wanted = read_json(file, USER_FILE)

    async def work(auth: AuthManager) -> dict[str, list[str]]:
        known = {role.name async for role in every(lambda offset: admin.list_roles(auth, limit=1000, offset=offset))}
        if unknown := sorted({role for user in wanted for role in user.roles} - known):
            raise UnknownRoleError(f"these roles do not exist: {', '.join(unknown)}; nobody was imported")
        done: dict[str, list[str]] = {"created": [], "updated": []}
        for user in tracked(wanted, "importing users"):
            created = await import_user(auth, user, actor=operator())
            done["created" if created else "updated"].append(user.email)
        return done

    done = run(work)
    sentence = f"{counted(len(done['created']), 'user')} created, {len(done['updated'])} updated"
    say(sentence, output, **done)


# ── parts ──


def _change(username: str | None, email: str | None, output: Form, done: str, use_case: Any) -> None:
    _require_one(username, email)

    async def work(auth: AuthManager) -> str:
        name = await _find(auth, username, email)
        await use_case(auth, name, actor=operator())
        return name

    name = run(work)
    say(f'user "{name}": {done}', output, username=name, done=done)


async def _move(use_case: Any, role: str, auth: AuthManager, username: str, actor: admin.Actor) -> None:
    await use_case(auth, username=username, role=role, actor=actor)


def _require_one(username: str | None, email: str | None) -> None:
    if (username is None) is (email is None):
        raise typer.BadParameter("give --username or --email, and not both")


async def _find(auth: AuthManager, username: str | None, email: str | None) -> str:
    if username is not None:
        return (await admin.get_user(auth, username)).username
    found = (await admin.list_users(auth, email=email, limit=2)).items
    if len(found) != 1:
        raise NotFoundError(f"nobody has the e-mail {email}")
    return found[0].username


def _password(random: bool) -> str:
    return secrets.token_urlsafe(18) if random else read_secret("Password", confirm=True)


def _say_with(password: str | None, sentence: str, output: Form, username: str) -> None:
    if password is None:
        say(sentence, output, username=username)
    else:
        say(f"{sentence}; the password: {password}", output, username=username, password=password)
