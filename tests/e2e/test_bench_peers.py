"""What the bench compares with others runs, every peer included. What it finds is no matter of tests."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from bench.http import ADAPTERS, CARRIERS, load
from bench.peers.places import MISSING, VARIABLE, find_python

ROOT = Path(__file__).parents[2]


def run(path: Path, hazard: str, **environment: str) -> tuple[list[dict[str, Any]], str]:
    """Measure a hazard with small numbers, as a process; returns the figures and what it said beside them."""
    command = [sys.executable, "-m", "bench", hazard, "--quick", "--json", str(path)]
    # `env` leaves the environment as it is but for what is named.
    named = [f"{name}={value}" for name, value in environment.items()]
    process = subprocess.run(["env", *named, *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    (section,) = json.loads(path.read_text())["sections"]
    return section["figures"], process.stderr


def test_every_adapter_stands_beside_an_empty_one(tmp_path: Path) -> None:
    """Each adapter, with the token in either place, with the throughput of both; PyJWT and a cache once."""
    figures, _ = run(tmp_path / "figures.json", "http")
    names = [
        f"{adapter}: processor time that a token in the {where} adds" for adapter in ADAPTERS for where in CARRIERS
    ]
    assert [figure["what"] for figure in figures] == names
    assert [figure["limit"] for figure in figures] == [6, 9] * len(ADAPTERS)
    assert all(figure["notes"]["with ours"] > 0 < figure["notes"]["requests a second, empty"] for figure in figures)
    assert [name for figure in figures for name in figure["peers"]] == ["PyJWT and a TTL cache"]


def test_every_peer_answers(tmp_path: Path) -> None:
    """fastapi-users and Litestar's JWTAuth find the user, PyCasbin decides, and each figure stands beside them."""
    if find_python() is None:
        pytest.fail(MISSING, pytrace=False)
    figures, _ = run(tmp_path / "figures.json", "peers")
    peers = {figure["what"]: set(figure["peers"]) for figure in figures}
    assert peers.pop("who is this? Litestar, warm") == {"Litestar's JWTAuth"}
    assert peers.pop("who is this? FastAPI, warm") == {"fastapi-users"}
    assert peers.pop("who is this? FastAPI, cold, with all permissions") == {"fastapi-users"}
    casbin = {"PyCasbin's AsyncEnforcer", "its FastEnforcer"}
    assert peers == {f"110 rules: a decision, {what}": casbin for what in ("allowed", "refused")}


def test_a_peer_that_is_missing_is_left_out(tmp_path: Path) -> None:
    """Its figures are not there, and a line says how to get it."""
    figures, said = run(tmp_path / "figures.json", "peers", **{VARIABLE: "/nowhere/python"})
    assert "fastapi-users is left out" in said
    assert [figure["what"] for figure in figures if "FastAPI" in figure["what"]] == []
    assert len(figures) == 3


def test_airflow_that_is_missing_is_left_out(tmp_path: Path) -> None:
    """FAB's manager needs the environment with Airflow: a line says how to get it."""
    figures, said = run(tmp_path / "figures.json", "fab", ASYNCAUTH_TEST_AIRFLOW="/nowhere/python")
    assert figures == []
    assert "FAB is left out" in said


def test_an_answer_that_is_not_200_ends_the_load() -> None:
    """A server that refuses would be quick: nothing of it may be taken for a figure."""
    program = (
        "from contextlib import asynccontextmanager\n"
        "from bench.http.serving import serve\n"
        "async def refuse(scope, receive, send):\n"
        "    if scope['type'] == 'lifespan':\n"
        "        raise NotImplementedError\n"
        "    await send({'type': 'http.response.start', 'status': 401, 'headers': [(b'content-length', b'0')]})\n"
        "    await send({'type': 'http.response.body'})\n"
        "@asynccontextmanager\n"
        "async def apps(given):\n"
        "    yield {'refusing': refuse}\n"
        "serve(apps)\n"
    )
    request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    with load.serving([sys.executable, "-c", program], {}) as server:
        assert server.cpu_seconds() > 0
        with pytest.raises(RuntimeError, match="401"):
            server.ask("refusing", [request], 1)
