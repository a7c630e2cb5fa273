"""One change: an open transaction and the tables it has changed."""

from dataclasses import dataclass, field

from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncConnection

from asyncauth.db.stamps import Stamps


@dataclass(slots=True)
class Change:
    """What a use case writes with. It says which tables it changed, so that every worker learns of it."""

    connection: AsyncConnection
    tables: set[str] = field(default_factory=set)
    stamps: Stamps | None = None
    """The state it leads to, known once all is written."""

    def touch(self, *tables: Table) -> None:
        """Note that rows of `tables` were changed."""
        self.tables.update(table.name for table in tables)
