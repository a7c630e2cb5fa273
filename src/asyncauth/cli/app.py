"""All commands put together, and how each ends."""

import logging
import sys

import typer

from asyncauth.cli import api_keys, audit, db, doctor, explain, groups, keys, permissions, roles, serve, token, users
from asyncauth.errors import AuthError

app = typer.Typer(
    name="asyncauth",
    help="Async-native auth manager. Exit codes: 0 done, 1 failed or something is wrong, 2 wrong usage.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(db.app, name="db")
app.add_typer(keys.app, name="keys")
app.add_typer(token.app, name="token")
app.add_typer(users.app, name="users")
app.add_typer(roles.app, name="roles")
app.add_typer(groups.app, name="groups")
app.add_typer(permissions.app, name="permissions")
app.add_typer(api_keys.app, name="api-keys")
app.command()(audit.audit)
app.command()(explain.explain)
app.command()(doctor.doctor)
app.command()(serve.serve)


@app.callback()
def _commands() -> None:
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")


def run() -> None:
    """Run the command line; what asyncauth raises becomes one sentence on stderr and exit code 1."""
    try:
        app(prog_name="asyncauth")
    except AuthError as error:
        sys.exit(f"asyncauth: {error}")
