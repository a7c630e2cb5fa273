"""`asyncauth explain`: why may or may not this user do this?"""

from dataclasses import asdict
from typing import Annotated

import typer

from asyncauth import admin
from asyncauth.cli.common import Form, Output, run, say
from asyncauth.manager import AuthManager


def explain(
    username: Annotated[str, typer.Argument(metavar="NAME")],
    action: Annotated[str, typer.Argument(metavar="ACTION")],
    resource: Annotated[str, typer.Argument(metavar="RESOURCE")],
    output: Output = Form.table,
) -> None:
    """Say why a user may or may not do ACTION on RESOURCE, as the database says now.

    Exit codes: 0 may, 1 may not (or there is no such user), 2 wrong usage.
    """

    async def work(auth: AuthManager) -> admin.Explanation:
        return await admin.explain(auth, username, action, resource)

    found = run(work)
    answer = "may" if found.allowed else "may not"
    say(f"{answer}: {found.reason}", output, **asdict(found), allowed=found.allowed, reason=found.reason)
    if not found.allowed:
        raise typer.Exit(1)
