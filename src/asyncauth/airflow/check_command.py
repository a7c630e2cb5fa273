"""`airflow asyncauth check`: what would change on asyncauth, before anything does."""

from argparse import Namespace
from collections.abc import Generator, Iterator
from dataclasses import replace
from importlib.metadata import version as installed_version
from pathlib import Path

from airflow.cli.simple_table import AirflowConsole
from airflow.configuration import conf
from airflow.providers_manager import ProvidersManager
from airflow.utils.cli import suppress_logs_and_warning
from packaging.version import Version
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from asyncauth.airflow.command_line import command
from asyncauth.airflow.db_manager import connected
from asyncauth.airflow.moving import FAB_OPTIONS, judge_file, judge_options
from asyncauth.airflow.privileges import may_make_triggers
from asyncauth.airflow.provider import FAB_PROVIDER
from asyncauth.airflow.settings import make_airflow_engine, read_settings
from asyncauth.db.default_roles import ADMIN
from asyncauth.db.findings import Finding
from asyncauth.db.standing import find_missing
from asyncauth.db.state import look, refuse_incomplete
from asyncauth.db.wellbeing import examine
from asyncauth.errors import AuthError, ConfigurationError
from asyncauth.settings import Settings

VERSIONS = (Version("3.3"), Version("3.5"))
"""Of Airflow's core: the first that works, and the first that nobody has tried."""
_OPTIONS = (("fab", "auth_role_public"), ("asyncauth", "password_hash_method"))


@suppress_logs_and_warning
@command
def check(args: Namespace) -> None:
    """Look at everything; exit code 1: something has no equal here, or is missing."""
    findings = list(_examine(args.webserver_config))
    AirflowConsole().print_as(
        data=[{"state": _state(one), "what": one.what, "advice": one.advice} for one in findings], output=args.output
    )
    if not all(one.ok for one in findings):
        raise SystemExit(1)


def _state(finding: Finding) -> str:
    if not finding.ok:
        return "REFUSED"
    return "note" if finding.advice else "ok"


def _examine(config_file: str | None) -> Iterator[Finding]:
    yield from _core()
    path = config_file or conf.get("fab", "config_file", fallback="") or _default_config_file()
    options = {place: conf.get(*place, fallback="") or "" for place in _OPTIONS}
    yield from judge_file(Path(path), options)
    yield from judge_options({name: value for name in FAB_OPTIONS if (value := conf.get("fab", name, fallback=""))})
    settings = yield from _settings()
    try:
        with connected() as connection:
            yield from _database(connection, settings)
    except SQLAlchemyError as error:
        what = f"the database cannot be asked: {getattr(error, 'orig', error)}"
        yield Finding(ok=False, what=what, advice="see [database] sql_alchemy_conn")


def _core() -> Iterator[Finding]:
    core = Version(installed_version("apache-airflow-core"))
    first, beyond = VERSIONS
    fits = first <= Version(core.base_version) < beyond
    advice = "" if fits else f"install an Airflow of {first} or later, before {beyond}"
    yield Finding(ok=fits, what=f"Airflow's core is {core}", advice=advice)
    if conf.getboolean("core", "multi_team", fallback=False):
        yield Finding(ok=False, what="[core] multi_team is on: FAB's tables know no teams", advice="turn it off")
    fab = FAB_PROVIDER in ProvidersManager().providers
    yield Finding(ok=True, what=f"the FAB provider is {'installed' if fab else 'absent'}")


def _settings() -> Generator[Finding, None, Settings | None]:
    """Yields findings, and returns what was read."""
    try:
        settings = read_settings()
    except (AuthError, ValueError) as error:
        yield Finding(ok=False, what=f"the configuration: {error}", advice="correct it")
        return None
    yield Finding(ok=True, what="the configuration can be used")
    try:
        driver = make_airflow_engine(settings).dialect.driver
    except (AuthError, ImportError) as error:
        yield Finding(ok=False, what=f"the database URL: {error}", advice="asyncauth needs an async driver")
    else:
        yield Finding(ok=True, what=f"the database is reached with {driver}")
    return settings


def _database(connection: Connection, settings: Settings | None) -> Iterator[Finding]:
    state = look(connection)
    try:
        refuse_incomplete(state)
    except ConfigurationError as error:
        yield Finding(ok=False, what=str(error), advice="do what it says")
        return
    if state.empty:
        yield Finding(ok=True, what="there are no ab_* tables yet", advice="airflow db migrate makes them")
        return
    if state.own_missing:
        yield Finding(ok=True, what="our tables are not there yet", advice="airflow db migrate makes them")
    yield from _triggers(connection, made=not state.own_missing)
    groups, admin = (settings.group_roles, settings.admin_role) if settings is not None else (None, ADMIN)
    for finding in examine(connection, groups, admin):
        yield replace(finding, advice=_in_airflows_words(finding.advice))


def _in_airflows_words(advice: str) -> str:
    advice = advice.replace("asyncauth db seed", "airflow asyncauth sync-perm")
    advice = advice.replace("asyncauth users", "airflow asyncauth users")
    return advice.replace("ASYNCAUTH_GROUP_ROLES=true", "[asyncauth] group_roles = true")


def _triggers(connection: Connection, *, made: bool) -> Iterator[Finding]:
    if made and not find_missing(connection):
        yield Finding(ok=True, what="all triggers stand")
        return
    trouble = may_make_triggers(connection)
    if trouble is None:
        yield Finding(ok=True, what="this account may make triggers", advice="airflow db migrate makes them")
    else:
        advice = "without them changes by other programs are seen late: see docs/airflow.md, troubleshooting"
        yield Finding(ok=True, what=f"this account may not make triggers: {trouble}", advice=advice)


def _default_config_file() -> str:
    from airflow.configuration import AIRFLOW_HOME

    return str(Path(AIRFLOW_HOME) / "webserver_config.py")
