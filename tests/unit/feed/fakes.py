"""What the follower works with, as things that answer what they are told to and remember what they were asked."""

from collections.abc import Iterable, Sequence
from types import SimpleNamespace
from typing import Any

from asyncauth import Settings
from asyncauth.changes.follower import Follower
from asyncauth.db.feed import Position
from tests.managers import FakeClock

EPOCH = "here"
LEEWAY_SECONDS, MAX_AGE_SECONDS, STALENESS_SECONDS, ENTRY_AGE_SECONDS, HORIZON_SECONDS = 20, 1000, 30.0, 300.0, 600.0


def row(id_: int | None = None, kind: str = "user", item: int | None = None, **more: Any) -> SimpleNamespace:
    """A row of `news_statement`: a record written at 1000 and its id (in seconds), or none."""
    base = {"epoch": EPOCH, "purged": 0, "mark": None, "snapshot": None, "schema_text": "tables and triggers"}
    record = {"id": id_, "at": None if id_ is None else (1000 + id_) * 1_000_000, "kind": kind, "item": item}
    return SimpleNamespace(**base | record | {"iss": None, "jti": None, "exp": None} | more)


class Base:
    """The database. `news`: one answer for each look, then the feed's row alone; an exception is raised."""

    def __init__(self, dialect: str = "sqlite") -> None:
        self.dialect = dialect
        self.news: list[Any] = []
        self.rows: dict[str, Sequence[Any]] = {}
        """Of a table: what is read whole."""
        self.statements: list[str] = []
        self.parameters: list[Any] = []
        self.asked: list[str] = []
        """What the statements were about, in order."""

    async def ask(self, statement: Any, parameters: Any = None) -> Sequence[Any]:
        """As `Database.ask`."""
        values = statement.compile().params
        self.statements.append(f"{statement} {values}")
        self.parameters.append(parameters)
        about = _about(str(statement))
        self.asked.append(about)
        if about == "news":
            answer = self.news.pop(0) if self.news else [row()]
            if isinstance(answer, BaseException):
                raise answer
            return list(answer)
        return self.rows.get(about, [row()] if about == "start" else [])

    def since(self, about: str) -> int:
        """From when on the last statement about that read; -1 if there was none."""
        found = [statement for asked, statement in zip(self.asked, self.statements, strict=True) if asked == about]
        return int(found[-1].rpartition(": ")[2].rstrip("}")) if found else -1


def _about(statement: str) -> str:
    for words, about in (
        ("schema_text", "news"),
        (".purged, (SELECT known", "news"),
        ("UNION", "recent"),
        ("asyncauth_feed", "start"),
        ("asyncauth_cutoff", "cutoffs"),
        ("asyncauth_revoked_token", "own"),
        ("revoked_token", "airflow"),
    ):
        if words in statement:
            return about
    raise AssertionError(statement)


class Users:
    """The users in memory."""

    def __init__(self) -> None:
        self.position = Position(EPOCH, 0, None)
        self.calls: list[Any] = []
        self.ages: list[float] = []

    def suspect(self, kind: str, item: int) -> None:
        self.calls.append((kind, item))

    def learn(self, records: Iterable[Any]) -> None:
        self.calls.append([record.id for record in records])

    def advance(self, position: Position) -> None:
        self.position = position

    def restart(self, position: Position | None = None) -> None:
        self.calls.append("restart")
        self.position = position or self.position

    def limit_age(self, max_entry_age_seconds: float) -> None:
        self.ages.append(max_entry_age_seconds)


class Ends:
    """Revoked tokens of one kind, or cut-offs."""

    def __init__(self) -> None:
        self.rows: list[Any] = []
        self.purged: list[float] = []

    def add(self, rows: Iterable[Any]) -> None:
        self.rows += [tuple(row) for row in rows]

    def purge(self, before: float) -> None:
        self.purged.append(before)


class Revoked(Ends):
    """Both kinds."""

    def __init__(self) -> None:
        super().__init__()
        self.own, self.airflow = Ends(), Ends()


def as_real(thing: object) -> Any:
    """For who wants the real one."""
    return thing


class Parts:
    """A follower and what it works with."""

    def __init__(self, dialect: str = "sqlite", *, airflow: bool = True, **values: Any) -> None:
        self.database = as_real(Base(dialect))
        self.users = as_real(Users())
        self.keys = as_real(Users())
        self.revoked = as_real(Revoked())
        self.cutoffs = as_real(Ends())
        self.clock = FakeClock(now=5000.0)
        bounds = {
            "database_url": "sqlite+aiosqlite://",
            "jwt_leeway_seconds": LEEWAY_SECONDS,
            "jwt_max_age_seconds": MAX_AGE_SECONDS,
            "max_staleness_seconds": STALENESS_SECONDS,
            "max_entry_age_seconds": ENTRY_AGE_SECONDS,
            "late_commit_horizon_seconds": HORIZON_SECONDS,
        }
        self.settings = Settings.model_construct(**Settings.model_construct().model_dump() | bounds | values)
        self.follower = Follower(
            self.database,
            self.users,
            self.keys,
            self.revoked,
            self.cutoffs,
            self.clock.clock,
            self.settings,
            airflow=airflow,
        )
