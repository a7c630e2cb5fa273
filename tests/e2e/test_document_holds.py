"""schemathesis against the OpenAPI document that the running server gives away: whatever the document allows or
forbids, in single requests and in chains of them, is answered as the document says, and never with a 5xx."""

import json
import os
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from asyncauth import AuthManager, Settings, admin
from asyncauth.db.migrate import upgrade
from asyncauth.db.seed import seed
from tests.conftest import NAME, PATIENCE_SECONDS, SECRET
from tests.e2e.test_serve import serving
from tests.managers import running

CHEAP = """
from asyncauth import passwords
passwords.DEFAULT_SCHEME = passwords.Scheme("scrypt:16:1:1", n=16, r=1, p=1)
from asyncauth.cli import main
main()
"""
"""`asyncauth` with password hashes that cost next to nothing, which no setting allows."""
EXAMPLES = 2
"""Of each kind for each operation; those that cover each boundary of the schema come as well."""
SECONDS = 240
"""In place of that, with full numbers."""
LEEWAY_SECONDS = 300
SEED = 20_260_101
"""The same requests in each run of `make test`; `make test-all` draws others each time."""

CONFIGURATION = """
[checks.positive_data_acceptance]
# 400: a name that no database stores, or that nobody has; which ones, no schema says
expected-statuses = ["2xx", "3xx", 400, 401, 403, 404, 409, 412, 429, "5xx"]
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """For a database with an administrator."""
    url = f"sqlite+aiosqlite:///{tmp_path}/auth.db"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ASYNCAUTH_")}
    return inherited | {
        "ASYNCAUTH_DATABASE_URL": url,
        "ASYNCAUTH_JWT_SECRET": SECRET,
        "ASYNCAUTH_JWT_ISSUER": NAME,
        "ASYNCAUTH_JWT_AUDIENCE": NAME,
        "ASYNCAUTH_JWT_LEEWAY_SECONDS": str(LEEWAY_SECONDS),
        "ASYNCAUTH_API_KEY_SECRET": "k" * 32,
        "ASYNCAUTH_DATABASE_TIMEOUT_SECONDS": str(PATIENCE_SECONDS),
        "ASYNCAUTH_PASSWORD_QUEUE_SECONDS": str(PATIENCE_SECONDS),
    }


def make_administrator(url: str) -> str:
    """Tables, roles and an administrator; a token."""
    settings = Settings(
        database_url=url, jwt_secret=SECRET, jwt_issuer=NAME, jwt_audience=NAME, jwt_leeway_seconds=LEEWAY_SECONDS
    )

    async def make() -> str:
        await upgrade(url)
        await seed(url, {})
        async with AuthManager(settings) as auth:
            root = await admin.create_user(auth, username="root", password=None, email="r@example.org", roles=["Admin"])
            # From the future: no cut-off of the next minutes ends it, whatever the requests do to its owner.
            return running(auth).issuer.issue(root.value.id, auth.now(), issued_at=int(auth.now()) + LEEWAY_SECONDS - 5)

    return anyio.run(make)


def test_the_document_holds(environment: dict[str, str], tmp_path: Path, *, full: bool) -> None:
    token = make_administrator(environment["ASYNCAUTH_DATABASE_URL"])
    report = tmp_path / "report.json"
    (tmp_path / "schemathesis.toml").write_text(CONFIGURATION)
    with serving(environment, program=("-c", CHEAP)) as client:
        command = [
            *(sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()", "run"),
            f"{client.base_url}/auth/openapi.json",
            *("--header", f"Authorization: Bearer {token}"),
            *("--checks", "all", "--phases", "examples,coverage,fuzzing,stateful", "--continue-on-failure"),
            *(("--max-time", str(SECONDS)) if full else ("--max-examples", str(EXAMPLES), "--seed", str(SEED))),
            # A busy machine is no mistake in the document.
            *("--suppress-health-check", "too_slow", "--request-timeout", "60"),
            *("--report", "json", "--report-json-path", str(report), "--generation-database", "none"),
        ]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        afterwards = client.get("/auth/v1/audit", headers={"Authorization": f"Bearer {token}"})
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(report.read_text())
    assert found["operations"]["tested"] == found["operations"]["selected"] > 30
    assert afterwards.status_code == 200, afterwards.text  # whoever asked could do something to the end
    assert afterwards.json()["total_entries"] > 50
