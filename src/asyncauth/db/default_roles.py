"""What FAB's default roles may do, to the letter of the FAB provider 3.10.2; a test compares.

A line is a resource and the actions on it, by their first letters: **c**reate, **r**ead, **e**dit, **d**elete, and the
**m**enu that leads there.
"""

from collections.abc import Mapping

Pair = tuple[str, str]
"""An action and a resource."""
_ACTIONS = {"c": "can_create", "r": "can_read", "e": "can_edit", "d": "can_delete", "m": "menu_access"}


def _read(table: str) -> frozenset[Pair]:
    lines = (line.split(maxsplit=1) for line in table.strip().splitlines())
    return frozenset((_ACTIONS[letter], resource.strip()) for letters, resource in lines for letter in letters)


_VIEWER = _read("""
    rm  DAGs
    rm  DAG Dependencies
    r   DAG Code
    rm  DAG Runs
    r   DAG Versions
    r   DAG Warnings
    rm  Assets
    r   Asset Aliases
    r   Backfills
    rm  Cluster Activity
    r   Pools
    r   ImportError
    rm  Jobs
    re  My Password
    re  My Profile
    rm  SLA Misses
    rm  Task Instances
    r   Task Logs
    r   XComs
    r   HITL Detail
    r   Website
    m   Browse
    m   Documentation
    m   Docs
""")
_USER = _VIEWER | _read("""
    ed   DAGs
    ced  Task Instances
    ced  DAG Runs
    e    HITL Detail
    c    Assets
""")
_OP = _USER | _read("""
    m      Admin
    mr     Configurations
    mcred  Connections
    mced   Pools
    mr     Plugins
    mcred  Variables
    mr     Providers
    mced   XComs
    m      HITL Detail
    ced    Assets
    ced    Backfills
""")
_ADMIN = _OP | _read("""
    rm  Audit Logs
    r   All Audit Logs
    r   All Import Errors
    r   All Reparses
    rm  Task Reschedules
    rm  Triggers
    re  Passwords
    re  Roles
""")
DEFAULT_ROLES: Mapping[str, frozenset[Pair]] = {
    "Public": frozenset(),
    "Viewer": _VIEWER,
    "User": _USER,
    "Op": _OP,
    "Admin": _ADMIN,
}
"""What each may do at least. Admin may do besides whatever is no single DAG's."""
OF_VIEWS = _read("""
    cred  Users
    cred  Roles
    r     Permissions
    r     View Menus
    r     Permission Views
    r     User Stats Chart
    m     List Users
    m     List Roles
    m     User's Statistics
    m     Actions
    m     Resources
    m     Permission Pairs
    m     Security
""")
"""What FAB stores when Flask registers its pages, and so gives to Admin: the REST API asks for some of it."""
ADMIN = "Admin"
HOMEPAGE: Pair = ("can_read", "Website")
"""What every role may that is not one of these."""
OF_ONE_DAG = ("DAG:", "DAG Run:")
"""How resources begin that Admin is not given: the right to all DAGs covers them."""
