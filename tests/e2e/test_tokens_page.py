"""docs/tokens.md: its code runs as pasted, and its table names every refusal."""

import ast
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from asyncauth import AuthManager, Settings, admin, errors
from asyncauth.errors import AuthError
from tests.conftest import SECRET

PAGE = (Path(__file__).parents[2] / "docs" / "tokens.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
SHELL = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("backend", ["sqlite+aiosqlite"], indirect=True)
async def test_the_python_runs(settings: Settings) -> None:
    """One sample after the other, by a manager with everything on; each token that a sample ends is refused."""
    update = {"refresh_tokens": True, "api_key_secret": SECRET}
    names: dict[str, object] = {}
    async with AuthManager(settings.model_copy(update=update)) as auth:
        await admin.create_user(auth, username="ada", password="correct horse", email="ada@example.com")
        names["auth"] = auth
        for sample in PYTHON:
            code = compile(sample, "tokens.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            coroutine = eval(code, names)  # noqa: S307 - our own page
            if coroutine is not None:
                await coroutine
        for token in (names["token"], names["made"].value.text):  # type: ignore[attr-defined]
            with pytest.raises(errors.RevokedTokenError):
                await auth.get_user_from_token(token)
    assert len(PYTHON) == 3


def test_what_is_exported_are_settings(tmp_path: Path) -> None:
    """All of the page's commands in one shell; `asyncauth` itself runs in `test_pages.py`."""
    command = tmp_path / "bin" / "asyncauth"
    command.parent.mkdir()
    command.write_text("#!/bin/sh\n")
    command.chmod(0o700)
    environment = {**os.environ, "PATH": f"{command.parent}:{Path(sys.executable).parent}:{os.environ['PATH']}"}
    report = "env -0 | grep -z ^ASYNCAUTH_ | tee environment > /dev/null"
    script = "\n".join(["set -eu", *SHELL, report])
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment, check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    exported = dict(pair.split("=", 1) for pair in (tmp_path / "environment").read_text().split("\0") if pair)
    exported = {name: value for name, value in exported.items() if not name.startswith("ASYNCAUTH_TEST_")}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in exported.items():
            patch.setenv(name, value)
        settings = Settings()
    assert settings.jwt_trusted_issuers[0].matches == "email"
    assert {name.removeprefix("ASYNCAUTH_").lower() for name in exported} <= set(Settings.model_fields)


def test_every_setting_named_exists() -> None:
    """Whatever looks like a setting is one, or of a trusted issuer."""
    from asyncauth.trusted import TrustedIssuer

    known = {*Settings.model_fields, *TrustedIssuer.model_fields}
    named = set(re.findall(r"`((?:jwt|refresh|login|api_key|password|database|trigger|retry)_\w+)`", PAGE))
    assert len(named) > 15
    assert named - known - _codes() == {"refresh_seconds", "retry_seconds", "login_pair"} - known


def test_every_code_stands_in_the_table() -> None:
    """With its status, and no other."""
    table = PAGE.split("<!-- codes -->")[1].split("<!-- /codes -->")[0]
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \|", table, re.MULTILINE)
    assert dict(rows) == {code: str(status) for code, status in _statuses().items()}
    assert len(rows) == len(_statuses())


def _codes() -> set[str]:
    return set(_statuses())


def _statuses() -> dict[str, int]:
    every = [one for _, one in inspect.getmembers(errors, inspect.isclass) if issubclass(one, AuthError)]
    return {one.code: one.status for one in every}
