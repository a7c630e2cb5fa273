"""The words of the command line: `airflow asyncauth …`, and FAB's own where the FAB provider is absent.

Airflow reads this at every command, so nothing is imported that it has not imported itself. Options, texts and the keys
of the output are FAB's where FAB has the command, so that scripts go on working.
"""

from typing import Any

from airflow.cli.cli_config import (
    ARG_OUTPUT,
    ARG_VERBOSE,
    ARG_YES,
    ActionCommand,
    Arg,
    CLICommand,
    GroupCommand,
    lazy_load_command,
)
from airflow.providers_manager import ProvidersManager

from asyncauth.airflow.provider import FAB_PROVIDER

_USERNAME = ("-u", "--username")
_EMAIL = ("-e", "--email")
_FILE = "FILEPATH"
USERNAME = Arg(_USERNAME, help="Username of the user", required=True, type=str)
EMAIL = Arg(_EMAIL, help="Email of the user", required=True, type=str)
FIRST_NAME = Arg(("-f", "--firstname"), help="First name of the user", required=True, type=str)
LAST_NAME = Arg(("-l", "--lastname"), help="Last name of the user", required=True, type=str)
ROLE = Arg(("-r", "--role"), help="Name of the role", required=True, type=str)
WHO = (
    Arg(_USERNAME, help="Username of the user", type=str),
    Arg(_EMAIL, help="Email of the user, instead of the username", type=str),
)
PASSWORD = (
    Arg(("-p", "--password"), help="Password of the user; asked for if it is not given", type=str),
    Arg(("--use-random-password",), help="Make a password that nobody knows", action="store_true"),
)
USER_IMPORT = Arg(("import",), metavar=_FILE, help="JSON file, as `users export` writes it", type=str)
USER_EXPORT = Arg(("export",), metavar=_FILE, help="JSON file to write", type=str)
ROLES = Arg(("role",), help="Names of roles", nargs="*")
SHOW_PERMISSIONS = Arg(("-p", "--permission"), help="Show what the roles permit", action="store_true")
RESOURCES = Arg(("-r", "--resource"), help="Names of resources", nargs="*", required=True)
ACTIONS = Arg(("-a", "--action"), help="Names of actions", nargs="*", required=True)
ANY_ACTIONS = Arg(("-a", "--action"), help="Names of actions; without any: all", nargs="*")
ROLE_FILE = Arg(("file",), help="JSON file", nargs=None)
PRETTY = Arg(("-p", "--pretty"), help="With indents", action="store_true")
INCLUDE_DAGS = Arg(("--include-dags",), help="Also what Dags say in access_control", action="store_true")
DAG_ID = Arg(("-d", "--dag-id"), help="Of this Dag only", type=str)
DRY_RUN = Arg(("--dry-run",), help="Say what would be deleted, and delete nothing", action="store_true")
CONFIG_FILE = Arg(
    ("--webserver-config",),
    metavar=_FILE,
    help="FAB's configuration file, which is read and not executed; default: as [fab] config_file says",
    type=str,
)


def _action(name: str, module: str, function: str, *arguments: Arg, words: str, **more: Any) -> ActionCommand:
    """One command, whose code is loaded when it is run."""
    run = lazy_load_command(f"asyncauth.airflow.{module}.{function}")
    return ActionCommand(name=name, help=words, func=run, args=(*arguments, ARG_VERBOSE), **more)


def _users(name: str, function: str, *arguments: Arg, words: str) -> ActionCommand:
    return _action(name, "user_commands", function, *arguments, words=words)


def _roles(name: str, function: str, *arguments: Arg, words: str) -> ActionCommand:
    return _action(name, "role_commands", function, *arguments, words=words)


USERS = GroupCommand(
    name="users",
    help="Manage users",
    subcommands=(
        _users("list", "list_users", ARG_OUTPUT, words="List users"),
        _users(
            *("create", "create", ROLE, USERNAME, EMAIL, FIRST_NAME, LAST_NAME, *PASSWORD),
            words="Create a user",
        ),
        _users("reset-password", "reset_password", *WHO, *PASSWORD, words="Reset a user's password"),
        _users("delete", "delete", *WHO, words="Delete a user"),
        _users("add-role", "add_role", *WHO, ROLE, words="Add a role to a user"),
        _users("remove-role", "remove_role", *WHO, ROLE, words="Remove a role from a user"),
        _users("import", "import_users", USER_IMPORT, words="Import users"),
        _users("export", "export_users", USER_EXPORT, words="Export all users"),
    ),
)
ROLES_GROUP = GroupCommand(
    name="roles",
    help="Manage roles",
    subcommands=(
        _roles("list", "list_roles", SHOW_PERMISSIONS, ARG_OUTPUT, words="List roles"),
        _roles("create", "create", ROLES, words="Create roles"),
        _roles("delete", "delete", ROLES, words="Delete roles"),
        _roles("add-perms", "add_permissions", ROLES, RESOURCES, ACTIONS, words="Add permissions to roles"),
        _roles("del-perms", "delete_permissions", ROLES, RESOURCES, ANY_ACTIONS, words="Take permissions from roles"),
        _roles("export", "export_roles", ROLE_FILE, PRETTY, words="Export roles, but the default ones, to a JSON file"),
        _roles("import", "import_roles", ROLE_FILE, words="Import roles from a JSON file"),
    ),
)
SYNC_PERM = _action(
    *("sync-perm", "permission_commands", "sync_permissions", INCLUDE_DAGS),
    words="Make what is missing of the default roles and their permissions, and optionally of Dags",
)
PERMISSIONS_CLEANUP = _action(
    *("permissions-cleanup", "permission_commands", "clean_up", DAG_ID, DRY_RUN, ARG_YES),
    words="Delete permissions of Dags that are gone",
)
CHECK = _action(
    *("check", "check_command", "check", CONFIG_FILE, ARG_OUTPUT),
    words="Say what would change on asyncauth, and refuse what has no equal; changes nothing",
    epilog="Exit codes: 0 moving in is possible, 1 it is refused.",
)
DROP_TABLES = _action(
    *("drop-tables", "permission_commands", "drop_tables", ARG_YES),
    words="Take the tables and triggers of asyncauth away, before it is uninstalled; users and roles stay",
)
FAB_WORDS: tuple[CLICommand, ...] = (USERS, ROLES_GROUP, SYNC_PERM, PERMISSIONS_CLEANUP)


def get_commands() -> list[CLICommand]:
    """For Airflow's parser. A word that two providers bring makes every `airflow` command fail."""
    ours = GroupCommand(
        name="asyncauth", help="Manage users and permissions", subcommands=(*FAB_WORDS, CHECK, DROP_TABLES)
    )
    return [ours] if FAB_PROVIDER in ProvidersManager().providers else [ours, *FAB_WORDS]
