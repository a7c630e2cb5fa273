"""Our tables and triggers as a part of `airflow db …`.

Airflow runs its database managers in the order of their paths, so FAB's comes before ours: at the end of each command
the triggers stand, whether FAB made, upgraded or left the `ab_*` tables.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from airflow import settings
from airflow.configuration import conf
from airflow.providers_manager import ProvidersManager
from airflow.utils.db_manager import BaseDBManager
from sqlalchemy import Connection, Engine, MetaData, Table, event

from asyncauth.airflow.provider import FAB_PROVIDER
from asyncauth.db.migrate import upgrade_with
from asyncauth.db.scripts import VERSION_TABLE, find_folder, load_scripts, version
from asyncauth.db.standing import find_missing
from asyncauth.db.tables import FAB_VERSION_TABLE, changes, cutoffs, fab, own
from asyncauth.db.triggers import drop_triggers
from asyncauth.errors import ConfigurationError

_SEQUENCES = tuple(f"{table.name}_id_seq" for table in (changes, cutoffs))


class AsyncAuthDBManager(BaseDBManager):
    """Makes, upgrades, checks and drops the tables of asyncauth."""

    metadata = own
    migration_dir = find_folder().as_posix()
    alembic_file = (find_folder() / "alembic.ini").as_posix()
    version_table_name = VERSION_TABLE
    supports_table_dropping = True

    def initdb(self, use_migration_files: bool = False) -> None:  # noqa: ARG002
        """Make the tables, or upgrade them. Always by our migrations: tables without triggers would be of no use."""
        self.upgradedb()

    def create_db_from_orm(self) -> None:
        """The same."""
        self.upgradedb()

    def upgradedb(
        self,
        to_revision: str | None = None,
        from_revision: str | None = None,
        show_sql_only: bool = False,
        use_migration_files: bool = False,  # noqa: ARG002
    ) -> None:
        """Bring the tables to this version, and make the triggers that are missing.

        Raises:
            asyncauth.errors.ConfigurationError: it cannot be done; one sentence says what to do.
        """
        if to_revision or from_revision or show_sql_only:
            raise ConfigurationError(
                "asyncauth brings its tables to its own version only: leave out other versions and --show-sql-only"
            )
        # Making a trigger waits for everybody who has looked at its table, and this session may have.
        self.session.commit()
        with connected() as connection:
            if upgrade_with(connection):
                self.log.info("the tables and triggers of asyncauth were made or upgraded")

    def check_migration(self) -> bool:
        """Whether the tables are at this version. Missing triggers are not waited for: an account that may not make
        them works without, with weaker bounds."""
        with connected() as connection:
            at_head = version(connection) == load_scripts().get_current_head()
            if at_head and (missing := find_missing(connection)):
                self.log.warning("triggers are missing, run airflow db migrate: %s", ", ".join(missing))
            return at_head

    def drop_tables(self, connection: Connection) -> None:
        """Take away the triggers, their functions and our tables; of `ab_*` only what no FAB provider takes away."""
        with in_schema(connection):
            drop_own(connection)
            if FAB_PROVIDER not in ProvidersManager().providers:
                fab.drop_all(connection)
                Table(FAB_VERSION_TABLE, MetaData()).drop(connection, checkfirst=True)


def drop_own(connection: Connection) -> None:
    """Take away the triggers, their functions and our tables."""
    drop_triggers(connection)
    own.drop_all(connection)
    if connection.dialect.supports_sequences and connection.dialect.name != "postgresql":
        for name in _SEQUENCES:
            connection.exec_driver_sql(f"DROP SEQUENCE IF EXISTS {name}")
    Table(VERSION_TABLE, MetaData()).drop(connection, checkfirst=True)


@contextmanager
def connected() -> Iterator[Connection]:
    """A connection of its own to Airflow's database, made as Airflow makes its connections, in its schema."""
    engine = make_sync_engine()
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def make_sync_engine() -> Engine:
    """An engine without a pool, from Airflow's own maker: passwords may rotate, and be known to it alone."""
    key = "sql_alchemy_connect_args"
    engine: Engine = settings.create_metadata_engine(
        settings.SQL_ALCHEMY_CONN,
        engine_args=settings.prepare_engine_args(disable_connection_pool=True),
        connect_args=conf.getimport("database", key) if conf.has_option("database", key) else {},
    )
    if schema := _schema(engine):

        def enter_schema(driver_connection: Any, _record: object) -> None:
            with closing(driver_connection.cursor()) as cursor:
                cursor.execute(f"SET search_path TO {schema}")
            driver_connection.commit()

        # Before SQLAlchemy asks a new connection for its schema.
        event.listen(engine, "connect", enter_schema, insert=True)
    return engine


@contextmanager
def in_schema(connection: Connection) -> Iterator[None]:
    """Let names without a schema mean Airflow's, in a transaction that others go on with."""
    schema = _schema(connection.engine)
    if not schema:
        yield
        return
    before = connection.exec_driver_sql("SHOW search_path").scalar_one()
    dialect = connection.dialect
    default, dialect.default_schema_name = dialect.default_schema_name, _schema_name()
    connection.exec_driver_sql(f"SET LOCAL search_path TO {schema}")
    try:
        yield
        connection.exec_driver_sql(f"SET LOCAL search_path TO {before}")
    finally:
        dialect.default_schema_name = default


def _schema(engine: Engine) -> str:
    """The schema of `[database] sql_alchemy_schema`, quoted; empty: the default."""
    name = _schema_name()
    if not name or engine.dialect.name != "postgresql":
        return ""
    return engine.dialect.identifier_preparer.quote_identifier(name)


def _schema_name() -> str:
    return str(conf.get("database", "sql_alchemy_schema", fallback="") or "").strip()
