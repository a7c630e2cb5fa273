"""Registering, and replacing a forgotten password."""

import asyncio
import dataclasses
import uuid
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from asyncauth import AuthManager, Settings, admin
from asyncauth.admin import LinkError, Message, SelfService
from asyncauth.admin.self_service import Recent
from asyncauth.db.ids import insert_row
from asyncauth.db.tables import registrations, users
from asyncauth.errors import ConfigurationError, InvalidValueError, LoginError, RevokedTokenError, TakenError
from tests.database.admin.conftest import People
from tests.managers import FakeClock, quiet
from tests.statements import count_statements

ADA = {"username": "newada", "email": "newada@example.org", "first_name": "Ada", "last_name": "Lovelace"}


async def never(_: Message) -> None:
    """Sends nothing: use cases only say what is to be sent."""
    raise AssertionError


SERVICE = SelfService(never, "https://example.com/auth", registration=True, recovery=True, roles=("Viewer",))


async def rows(engine: AsyncEngine) -> list[tuple[str, str]]:
    """Of registrations that wait: name and e-mail."""
    async with engine.connect() as connection:
        found = await connection.execute(select(registrations.c.username, registrations.c.email))
        return sorted((row.username, row.email) for row in found)


def token_of(message: Message | None) -> str:
    """What stands in the link."""
    assert message is not None
    assert message.token is not None
    return message.token


async def test_somebody_registers(auth: AuthManager, people: People, engine: AsyncEngine) -> None:
    """Only who confirms becomes a user, with the roles of the service; once."""
    message = await admin.register(auth, SERVICE, **ADA, password="new horse")
    assert (message.kind, message.email, message.username) == ("confirm", "newada@example.org", "newada")
    token = token_of(message)
    assert message.link == f"https://example.com/auth/register/activation/{token}"
    assert token not in repr(message)
    assert await rows(engine) == [("newada", "newada@example.org")]
    async with engine.connect() as connection:
        (row,) = (await connection.execute(select(registrations))).all()
    assert token not in str(row)
    assert row.password.startswith("scrypt:")
    with pytest.raises(LoginError):
        await auth.login("newada", "new horse")
    for wrong, password in ((token, "wrong"), (token, ""), (token + "x", "new horse"), ("", "new horse")):
        with pytest.raises(LinkError):
            await admin.confirm_registration(auth, SERVICE, wrong, password)
    user = (await admin.confirm_registration(auth, SERVICE, token, "new horse")).value
    assert (user.username, user.email, [role.name for role in user.roles]) == (
        *("newada", "newada@example.org"),
        ["Viewer"],
    )
    assert await auth.login("newada", "new horse")
    assert await rows(engine) == []
    with pytest.raises(LinkError):
        await admin.confirm_registration(auth, SERVICE, token, "new horse")
    record = (await admin.list_audit(auth)).items[0]
    assert (record.what, record.subject, record.actor) == ("create", "newada", None)


async def test_two_clicks_make_one_user(auth: AuthManager, other: AuthManager, people: People) -> None:
    """On two workers at once."""
    token = token_of(await admin.register(auth, SERVICE, **ADA, password="new horse"))
    answers = await asyncio.gather(
        *(admin.confirm_registration(one, SERVICE, token, "new horse") for one in (auth, other)),
        return_exceptions=True,
    )
    assert sorted(type(answer).__name__ for answer in answers) == ["LinkError", "Written"]


async def test_a_known_email_is_not_told(auth: AuthManager, people: People, engine: AsyncEngine) -> None:
    """Nothing is kept, and its owner hears of it; in any case of letters, at the e-mail that is stored."""
    for email in ("ada@example.org", "ADA@Example.org"):
        message = await admin.register(auth, SERVICE, **{**ADA, "email": email}, password="new horse")
        assert (message.kind, message.email, message.username, message.token) == (
            *("known", "ada@example.org"),
            *("ada", None),
        )
    assert await rows(engine) == []


async def test_names(auth: AuthManager, people: People, engine: AsyncEngine) -> None:
    """Taken ones, waiting ones, and those that cannot be."""
    for name in ("ada", "ADA"):
        with pytest.raises(TakenError):
            await admin.register(auth, SERVICE, **{**ADA, "username": name}, password="x")
    await admin.register(auth, SERVICE, **ADA, password="x")
    with pytest.raises(TakenError):
        await admin.register(auth, SERVICE, **{**ADA, "username": "NewAda", "email": "b@x.org"}, password="x")
    for changes in ({"username": " "}, {"email": ""}, {"username": "a\0"}, {"last_name": "x" * 257}):
        with pytest.raises(InvalidValueError):
            await admin.register(auth, SERVICE, **{**ADA, **changes}, password="x")
    with pytest.raises(InvalidValueError):
        await admin.register(auth, SERVICE, **ADA, password="")
    # Taken by somebody else while it waited.
    token = token_of(await admin.register(auth, SERVICE, **ADA, password="x"))
    await admin.create_user(auth, username="NEWADA", password=None, email="c@x.org")
    with pytest.raises(TakenError):
        await admin.confirm_registration(auth, SERVICE, token, "x")
    assert await rows(engine) == [("newada", "newada@example.org")]


