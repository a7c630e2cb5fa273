"""Both sides go on inserting into one adopted database, and neither takes an id from the other."""

from anyio import to_thread

from asyncauth import AuthManager, admin
from tests.airflow.describe import read_rows
from tests.airflow.process import Airflow
from tests.airflow.test_users import as_airflow_says

COUNTED = ("ab_user", "ab_role", "ab_user_role", "ab_permission", "ab_view_menu", "ab_permission_view")


async def insert_here(auth: AuthManager, mark: str) -> None:
    """A row in each of the tables, by our use cases."""
    await admin.create_role(auth, f"role {mark}")
    await admin.grant_permission(auth, role=f"role {mark}", action=f"can_{mark}", resource=f"DAG:{mark}")
    await admin.create_user(
        auth,
        username=f"user {mark}",
        password=f"the password of {mark}",
        email=f"{mark}@x.org",
        first_name="",
        last_name="",
        roles=(f"role {mark}",),
    )


async def insert_in_airflow(airflow: Airflow, mark: str) -> None:
    """The same by FAB."""
    await airflow.ask("add_permission", role=f"role {mark}", action=f"can_{mark}", resource=f"DAG:{mark}")
    await airflow.ask("add_user", username=f"user {mark}", password=f"the password of {mark}", role=f"role {mark}")


async def test_ids_are_drawn_from_one_source(auth: AuthManager, airflow: Airflow, backend: str) -> None:
    before = await count(airflow)
    marks = [f"{backend} {number}" for number in range(4)]
    await insert_here(auth, marks[0])
    await insert_in_airflow(airflow, marks[1])
    await insert_here(auth, marks[2])
    await insert_in_airflow(airflow, marks[3])
    assert await count(airflow) == {name: number + 4 for name, number in before.items()}
    for mark in marks:
        assert await airflow.ask("check_login", username=f"user {mark}", password=f"the password of {mark}")
        user = await auth.get_user_from_token(await auth.login(f"user {mark}", f"the password of {mark}"))
        assert auth.decide(user, f"can_{mark}", f"DAG:{mark}")


async def test_airflow_reads_what_was_written_here(auth: AuthManager, airflow: Airflow, backend: str) -> None:
    await insert_here(auth, backend)
    user = await auth.get_user(username=f"user {backend}")
    theirs = next(found for found in await airflow.ask("read_users") if found["id"] == user.id)
    assert as_airflow_says(user) == theirs


async def count(airflow: Airflow) -> dict[str, int]:
    """Rows by table."""
    rows = await to_thread.run_sync(read_rows, airflow.database)
    return {name: len(rows[name]) for name in COUNTED}
