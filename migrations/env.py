"""For Alembic's own commands in a checkout: `alembic revision`, `alembic downgrade base`, `alembic upgrade head --sql`.

`asyncauth db upgrade` does not run this file. The database is the one in ASYNCAUTH_DATABASE_URL.
"""

import os

import anyio
from alembic import context
from sqlalchemy import Connection

from asyncauth.db.connect import with_connection
from asyncauth.db.scripts import know_server, options, prepared
from asyncauth.db.url import parse_url


def run(connection: Connection) -> None:
    """Run the command that was given to Alembic."""
    with prepared(connection):
        context.configure(connection=connection, **options(connection.dialect.name))
        context.run_migrations()


url = os.environ.get("ASYNCAUTH_DATABASE_URL", "")
if context.is_offline_mode():
    adopted = context.get_x_argument(as_dictionary=True).get("adopted") == "yes"
    place = parse_url(url, sync=True)
    context.configure(url=place, literal_binds=True, adopted=adopted, **options(place.get_backend_name()))
    know_server(context.get_context())
    with context.begin_transaction():
        context.run_migrations()
else:
    anyio.run(lambda: with_connection(url, run, create=True))