async def test_the_latest_registration_counts(auth: AuthManager, people: People, engine: AsyncEngine) -> None:
    """Somebody who registers with another's e-mail first gets nothing by it, and neither who comes after."""
    first = token_of(await admin.register(auth, SERVICE, **{**ADA, "username": "thief"}, password="of the thief"))
    second = token_of(await admin.register(auth, SERVICE, **ADA, password="new horse"))
    assert await rows(engine) == [("newada", "newada@example.org")]
    with pytest.raises(LinkError):
        await admin.confirm_registration(auth, SERVICE, first, "of the thief")
    third = token_of(await admin.register(auth, SERVICE, **{**ADA, "username": "thief"}, password="of the thief"))
    for token in (second, third):  # whichever link she follows, with what she knows
        with pytest.raises(LinkError):
            await admin.confirm_registration(auth, SERVICE, token, "new horse")


async def test_registrations_end(settings: Settings, people: People, engine: AsyncEngine) -> None:
    """Their links by the clock, their rows with the next registration; those of FAB stay."""
    clock = FakeClock()
    async with AuthManager(quiet(settings), clock=clock.clock) as auth:
        token = token_of(await admin.register(auth, SERVICE, **ADA, password="x"))
        clock.advance(SERVICE.registration_seconds)
        with pytest.raises(LinkError):
            await admin.confirm_registration(auth, SERVICE, token, "x")
        long_ago = datetime.now() - timedelta(days=3)  # noqa: DTZ005
        async with engine.begin() as connection:
            await connection.execute(update(registrations).values(registration_date=long_ago))
            fab = {"registration_date": long_ago, "registration_hash": str(uuid.uuid4()), "password": None}
            names = {"username": "fab", "email": "fab@example.org", "first_name": "", "last_name": ""}
            await insert_row(connection, registrations, **names, **fab)
        await admin.register(auth, SERVICE, **{**ADA, "username": "b", "email": "b@x.org"}, password="x")
    assert await rows(engine) == [("b", "b@x.org"), ("fab", "fab@example.org")]


# ── forgotten passwords ──


async def give_password(auth: AuthManager, name: str, password: str | None) -> None:
    """As another program would, which hashes empty passwords as well."""
    stored = None if password is None else await auth.hash_password(password)

    async def work(connection: object) -> None:
        await connection.execute(  # type: ignore[attr-defined]
            update(users).where(users.c.username == name).values(password=stored)
        )

    await auth.write(work)


async def test_a_forgotten_password(auth: AuthManager, people: People, engine: AsyncEngine) -> None:
    """Replaced once; all tokens end; it stands in the audit table."""
    await admin.set_password(auth, "ada", "old horse")
    old = await auth.login("ada", "old horse")
    message = await admin.ask_reset(auth, SERVICE, "ADA@example.org")
    assert message is not None
    assert (message.kind, message.email, message.username) == ("reset", "ada@example.org", "ada")
    token = token_of(message)
    assert message.link == f"https://example.com/auth/resetpassword/link/{token}"
    second = token_of(await admin.ask_reset(auth, SERVICE, "ada@example.org"))
    with pytest.raises(InvalidValueError):
        await admin.reset_password(auth, token, "")
    await admin.reset_password(auth, token, "new horse", "192.0.2.9")
    assert await auth.login("ada", "new horse")
    with pytest.raises(RevokedTokenError):
        await auth.get_user_from_token(old)
    for used in (token, second):
        with pytest.raises(LinkError):
            await admin.reset_password(auth, used, "third")
    record = (await admin.list_audit(auth)).items[0]
    assert (record.what, record.subject, record.actor, record.address, record.after) == (
        *("reset_password", "ada", "a link in an e-mail", "192.0.2.9"),
        {"password": "changed"},
    )


async def test_one_link_at_once(auth: AuthManager, other: AuthManager, people: People) -> None:
    """Two workers, one new password."""
    await admin.set_password(auth, "ada", "old horse")
    token = token_of(await admin.ask_reset(auth, SERVICE, "ada@example.org"))
    answers = await asyncio.gather(
        admin.reset_password(auth, token, "one"), admin.reset_password(other, token, "two"), return_exceptions=True
    )
    assert sorted(type(answer).__name__ for answer in answers) == ["LinkError", "Written"]


