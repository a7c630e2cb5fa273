"""A database put into words, exactly, so that two can be compared: its tables, indexes, sequences, triggers, rows."""

import re
from collections.abc import Callable, Iterable

from sqlalchemy import Connection, create_engine, inspect, select, table, text

from tests.databases import Database

Description = dict[str, list[str]]
"""By name of table, sequence, trigger or function: sorted lines of definition, in the words of the database."""

POSTGRESQL = """
    SELECT c.relname, 'column ' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
        || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END
        || coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '')
        || coalesce(' collate ' || nullif(k.collname, 'default'), '') || a.attidentity::text || a.attgenerated::text
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    LEFT JOIN pg_collation k ON k.oid = a.attcollation
    WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
    UNION ALL SELECT conrelid::regclass::text, 'constraint ' || conname || ' ' || pg_get_constraintdef(oid)
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND conrelid <> 0
    UNION ALL SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL SELECT proname, pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    UNION ALL SELECT s.seqrelid::regclass::text, concat_ws(' ', 'sequence', seqtypid::regtype, seqstart, seqincrement,
        seqmin, seqmax, seqcache, seqcycle, 'owner', d.refobjid::regclass)
    FROM pg_sequence s LEFT JOIN pg_depend d ON d.objid = s.seqrelid AND d.deptype = 'a'
"""


def describe(database: Database) -> Description:
    """Everything in a database but rows."""
    functions: dict[str, Callable[[Connection], Iterable[tuple[str, str]]]] = {
        "sqlite": _sqlite,
        "postgresql": _postgresql,
        "mysql": _mariadb,
    }
    engine = create_engine(database.sync_url)
    try:
        with engine.connect() as connection:
            found: Description = {}
            for name, line in functions[database.host.dialect](connection):
                found.setdefault(name, []).append(line)
            return {name: sorted(lines) for name, lines in found.items()}
    finally:
        engine.dispose()


def read_rows(database: Database) -> Description:
    """The rows of every table, and the state of every sequence."""
    engine = create_engine(database.sync_url)
    try:
        with engine.connect() as connection:
            names = [*inspect(connection).get_table_names()]
            if connection.dialect.supports_sequences:
                names += inspect(connection).get_sequence_names()
            return {
                name: sorted(map(repr, connection.execute(select(text("*")).select_from(table(name)))))
                for name in names
            }
    finally:
        engine.dispose()


def _postgresql(connection: Connection) -> Iterable[tuple[str, str]]:
    return ((name, line) for name, line in connection.exec_driver_sql(POSTGRESQL))


def _sqlite(connection: Connection) -> Iterable[tuple[str, str]]:
    query = """
        SELECT CASE type WHEN 'trigger' THEN name ELSE tbl_name END, sql FROM sqlite_master
        WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite~_%' ESCAPE '~'"""
    for name, sql in connection.execute(text(query)):
        for line in sql.splitlines():
            if line.strip(" \t(),"):
                yield name, " ".join(line.split()).rstrip(",")


def _mariadb(connection: Connection) -> Iterable[tuple[str, str]]:
    for name, kind in connection.execute(text("SHOW FULL TABLES")).all():
        for line in connection.execute(text(f"SHOW CREATE TABLE `{name}`")).one()[1].splitlines():
            counter = re.compile(r" AUTO_INCREMENT=\d+")  # how many rows there have been is no matter of the schema
            yield name, f"{kind} {counter.sub('', line).strip().rstrip(',')}"
    for trigger in connection.execute(text("SHOW TRIGGERS")).all():
        yield trigger[0], repr(trigger[1:5])
