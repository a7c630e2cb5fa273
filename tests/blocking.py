"""A blocking call on the event loop fails the test that makes it, whoever's code it is in; the exceptions are here."""

from collections.abc import Iterator
from contextlib import contextmanager

from blockbuster import BlockBuster, blockbuster_ctx

ALLOWED = (
    # (function, file, callers): what no caller of the library can keep off the loop, and why it does no harm.
    # Looks for certificates in the home directory whenever it connects: a few stat() calls, of files on local disk.
    ("*", "asyncpg/connect_utils.py", {"_parse_connect_dsn_and_args"}),
    # Looks for its own version whenever it connects: the same.
    ("*", "redis/utils.py", {"get_lib_version"}),
    # Makes the path of the file absolute when an engine is made: no access to the disk at all.
    # `make coverage`: a thread that comes to a file for the first time notes that.
    ("*", "coverage/collector.py", {"lock_data"}),
    ("os.path.abspath", "sqlalchemy/dialects/sqlite/pysqlite.py", {"create_connect_args"}),
)


@contextmanager
def no_blocking() -> Iterator[BlockBuster]:
    """Raise `blockbuster.BlockingError` in whatever blocks a running event loop inside the block."""
    with blockbuster_ctx() as detector:
        for name, file, callers in ALLOWED:
            chosen = detector.functions.values() if name == "*" else [detector.functions[name]]
            for function in chosen:
                function.can_block_in(file, callers)
        yield detector