async def test_who_gets_no_link(auth: AuthManager, people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody, the inactive, and those whose password another system has; each costs the same."""
    await admin.set_password(auth, "clerk", "x")
    await admin.deactivate_user(auth, "clerk")
    await give_password(auth, "ada", None)
    await give_password(auth, "root", "")
    checked: list[str | None] = []
    check = auth.check_password

    async def counted(stored: str | None, password: str) -> bool:
        checked.append(stored)
        return await check(stored, password)

    monkeypatch.setattr(auth, "check_password", counted)
    asked = set()
    emails = ("nobody@example.org", "clerk@example.org", "ada@example.org", "root@example.org")
    for email in emails:
        with count_statements() as statements:
            assert await admin.ask_reset(auth, SERVICE, email) is None
        asked.add(len(statements))
    assert len(asked) == 1
    for email in ("", "\0", "\ud800", "x" * 10_000):
        assert await admin.ask_reset(auth, SERVICE, email) is None
    assert len(checked) == len(emails) + 4


@pytest.mark.parametrize("what", ["password", "email", "active", "time"])
async def test_links_end(settings: Settings, people: People, what: str) -> None:
    """With any other change of the password or the e-mail, with the user, and by the clock."""
    clock = FakeClock()
    async with AuthManager(quiet(settings), clock=clock.clock) as auth:
        await admin.set_password(auth, "ada", "old horse")
        token = token_of(await admin.ask_reset(auth, SERVICE, "ada@example.org"))
        match what:
            case "password":
                await admin.set_password(auth, "ada", "old horse")
            case "email":
                await admin.update_user(auth, "ada", email="other@example.org")
            case "active":
                await admin.deactivate_user(auth, "ada")
            case _:
                clock.advance(SERVICE.recovery_seconds)
        with pytest.raises(LinkError):
            await admin.reset_password(auth, token, "new horse")


async def test_made_up_links(auth: AuthManager, people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    """Are refused before a password is hashed."""
    await admin.set_password(auth, "ada", "old horse")
    await admin.set_password(auth, "root", "old horse")
    token = token_of(await admin.ask_reset(auth, SERVICE, "ada@example.org"))
    import base64

    raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    head = raw[16:].decode()
    user_id, _, end = head.partition(".")
    assert people.root.user_id is not None
    others = [f"{people.root.user_id}.{end}", f"{user_id}.{int(end) + 1}", f"0.{end}", f"{2**63}.{end}", "1", "a.b", ""]
    made_up = [base64.urlsafe_b64encode(raw[:16] + other.encode()).decode().rstrip("=") for other in others]
    made_up += ["", "x", "\u00e9", token[:-4], "A" * 10_000, f"{user_id}.{'9' * 5000}"]
    monkeypatch.setattr(auth, "hash_password", None)
    for wrong in made_up:
        with pytest.raises(LinkError):
            await admin.reset_password(auth, wrong, "new horse")


# ── messages ──


async def test_messages_are_sent_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    """One of a kind a minute to one e-mail; what cannot be sent is logged without the link."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)
        if message.email == "broken":
            raise OSError("no mail server")

    service = dataclasses.replace(SERVICE, send=send)
    await service.deliver(None, 0)
    for now, email in ((0, "a"), (59, "a"), (59, "b"), (60, "a"), (61, "a"), (10, "a"), (200, "a")):
        await service.deliver(service.message("reset", email, "x", "the-secret"), now)
    await service.deliver(service.message("known", "a", "x"), 200)
    assert [(one.kind, one.email) for one in sent] == [
        *(("reset", "a"), ("reset", "b"), ("reset", "a"), ("reset", "a"), ("reset", "a")),
        ("known", "a"),
    ]
    await service.deliver(service.message("reset", "broken", "x", "the-secret"), 0)
    assert "could not be sent" in caplog.text
    assert "the-secret" not in caplog.text


def test_what_is_remembered_of_messages_is_bounded() -> None:
    """Whatever is asked for."""
    recent = Recent()
    for number in range(20_000):
        assert not recent.seen(str(number), 0, 60)
    assert len(recent._times) == 10_000
    assert recent.seen("19999", 1, 60)
    assert not recent.seen("0", 1, 60)


@pytest.mark.parametrize("url", ["", "example.com", "/auth", "javascript:x", "https://example.com/", "https://a\nb"])
def test_urls_that_cannot_be(url: str) -> None:
    """Links begin with them."""
    with pytest.raises(ConfigurationError, match="url of the self-service"):
        SelfService(never, url)
