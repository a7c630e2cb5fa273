"""Random users ask the real FabAuthManager and ours the same questions in one process: no disagreement."""

import json
import os
import secrets
import subprocess
from contextlib import closing
from pathlib import Path

from tests.airflow.process import find_python, sync_url
from tests.apiserver.conftest import OPTIONS, Worlds
from tests.apiserver.server import OURS, Home

PROGRAM = Path(__file__).with_name("differential.py")
KNOWN = {
    "we list the pages that we serve: users and roles",
    "FAB lists no DAG for the public role that it lets read single ones",
}
PUBLIC_ROLE = {"AIRFLOW__FAB__AUTH_ROLE_PUBLIC": "random 1"}
SEED = 20_260_101
"""The same questions in each run of `make test`; `make test-all` draws others each time."""
METHODS = 27
"""So many methods of an auth manager are asked."""


def test_decisions_are_the_same(worlds: Worlds, full: bool) -> None:
    """Thousands of random questions; the seed is in the output: `ASYNCAUTH_TEST_SEED` asks the same again."""
    seed = int(os.environ.get("ASYNCAUTH_TEST_SEED") or (secrets.randbelow(1 << 32) if full else SEED))
    questions = 100_000 if full else 5_000
    print(f"seed {seed}")
    with closing(Home()) as home:
        done = subprocess.run(
            [find_python(), str(PROGRAM), str(seed), str(questions)],
            cwd=home.path,
            env=home.environment(sync_url(worlds.copy("postgresql")), OURS, **OPTIONS | PUBLIC_ROLE),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr[-6000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["disagreements"][:20] == []
    assert set(found["known"]) <= KNOWN
    assert sum(found["asked"].values()) == questions
    assert len(found["asked"]) >= METHODS  # newer cores have more
    said_yes = [name for name, number in found["yes"].items() if number > 0]
    assert len(said_yes) > METHODS - 4  # there are no teams, and few people may do what is rare
    assert {"is_authorized_dag", "get_authorized_dag_ids", "batch_is_authorized_dag"} <= {*said_yes}
