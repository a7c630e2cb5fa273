"""Two requests at once, on two workers: one of them has to see what the other did.

The barriers are in the code under test: each change stops where the next step would be too late, until the other one is
there too, or until it is clear that it will not come because it waits for its turn.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from asyncauth import AuthManager, Settings, admin
from asyncauth.admin import administrators, change, user_changes
from asyncauth.admin.change import Change
from asyncauth.admin.users import UserInfo, read_user
from asyncauth.db.ids import insert_row
from asyncauth.db.tables import role_permissions, roles, user_roles, users
from asyncauth.errors import AuthError, ChangedMeanwhileError, LastAdministratorError, TakenError
from tests.database.admin.conftest import READ, People
from tests.rows import add_permission

SERVERS = pytest.mark.parametrize("backend", ["postgresql+asyncpg", "mysql+aiomysql"], indirect=True)
MEET_SECONDS = 0.5
PATIENCE_SECONDS = 10.0
"""Of those who do meet: shorter than the deadline of a change."""
Call = Callable[[], Awaitable[Any]]


class Meeting:
    """Where two changes wait for each other; whoever is alone for so many seconds goes on."""

    def __init__(self) -> None:
        self._barrier = asyncio.Barrier(2)
        self.seconds = MEET_SECONDS
        self.met = False

    async def wait(self) -> None:
        with contextlib.suppress(TimeoutError, asyncio.BrokenBarrierError):
            async with asyncio.timeout(self.seconds):
                await self._barrier.wait()
                self.met = True
        await self._barrier.reset()


async def both(first: Awaitable[Any], second: Awaitable[Any]) -> list[Any]:
    """What the two come to: None, or the error."""
    results = await asyncio.gather(first, second, return_exceptions=True)
    for result in results:
        assert not isinstance(result, Exception) or isinstance(result, AuthError), result
    return [result if isinstance(result, AuthError) else None for result in results]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """For workers on which dozens of changes wait for their turns: a deadlock is told within seconds all the same."""
    return settings.model_copy(update={"database_timeout_seconds": 4 * PATIENCE_SECONDS})


@pytest.fixture
def without_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fix taken away: changes do not come one after the other."""

    async def nothing(_: object) -> None:
        return None

    monkeypatch.setattr(change, "_take_turn", nothing)


@pytest.fixture
def meeting(monkeypatch: pytest.MonkeyPatch) -> Meeting:
    """Both have looked whether an administrator is left, and found one, before either commits."""
    made = Meeting()
    look = administrators._has_administrator
    looks: dict[int, int] = {}

    async def and_meet(step: Change, user_id: int | None = None) -> bool:
        found = await look(step, user_id)
        looks[id(step)] = looks.get(id(step), 0) + 1
        if looks[id(step)] == 2 and found:
            await made.wait()
        return found

    monkeypatch.setattr(administrators, "_has_administrator", and_meet)
    return made


async def _two_administrators(auth: AuthManager, people: People) -> None:
    await admin.grant_role(auth, username="ada", role="Admin")


async def _left(auth: AuthManager) -> list[str]:
    found = (await admin.list_users(auth)).items
    return [user.username for user in found if user.active and "Admin" in user.roles]


def _ways(auth: AuthManager, name: str) -> dict[str, Call]:
    return {
        "take": lambda: admin.take_role(auth, username=name, role="Admin"),
        "deactivate": lambda: admin.deactivate_user(auth, name),
        "delete": lambda: admin.delete_user(auth, name),
        "update": lambda: admin.update_user(auth, name, roles=[]),
    }


@pytest.mark.parametrize(("one", "two"), [("take", "take"), ("deactivate", "delete"), ("update", "deactivate")])
async def test_the_last_administrator(
    auth: AuthManager, other: AuthManager, people: People, meeting: Meeting, one: str, two: str
) -> None:
    await _two_administrators(auth, people)
    results = await both(_ways(auth, "root")[one](), _ways(other, "ada")[two]())
    assert sorted(map(type, results), key=str) == sorted([type(None), LastAdministratorError], key=str)
    assert len(await _left(auth)) == 1
    assert not meeting.met


