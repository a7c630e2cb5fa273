"""`asyncauth doctor`: looks at everything and says what to do."""

import os
import stat
import time
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path

import anyio
import typer

from asyncauth.cli.common import Form, Output, show
from asyncauth.cli.db import Url, get_url
from asyncauth.db.connect import with_connection
from asyncauth.db.default_roles import ADMIN
from asyncauth.db.findings import Finding
from asyncauth.db.migrate import check
from asyncauth.db.wellbeing import examine
from asyncauth.errors import AuthError
from asyncauth.manager import AuthManager
from asyncauth.settings import Settings
from asyncauth.tokens.foreign import load_all

_REDIS_SECONDS = 5.0
_PREFIX = "ASYNCAUTH_"


def doctor(database_url: Url = None, output: Output = Form.table) -> None:
    """Look at settings, keys, the database and its clock, and who would gain rights; say what to do.

    Exit codes: 0 nothing is wrong (there may be notes), 1 something is, 2 wrong usage.
    """
    findings = anyio.run(_examine, database_url)
    states = [(_state(finding), finding) for finding in findings]
    rows = ({"state": state, "what": finding.what, "advice": finding.advice} for state, finding in states)
    show(rows, ("state", "what", "advice"), output)
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


def _state(finding: Finding) -> str:
    if not finding.ok:
        return "WRONG"
    return "note" if finding.advice else "ok"


async def _examine(database_url: str | None) -> list[Finding]:
    findings: list[Finding] = []
    settings = None
    try:
        settings = await anyio.to_thread.run_sync(Settings)
    except AuthError as error:
        findings.append(Finding(ok=False, what=f"the settings: {error}", advice="set ASYNCAUTH_… in the environment"))
    else:
        findings += _settings(settings)
        findings += await anyio.to_thread.run_sync(lambda: list(_keys(settings)))
        if settings.redis_url is not None:
            findings.append(await _redis(settings.redis_url))
    url = database_url or (settings.database_url if settings is not None else None) or get_url(None)
    tables = await check(url)
    findings += tables
    if not all(finding.ok for finding in tables):
        return findings
    groups = settings.group_roles if settings is not None else None
    administrators = settings.admin_role if settings is not None else ADMIN
    findings += await with_connection(url, lambda connection: examine(connection, groups, administrators), create=False)
    if settings is not None and all(finding.ok for finding in findings):
        findings.append(await _start(settings.model_copy(update={"database_url": url, "seed_at_start": False})))
    return findings


def _settings(settings: Settings) -> Iterator[Finding]:
    yield Finding(ok=True, what="the settings can be read")
    known = [f"{_PREFIX}{name.upper()}" for name in Settings.model_fields]
    for name in sorted(os.environ):
        if name.upper().startswith(_PREFIX) and name.upper().removesuffix("_FILE") not in known:
            (meant,) = get_close_matches(name.upper(), known, 1, 0)
            yield Finding(ok=True, what=f"{name} is no setting, and changes nothing", advice=f"is {meant} meant?")
    for name in ("issuer", "audience"):
        if getattr(settings, f"jwt_allow_any_{name}"):
            advice = f"set ASYNCAUTH_JWT_{name.upper()}, so that tokens of other services with this key are refused"
            yield Finding(ok=True, what=f"tokens are taken whatever their {name} is", advice=advice)
    limits = (settings.login_failures_per_user, settings.login_failures_per_address, settings.login_failures_in_all)
    if not any(limits):
        advice = "set ASYNCAUTH_LOGIN_FAILURES_PER_USER=10, …_PER_ADDRESS=10 and …_IN_ALL=1000"
        yield Finding(ok=True, what="whoever guesses passwords is not slowed down", advice=advice)
    elif settings.redis_url is None:
        advice = "set ASYNCAUTH_REDIS_URL if there are several workers"
        yield Finding(ok=True, what="each worker counts failed logins for itself", advice=advice)


def _keys(settings: Settings) -> Iterator[Finding]:
    try:
        ring = load_all(settings).ring
    except AuthError as error:
        yield Finding(
            ok=False, what=f"the keys: {error}", advice="correct it, or make new ones: asyncauth keys generate"
        )
        return
    key = ring.signing(time.time())
    yield Finding(ok=True, what=f"tokens are signed with {key.algorithm}")
    for path in (settings.jwt_keys_path, settings.jwt_private_key_path):
        if path is not None and _is_open(path):
            what = f"{path}, which holds a private key, can be read by other users of this machine"
            yield Finding(ok=False, what=what, advice=f"chmod go= {path}")


async def _redis(url: str) -> Finding:
    advice = "correct ASYNCAUTH_REDIS_URL, or see to it that Redis runs: without it changes are seen later, and each "
    advice += "worker counts failed logins for itself"
    try:
        from redis.asyncio import Redis
        from redis.exceptions import RedisError
    except ImportError:
        return Finding(ok=False, what="redis is not installed", advice="pip install 'asyncauth[redis]'")
    try:
        async with Redis.from_url(url, socket_timeout=_REDIS_SECONDS, socket_connect_timeout=_REDIS_SECONDS) as client:
            await client.execute_command("PING")  # type: ignore[no-untyped-call]
    except (RedisError, OSError, ValueError) as error:  # whose words may hold the password
        return Finding(ok=False, what=f"Redis does not answer ({type(error).__name__})", advice=advice)
    return Finding(ok=True, what="Redis answers")


def _is_open(path: Path) -> bool:
    return bool(path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH))


async def _start(settings: Settings) -> Finding:
    try:
        async with AuthManager(settings) as auth:
            trouble = auth.unready()
    except AuthError as error:
        return Finding(ok=False, what=f"a manager does not start: {error}", advice="do what it says")
    if trouble is not None:
        return Finding(ok=False, what=f"a manager starts and is not ready: {trouble}", advice="look at the database")
    return Finding(ok=True, what="a manager starts and is ready")
