"""Users, roles, permissions and DAGs by the thousand, on PostgreSQL, straight into Airflow's tables."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

from tests.databases import Database
from tests.servers.base import Cursor

FIRST_ID = 1_000_000


@contextmanager
def cursor(database: Database) -> Iterator[Cursor]:
    """In autocommit mode: when a statement returns, it is committed."""
    with closing(database.server.connect(database.name)) as connection, connection.cursor() as opened:
        yield opened


def add_permissions(database: Database, prefix: str, number: int, *, first: int) -> range:
    """So many permissions to read resources of their own; returns their ids."""
    ids = range(first, first + number)
    with cursor(database) as work:
        work.execute(
            f"INSERT INTO ab_view_menu (id, name) SELECT n, '{prefix}' || (n - {first}) "
            f"FROM generate_series({ids.start}, {ids.stop - 1}) n"
        )
        work.execute(
            "INSERT INTO ab_permission_view (id, permission_id, view_menu_id) SELECT n, "
            f"(SELECT id FROM ab_permission WHERE name = 'can_read'), n FROM generate_series({ids[0]}, {ids[-1]}) n"
        )
    return ids


def add_people(database: Database, number: int, permissions: range, *, first: int) -> range:
    """So many users, each with a role of its own that holds all these permissions; returns the ids of the users."""
    ids = range(first, first + number)
    series = f"generate_series({ids[0]}, {ids[-1]})"
    held = f"generate_series({permissions[0]}, {permissions[-1]})"
    with cursor(database) as work:
        work.execute(f"INSERT INTO ab_role (id, name) SELECT n, 'role ' || n FROM {series} n")
        work.execute(
            "INSERT INTO ab_user (id, first_name, last_name, username, password, active, email) "
            f"SELECT n, 'A', 'B', 'user' || n, NULL, true, n || '@bench.example' FROM {series} n"
        )
        work.execute(f"INSERT INTO ab_user_role (id, user_id, role_id) SELECT n, n, n FROM {series} n")
        work.execute(
            "INSERT INTO ab_permission_view_role (id, permission_view_id, role_id) "
            f"SELECT {FIRST_ID} + row_number() OVER () + (SELECT max(id) FROM ab_permission_view_role), p, n "
            f"FROM {series} n, {held} p"
        )
        for table in ("ab_user", "ab_role", "ab_user_role", "ab_permission_view_role", "ab_permission_view"):
            work.execute(f"ANALYZE {table}")
    return ids


def add_dags(database: Database, prefix: str, number: int) -> None:
    """So many DAGs like the one of the tests."""
    with cursor(database) as work:
        work.execute("SELECT column_name FROM information_schema.columns WHERE table_name = 'dag'")
        columns = [str(name) for (name,) in work.fetchall() if name != "dag_id"]
        quoted = ", ".join(f'"{name}"' for name in columns)
        work.execute(
            f"INSERT INTO dag (dag_id, {quoted}) SELECT '{prefix}' || n, {quoted} "
            f"FROM dag, generate_series(0, {number - 1}) n WHERE dag_id = 'example_complex'"
        )


def find_user(database: Database, username: str) -> int:
    """The id of a user."""
    with cursor(database) as work:
        work.execute("SELECT id FROM ab_user WHERE username = %s", (username,))
        return int(str(work.fetchall()[0][0]))
