"""`asyncauth keys` as an operator runs it: its output and its exit code."""

import json
import stat
from pathlib import Path

import pytest

from tests.e2e.test_cli_db import failure, run


@pytest.mark.parametrize("algorithm", ["EdDSA", "HS512"])
def test_the_life_of_a_file(tmp_path: Path, algorithm: str) -> None:
    """Made, shown, rotated once and not twice; no output ever holds what is secret in the file."""
    path = tmp_path / "keys.json"
    environment = {"ASYNCAUTH_JWT_KEYS_PATH": str(path)}
    made = run("keys", "generate", "--algorithm", algorithm, **environment)
    (first,) = json.loads(path.read_text())["keys"]
    assert (made.returncode, made.stdout, made.stderr) == (0, f"{path}: key {first['kid']}, {algorithm}\n", "")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "exists already" in failure("keys", "generate", **environment)

    rotated = run("keys", "rotate", "--refresh-seconds", "30", **environment)
    old, new = json.loads(path.read_text())["keys"]
    assert (rotated.returncode, rotated.stderr) == (0, "")
    assert rotated.stdout == f"added key {new['kid']}, {algorithm}: signs in 120 s\n"
    assert "rotate after that" in failure("keys", "rotate", **environment)
    assert old == first

    shown = run("keys", "show", "--path", str(path))
    lines = shown.stdout.splitlines()
    assert [line.split()[0] for line in lines] == [old["kid"], new["kid"]]
    assert lines[0].endswith("  signs")
    assert "  signs in " in lines[1]
    public = json.loads(run("keys", "show", "--public", **environment).stdout)["keys"]
    assert [key["kid"] for key in public] == ([] if algorithm == "HS512" else [old["kid"], new["kid"]])
    for process in (made, rotated, shown):
        for key in (old, new):
            assert key.get("d", key.get("k")) not in process.stdout + process.stderr
    assert not any({"d", "k"} & key.keys() for key in public)


def test_an_expired_key_goes(tmp_path: Path) -> None:
    """Once the tokens that it signed have expired, by the life that is said."""
    path = tmp_path / "keys.json"
    run("keys", "generate", "--path", str(path))
    assert "signs in 180 s" in run("keys", "rotate", "--path", str(path)).stdout  # two readings ahead, and a minute
    old, new = json.loads(path.read_text())["keys"]
    path.write_text(json.dumps({"keys": [{**old, "signs_from": 1}, {**new, "signs_from": 2}]}))
    rotated = run("keys", "rotate", "--path", str(path), "--token-seconds", "3600")
    assert f"dropped key {old['kid']}\n" in rotated.stdout
    assert [key["kid"] for key in json.loads(path.read_text())["keys"]][:1] == [new["kid"]]


def test_failures_are_one_sentence(tmp_path: Path) -> None:
    """A missing file, one that is none, an unknown algorithm."""
    missing = str(tmp_path / "missing")
    assert "cannot be read: No such file" in failure("keys", "show", "--path", missing)
    assert "cannot be read: No such file" in failure("keys", "rotate", "--path", missing)
    assert "there is no algorithm none" in failure("keys", "generate", "--path", missing, "--algorithm", "none")
    (tmp_path / "bad").write_text("canary")
    assert "canary" not in failure("keys", "show", "--path", str(tmp_path / "bad"))
    assert run("keys", "show").returncode == 2
