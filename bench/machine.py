"""What the figures were measured on."""

import os
import platform
import resource
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = (
    "asyncauth", "sqlalchemy", "pyjwt", "cryptography", "joserfc", "async-lru", "anyio", "uvloop",
    "asyncpg", "psycopg", "aiomysql", "aiosqlite",
)  # fmt: skip


def describe() -> Mapping[str, str]:
    """Processor, system, Python and the versions of what takes part."""
    found = {"processor": f"{os.cpu_count()} cores, {_processor()}", "system": platform.platform()}
    found["python"] = f"{platform.python_implementation()} {platform.python_version()}"
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def resident_bytes() -> int:
    """Memory of this process that is in RAM; outside Linux the most that it ever was."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return pages * os.sysconf("SC_PAGE_SIZE")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
