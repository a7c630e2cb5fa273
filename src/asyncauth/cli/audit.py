"""`asyncauth audit`: who changed what."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from asyncauth import admin
from asyncauth.cli.common import Form, Output, run, show
from asyncauth.manager import AuthManager


def audit(
    actor: Annotated[str | None, typer.Option(metavar="NAME", help="Only what this one did.")] = None,
    subject: Annotated[str | None, typer.Option(metavar="NAME", help="Only what was done to this one.")] = None,
    what: Annotated[str | None, typer.Option(metavar="WORD", help="Only this: create, update, delete, …")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 100,
    offset: Annotated[int, typer.Option(min=0)] = 0,
    output: Output = Form.table,
) -> None:
    """List changes of users, roles, permissions and groups, the latest first."""

    async def work(auth: AuthManager) -> tuple[admin.AuditRecord, ...]:
        found = await admin.list_audit(auth, limit=limit, offset=offset, actor=actor, subject=subject, what=what)
        return found.items

    rows = [asdict(record) for record in run(work)]
    if output is Form.table:
        for row in rows:
            row["at"] = f"{datetime.fromtimestamp(row['at'], UTC):%Y-%m-%d %H:%M:%S}"
            row["before"], row["after"] = (
                None if row[name] is None else json.dumps(row[name], ensure_ascii=False) for name in ("before", "after")
            )
    show(rows, ("at", "actor", "what", "subject_kind", "subject", "before", "after"), output)