@SERVERS
@pytest.mark.usefixtures("without_turns")
async def test_without_turns_none_is_left(
    auth: AuthManager, other: AuthManager, people: People, meeting: Meeting
) -> None:
    """The test above can fail."""
    meeting.seconds = PATIENCE_SECONDS
    await _two_administrators(auth, people)
    assert await both(_ways(auth, "root")["take"](), _ways(other, "ada")["take"]()) == [None, None]
    assert await _left(auth) == []
    assert meeting.met


async def test_in_any_order(auth: AuthManager, other: AuthManager, people: People, full: bool) -> None:
    """Without barriers, over and over: whoever comes first, one is left."""
    names = ["take", "deactivate", "update"]
    for number in range(200 if full else 12):
        for name in ("root", "ada"):
            await admin.update_user(auth, name, roles=["Admin"], active=True)
        one, two = names[number % 3], names[number // 3 % 3]
        results = await both(_ways(auth, "root")[one](), _ways(other, "ada")[two]())
        assert [type(result) for result in results].count(LastAdministratorError) == 1
        assert len(await _left(auth)) == 1


async def test_two_editors_of_one_role(auth: AuthManager, other: AuthManager, people: People) -> None:
    """Whoever comes second is told; what is stored is what the first one wrote, and no mixture."""
    for number in range(5):
        read = await admin.get_role(auth, "Clerk")
        wanted = [[("can_read", f"DAG:{letter}{number}"), READ] for letter in "ab"]
        edits = [
            admin.update_role(worker, "Clerk", permissions=pairs, new_names=True, if_match=read.etag)
            for worker, pairs in zip((auth, other), wanted, strict=True)
        ]
        results = await both(*edits)
        assert [type(result) for result in results].count(ChangedMeanwhileError) == 1
        stored = [(pair.action, pair.resource) for pair in (await admin.get_role(auth, "Clerk")).permissions]
        assert stored == sorted(wanted[results.index(None)])


async def test_two_editors_of_one_user(
    auth: AuthManager, other: AuthManager, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have read the same; only one of them may write on it."""
    meeting = Meeting()

    async def and_meet(*arguments: Any) -> UserInfo:
        found = await read_user(*arguments)
        await meeting.wait()
        return found

    ada = await admin.get_user(auth, "ada")
    monkeypatch.setattr(user_changes, "read_user", and_meet)
    edits = [
        admin.update_user(worker, "ada", first_name=name, if_match=ada.etag)
        for worker, name in ((auth, "Augusta"), (other, "Byron"))
    ]
    results = await both(*edits)
    assert [type(result) for result in results].count(ChangedMeanwhileError) == 1
    name = ("Augusta", "Byron")[results.index(None)]
    assert (await admin.get_user(auth, "ada")).first_name == name


@SERVERS
async def test_another_program_grants_meanwhile(auth: AuthManager, engine: AsyncEngine, people: People) -> None:
    """It knows of no turns; the role's row is locked, so what it grants is seen or comes later, and is never undone
    unseen."""
    read = await admin.get_role(auth, "Viewer")
    async with engine.begin() as connection:
        permission_id = await add_permission(connection, "can_run", "DAG:etl")
    async with engine.connect() as connection:
        await insert_row(connection, role_permissions, role_id=read.id, permission_view_id=permission_id)
        edit = asyncio.create_task(admin.update_role(auth, "Viewer", permissions=[READ], if_match=read.etag))
        done, _ = await asyncio.wait([edit], timeout=MEET_SECONDS)
        assert not done
        await connection.commit()
    with pytest.raises(ChangedMeanwhileError):
        await edit
    assert len((await admin.get_role(auth, "Viewer")).permissions) == 2


@SERVERS
async def test_another_program_changes_the_user(auth: AuthManager, engine: AsyncEngine, people: People) -> None:
    ada = await admin.get_user(auth, "ada")
    role_id = (await admin.get_role(auth, "Clerk")).id
    async with engine.connect() as connection:
        await insert_row(connection, user_roles, user_id=ada.id, role_id=role_id)
        edit = asyncio.create_task(
            admin.update_user(auth, "ada", roles=[], if_match=ada.etag, actor=people.root),
        )
        done, _ = await asyncio.wait([edit], timeout=MEET_SECONDS)
        assert not done
        await connection.commit()
    with pytest.raises(ChangedMeanwhileError):
        await edit
    assert (await admin.get_user(auth, "ada")).roles == ("Viewer", "Clerk")


@pytest.mark.parametrize("kind", ["user", "role", "group", "permission"])
async def test_double_create(auth: AuthManager, other: AuthManager, people: People, kind: str) -> None:
    """One makes it, the other one is told that it is taken; permissions may be there already."""
    for number in range(5):
        name = f"new {number}"
        make: dict[str, Callable[[AuthManager], Awaitable[Any]]] = {
            "user": lambda worker, name=name: admin.create_user(  # type: ignore[misc]
                worker, username=name, password="x", email=f"{worker is auth}{name}@example.org"
            ),
            "role": lambda worker, name=name: admin.create_role(worker, name, [READ]),  # type: ignore[misc]
            "group": lambda worker, name=name: admin.create_group(worker, name),  # type: ignore[misc]
            "permission": lambda worker, name=name: admin.create_permissions(worker, [("can_run", name)]),  # type: ignore[misc]
        }
        results = await both(make[kind](auth), make[kind](other))
        expected = 0 if kind == "permission" else 1
        assert [type(result) for result in results].count(TakenError) == expected
        assert results.count(None) == 2 - expected
    assert (await admin.list_audit(auth, what="create")).total == 5


@SERVERS
@pytest.mark.parametrize("table", [users, roles], ids=["user", "role"])
async def test_another_program_creates_meanwhile(
    auth: AuthManager, engine: AsyncEngine, people: People, table: Any
) -> None:
    values: dict[str, Any] = {"name": "new"}
    if table is users:
        values = {"username": "new", "first_name": "", "last_name": "", "email": "else@example.org"}
    async with engine.connect() as connection:
        await insert_row(connection, table, **values)
        work: Awaitable[Any] = (
            admin.create_user(auth, username="NEW", password="x", email="new@example.org")
            if table is users
            else admin.create_role(auth, "new")
        )
        attempt = asyncio.ensure_future(work)
        done, _ = await asyncio.wait([attempt], timeout=MEET_SECONDS)
        assert not done
        await connection.commit()
    with pytest.raises(TakenError):
        await attempt
    assert (await admin.list_audit(auth)).total == 0


async def test_nobody_waits_for_ever(auth: AuthManager, other: AuthManager, people: People) -> None:
    """Changes of all kinds by two workers at once: each is made or refused, none is a deadlock."""
    await admin.create_group(auth, "staff", roles=["Viewer"])

    async def one(number: int) -> Any:
        worker = (auth, other)[number % 2]
        kinds: list[Call] = [
            lambda: admin.update_role(worker, "Viewer", permissions=[("can_read", "DAG:etl")]),
            lambda: admin.grant_permission(worker, role="Clerk", action="can_run", resource=f"DAG:{number}"),
            lambda: admin.update_user(worker, "ada", first_name=f"{number}", roles=["Clerk", "Viewer"]),
            lambda: admin.take_role(worker, username="ada", role="Clerk"),
            lambda: admin.add_member(worker, group="staff", username="ada"),
            lambda: admin.remove_member(worker, group="staff", username="ada"),
            lambda: admin.update_role(worker, "Clerk", permissions=[READ]),
        ]
        return await kinds[number % len(kinds)]()

    results = await asyncio.gather(*(one(number) for number in range(42)), return_exceptions=True)
    assert [result for result in results if isinstance(result, BaseException)] == []
