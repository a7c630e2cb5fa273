"""asyncauth can be installed beside Airflow: what we need at least is no newer than what Airflow brings."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PINNED = {
    name.lower().replace("_", "-"): version
    for name, version in re.findall(
        r"^([\w.-]+)==(\S+)$", (ROOT / "tools" / "airflow-constraints.txt").read_text(encoding="utf-8"), re.MULTILINE
    )
}
EXTRAS = ("airflow", "sqlite", "starlette", "fastapi", "throttle", "postgres", "mysql", "jwks", "prometheus", "otel")
REQUIREMENTS = sorted(
    {*PROJECT["dependencies"], *(one for name in EXTRAS for one in PROJECT["optional-dependencies"][name])}
)


def numbers(version: str) -> tuple[int, ...]:
    """A version as it is compared."""
    return tuple(int(part) for part in re.findall(r"\d+", version))


@pytest.mark.parametrize("requirement", REQUIREMENTS)
def test_our_floors_yield_to_airflow(requirement: str) -> None:
    found = re.fullmatch(r"([\w-]+)(?:\[.*?\])?(?:>=([\d.]+))?(?:,<([\d.]+))?", requirement)
    assert found, requirement
    name, floor, beyond = found.groups()
    pinned = PINNED.get(name.lower())
    if pinned is None:  # Airflow does not care
        assert name in {"asyncauth", "async-lru", "prometheus-client"}
        return
    assert numbers(floor) <= numbers(pinned)
    assert beyond is None or numbers(pinned) < numbers(beyond)


def test_the_extra_names_the_core() -> None:
    assert any(one.startswith("apache-airflow-core>=3.3,<3.5") for one in PROJECT["optional-dependencies"]["airflow"])
