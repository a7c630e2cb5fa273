"""Find what a server needs: its program, a port, a folder, and somebody to run as."""

import contextlib
import os
import pwd
import secrets
import shutil
import socket
import sys
import tempfile
from pathlib import Path

HOST = "127.0.0.1"
# Below Linux's ephemeral range (from 32768): no outgoing connection takes the port of a server that restarts.
PORTS = range(20000, 32000)
FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/usr/libexec", "/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin")

MEMORY = Path("/dev/shm")  # noqa: S108  # mkdtemp makes a folder there that is ours alone
ENOUGH_BYTES = 2 * 1024**3


class ServerError(Exception):
    """A server cannot be found or started; the message says what to do."""


def find_program(*names: str, package: str) -> str:
    """The path of an installed program under one of its names; the newest where Debian keeps several versions.

    Raises:
        ServerError: it is not there; says which Debian package brings it.
    """
    for name in names:
        if found := shutil.which(name):
            return found
        for folder in FOLDERS:
            paths = sorted(Path("/").glob(f"{folder[1:]}/{name}"), key=lambda path: (len(str(path)), path))
            if paths:
                return str(paths[-1])
    raise ServerError(f"the tests need {names[0]}, which is not installed: apt-get install {package}")


def free_port() -> int:
    """A port that nothing listens on, and that no other process is given here as long as this one runs: a server is
    made for seconds before it listens, and listens on the same port again after a restart."""
    for _ in range(100):
        port = secrets.choice(PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((HOST, port))
            _claim(port)
            return port
    raise ServerError(f"no free port on {HOST} between {PORTS.start} and {PORTS.stop}")


def _claim(port: int) -> None:
    """Take a port; an OSError if another one has it. By a name that ends with the process, on Linux."""
    if sys.platform == "linux":
        with socket.socket(socket.AF_UNIX) as claim:
            claim.bind(f"\0asyncauth port {port}")
            claim.detach()


def make_folder(name: str) -> Path:
    """A new throw-away folder: in memory where the machine has plenty, since servers wait for the disk most."""
    enough = MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ENOUGH_BYTES
    return Path(tempfile.mkdtemp(prefix=f"asyncauth-{name}-", dir=MEMORY if enough else None))


def unprivileged_user(*names: str) -> str | None:
    """Whom to run a server as: the first known of `names` when we are root, which servers refuse; else ourselves."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in (*names, "nobody") if name in known)
