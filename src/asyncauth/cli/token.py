"""`asyncauth token`: make, look at and revoke tokens."""

from datetime import UTC, datetime
from typing import Any

import jwt
import typer

from asyncauth.cli.common import Form, Output, read_secret, run, say, show
from asyncauth.errors import UnauthenticatedError
from asyncauth.manager import AuthManager

app = typer.Typer(
    help="Make, look at and revoke tokens. Tokens are asked for, or come as the first line of the input.",
    no_args_is_help=True,
)
_TIMES = ("iat", "nbf", "exp")


@app.command()
def make(username: str, output: Output = Form.table) -> None:
    """Print a new token of a user, good for as long as those of a login. Exit code 1: there is no such active user."""

    async def work(auth: AuthManager) -> str:
        return auth.issue_token((await auth.get_user(username=username)).id)

    token = run(work)
    say(token, output, access_token=token)


@app.command("show")
def show_(output: Output = Form.table) -> None:
    """Print what a token says, and whether it is accepted here and now. Exit code 1: it is refused."""
    token = read_secret("Token")

    async def work(auth: AuthManager) -> dict[str, Any]:
        try:
            user = await auth.get_user_from_token(token)
        except UnauthenticatedError as error:
            return {"accepted": False, "code": error.code, "reason": str(error)}
        return {"accepted": True, "user": user.username, "roles": [role.name for role in user.roles]}

    verdict = run(work)
    rows = verdict | {"header": _read(jwt.get_unverified_header, token), "claims": _read(_claims, token)}
    if output is Form.json:
        say("", output, **rows)
    else:
        lines = [(name, value) for name, value in rows.items() if name not in {"header", "claims"}]
        lines += [*rows["header"].items(), *((name, _time(name, value)) for name, value in rows["claims"].items())]
        show(({"": name, "value": value} for name, value in lines), ("", "value"), output)
    if not verdict["accepted"]:
        raise typer.Exit(1)


@app.command()
def revoke(output: Output = Form.table) -> None:
    """End a token, on every worker. Doing it twice is no error. Exit code 1: it is not one of ours."""
    token = read_secret("Token")

    async def work(auth: AuthManager) -> str | None:
        return await auth.revoke_token(token)

    done = run(work) is not None
    say("the token is revoked" if done else "the token had expired already", output, revoked=done)


def _claims(token: str) -> dict[str, Any]:
    return jwt.decode(token, options={"verify_signature": False})


def _read(part: Any, token: str) -> dict[str, Any]:
    try:
        return dict(part(token))
    except jwt.PyJWTError:  # an API key, or no token at all
        return {}


def _time(name: str, value: Any) -> Any:
    if name not in _TIMES or not isinstance(value, int | float):
        return value
    try:
        return f"{value} ({datetime.fromtimestamp(value, UTC):%Y-%m-%d %H:%M:%S} UTC)"
    except (OverflowError, OSError, ValueError):
        return value
