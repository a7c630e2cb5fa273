"""The commands of operators as they run them: their output and their exit codes, mistakes included."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from asyncauth import passwords
from asyncauth.passwords import Scheme
from tests.commands import Done, run_here
from tests.conftest import NAME, PATIENCE_SECONDS, SECRET
from tests.servers.redis import Redis

PASSWORD = "a-password-nobody-may-see"
Run = Callable[..., Done]


@pytest.fixture
def backend() -> str:
    """In place of all backends."""
    return "sqlite+aiosqlite"


@pytest.fixture(autouse=True)
def _cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "DEFAULT_SCHEME", Scheme("scrypt:16:1:1", n=16, r=1, p=1))


@pytest.fixture
def environment(database_url: str) -> dict[str, str]:
    """For a database with tables."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ASYNCAUTH_")}
    return inherited | {
        "ASYNCAUTH_DATABASE_URL": database_url,
        "ASYNCAUTH_JWT_SECRET": SECRET,
        "ASYNCAUTH_JWT_ISSUER": NAME,
        "ASYNCAUTH_JWT_AUDIENCE": NAME,
        "ASYNCAUTH_DATABASE_TIMEOUT_SECONDS": str(PATIENCE_SECONDS),
    }


@pytest.fixture
def run(environment: dict[str, str]) -> Run:
    """Run a command to its end."""

    def call(line: str, code: int = 0, *, stdin: str = "", **more: str) -> Done:
        done = run_here(*line.split(), stdin=stdin, **environment | more)
        assert done.returncode == code, done.stderr + done.stdout
        assert PASSWORD not in done.stderr + done.stdout
        if code == 1 and not done.stdout:
            assert done.stderr.startswith("asyncauth: ")
            assert done.stderr.count("\n") == 1
        return done

    return call


def read(run: Run, line: str, **arguments: Any) -> Any:
    """What a command prints for programs."""
    return json.loads(run(f"{line} --output json", **arguments).stdout)


def test_from_an_empty_database_to_a_working_user(run: Run) -> None:
    """And the mistakes on the way."""
    assert "role" in run("users create -u ada -e ada@x.org -r Admin", 1, stdin=PASSWORD).stderr
    assert "made 5 roles, 105 permissions" in run("db seed").stdout
    assert run("db seed").stdout == "there was nothing to seed\n"
    assert "no password" in run("users create -u ada -e ada@x.org -r Admin", 1).stderr
    run("users create -u ada -e ada@x.org -r Admin -f Ada -l Lovelace", stdin=f"{PASSWORD}\n")
    assert "taken" in run("users create -u ADA -e other@x.org -r Admin", 1, stdin=PASSWORD).stderr
    run("users create -u bob -e bob@x.org -r Op --password x", 2)
    users = read(run, "users list")
    assert [(user["username"], user["roles"], user["active"]) for user in users] == [("ada", ["Admin"], True)]
    table = run("users list").stdout
    assert "ada@x.org" in table
    assert "Lovelace" in table


def test_users_and_their_roles(run: Run) -> None:
    run("db seed")
    run("users create -u ada -e ada@x.org -r Admin", stdin=PASSWORD)
    made = read(run, "users create -u bob -e bob@x.org -r Viewer --use-random-password")
    assert len(made["password"]) > 16
    run("users add-role -u BOB -r Op")
    run("users remove-role -e bob@x.org -r Viewer")
    run("users reset-password -e bob@x.org", stdin=PASSWORD)
    run("users deactivate -u bob")
    bob = read(run, "users list")[1]
    assert (bob["roles"], bob["active"]) == (["Op"], False)
    run("users activate -u bob")
    run("users end-tokens -u bob")
    run("users delete -u bob")
    assert len(read(run, "users list")) == 1
    for line in ("users delete -u ada", "users deactivate -u ada", "users remove-role -u ada -r Admin"):
        assert "nobody active would be left" in run(line, 1).stderr
    assert "does not exist" in run("users delete -u nobody", 1).stderr
    assert "nobody has the e-mail" in run("users delete -e nobody@x.org", 1).stderr
    assert "does not exist" in run("users add-role -u ada -r Nothing", 1).stderr
    for line in ("users delete", "users delete -u ada -e ada@x.org", "users odd", "users create -u ada"):
        run(line, 2)


def test_users_in_a_file(run: Run, tmp_path: Path) -> None:
    """In FAB's format, both ways; and again changes nothing."""
    run("db seed")
    run("users create -u ada -e ada@x.org -r Admin -f Ada -l Lovelace", stdin=PASSWORD)
    path = tmp_path / "users.json"
    run(f"users export {path}")
    ada = {
        "id": 1,
        "username": "ada",
        "email": "ada@x.org",
        "firstname": "Ada",
        "lastname": "Lovelace",
        "roles": ["Admin"],
    }
    assert json.loads(path.read_text()) == [ada]
    bob = {"username": "bob", "email": "bob@x.org", "firstname": "Bob", "lastname": "B", "roles": ["Op", "Viewer"]}
    path.write_text(json.dumps([ada | {"lastname": "King"}, bob]))
    assert read(run, f"users import {path}") == {"created": ["bob@x.org"], "updated": ["ada@x.org"]}
    assert read(run, f"users import {path}") == {"created": [], "updated": ["ada@x.org", "bob@x.org"]}
    users = read(run, "users list")
    assert [(user["last_name"], sorted(user["roles"])) for user in users] == [
        ("King", ["Admin"]),
        ("B", ["Op", "Viewer"]),
    ]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "is not of the form"),
        ("[{}]", "username"),
        ('[{"username": "b", "email": "b", "firstname": "", "lastname": "", "roles": ["Op"]}]', "email"),
        ('[{"username": "b", "email": "b@x", "firstname": "", "lastname": "", "roles": []}]', "roles"),
        ('[{"username": "b", "email": "b@x", "firstname": "", "lastname": "", "roles": ["No"]}]', "do not exist: No"),
        (
            '[{"username": "b", "email": "ada@x.org", "firstname": "", "lastname": "", "roles": ["Op"]}]',
            "is called ada",
        ),
    ],
)
def test_a_file_that_cannot_be_imported(run: Run, tmp_path: Path, text: str, complaint: str) -> None:
    run("db seed")
    run("users create -u ada -e ada@x.org -r Admin", stdin=PASSWORD)
    path = tmp_path / "users.json"
    path.write_text(text)
    assert complaint in run(f"users import {path}", 1).stderr
    assert len(read(run, "users list")) == 1
    assert "cannot be read" in run(f"users import {path}.no", 1).stderr


def test_roles(run: Run, tmp_path: Path) -> None:
    run("db seed")
    run("roles create Auditor Idle")
    assert "taken" in run("roles create Auditor", 1).stderr
    run("roles add-perms Auditor -r DAGs -r Jobs -a can_read -a menu_access")
    assert "'Odd' was not found" in run("roles add-perms Auditor -r Odd -a can_read", 1).stderr
    run("roles add-perms Auditor -r DAG:etl -a can_read --new-names")
    run("roles del-perms Auditor -r Jobs")
    path = tmp_path / "roles.json"
    run(f"roles export --pretty {path}")
    exported = [
        {"name": "Auditor", "resource": "DAG:etl", "action": "can_read"},
        {"name": "Auditor", "resource": "DAGs", "action": "can_read,menu_access"},
        {"name": "Idle", "resource": "", "action": ""},
    ]
    assert sorted(json.loads(path.read_text()), key=lambda row: (row["name"], row["resource"])) == exported
    run("roles delete Auditor Idle")
    assert "does not exist" in run("roles delete Viewer Idle", 1).stderr
    assert read(run, f"roles import {path}") == {"created": ["Auditor", "Idle"]}
    assert read(run, f"roles import {path}") == {"created": []}
    listed = read(run, "roles list")
    assert {role["name"] for role in listed} == {"Admin", "Auditor", "Idle", "Op", "Public", "User", "Viewer"}
    rows = [row for row in read(run, "roles list --permission") if row["name"] == "Auditor"]
    assert rows == exported[:2]


def test_groups_permissions_explain_and_audit(run: Run) -> None:
    run("db seed")
    run("users create -u ada -e ada@x.org -r Viewer", stdin=PASSWORD)
    assert "may not: " in run("explain ada can_edit DAGs", 1).stdout
    run("groups create staff --label Staff -r User")
    run("groups add-member staff -u ada")
    run("groups add-role staff -r Op")
    run("groups remove-role staff -r Op")
    assert read(run, "groups members staff") == [{"username": "ada"}]
    group = read(run, "groups list")[0]
    assert (group["name"], group["label"], group["roles"], group["members"]) == ("staff", "Staff", ["User"], 1)
    assert read(run, "explain ada can_edit DAGs")["allowed"] is True
    assert {"action": "can_edit", "resource": "DAGs"} in read(run, "permissions list -u ada")
    run("groups remove-member staff -u ada")
    run("groups delete staff")
    run("permissions create can_sign Books")
    assert {"action": "can_sign", "resource": "Books"} in read(run, "permissions list")
    run("permissions delete can_sign Books")
    run("permissions delete can_read DAGs", 1)
    records = read(run, "audit")
    assert {record["subject_kind"] for record in records} >= {"user", "group"}
    assert all(record["actor"].startswith("cli") for record in records if record["what"] != "seed")
    assert [record["subject"] for record in read(run, "audit --subject ada --what create")] == ["ada"]
    assert "staff" in run("audit").stdout


def test_tokens(run: Run) -> None:
    run("db seed")
    run("users create -u ada -e ada@x.org -r Viewer", stdin=PASSWORD)
    assert "no user" in run("token make nobody", 1).stderr
    token = run("token make ADA").stdout.strip()
    shown = read(run, "token show", stdin=token)
    assert (shown["accepted"], shown["user"], shown["claims"]["sub"]) == (True, "ada", "1")
    assert "ada" in run("token show", stdin=token).stdout
    assert read(run, "token revoke", stdin=token) == {"revoked": True}
    refused = read(run, "token show", code=1, stdin=token)
    assert (refused["accepted"], refused["code"]) == (False, "token_revoked")
    assert run("token show", 1, stdin="odd").stdout
    run("token revoke", 1, stdin="odd")
    run("token show", 1)
    run(f"token revoke {token}", 2)


def test_api_keys(run: Run) -> None:
    """The key works, is shown once, and ends."""
    run("db seed")
    run("users create -u ada -e ada@x.org -r Viewer", stdin=PASSWORD)
    assert "API keys are off" in run("api-keys create -u ada -n nightly", 1).stderr
    on = {"ASYNCAUTH_API_KEY_SECRET": "k" * 32}
    made = read(run, "api-keys create -u ADA -n nightly -s can_read:DAGs -s can_read:DAG:etl --expires-days 7", **on)
    whole = run("api-keys create -u ada -n whole", **on).stdout
    assert " ak_2_" in whole
    shown = read(run, "api-keys list", **on)
    assert [(row["id"], row["username"], row["name"], row["revoked_at"]) for row in shown] == [
        (1, "ada", "nightly", None),
        (2, "ada", "whole", None),
    ]
    assert [row["scopes"] for row in shown] == [["can_read:DAG:etl", "can_read:DAGs"], None]
    lives = [None if row["expires_at"] is None else row["expires_at"] - row["created_at"] for row in shown]
    assert lives in ([7 * 86_400, None], [7 * 86_400 - 1, None])  # a second may have begun in between
    assert read(run, "token show", stdin=made["key"], **on)["user"] == "ada"
    assert read(run, "api-keys revoke 1", **on) == {"id": 1}
    assert read(run, "token show", code=1, stdin=made["key"], **on)["code"] == "token_revoked"
    run("api-keys revoke 1", **on)
    table = run("api-keys list -u ada", **on).stdout
    assert "can_read:DAG:etl, can_read:DAGs" in table
    assert "all" in table
    for key in (made["key"], whole.split()[-1]):
        assert key.split("_", 2)[2] not in table
    for line in ("revoke 3", "list -u nobody", "create -u nobody -n x"):
        assert run(f"api-keys {line}", 1, **on).stderr
    for line in (
        "revoke x",
        "revoke",
        "create -u ada",
        "create -u ada -n x -s DAGs",
        "create -u ada -n x --expires-days 0",
    ):
        run(f"api-keys {line}", 2, **on)


def test_doctor_looks_at_redis(run: Run) -> None:
    """Whether it answers; never a word of the URL, which may hold a password."""
    run("db seed")
    server = Redis()
    server.start()
    try:
        url = server.url
        assert "Redis answers" in [row["what"] for row in read(run, "doctor", ASYNCAUTH_REDIS_URL=url)]
    finally:
        server.close()
    for wrong in (url.replace("//", f"//:{PASSWORD}@"), f"odd://{PASSWORD}"):
        found = [row for row in read(run, "doctor", code=1, ASYNCAUTH_REDIS_URL=wrong) if "Redis" in row["what"]]
        assert [(row["state"], "does not answer" in row["what"]) for row in found] == [("WRONG", True)]


def test_an_index_on_request(run: Run) -> None:
    run("db seed")
    assert run("db upgrade").stdout == "there was nothing to upgrade\n"
    assert run("db upgrade --add-indexes").stdout.endswith("the index has been added\n")
    assert run("db upgrade --add-indexes").stdout.endswith("there was no index to add\n")
    assert run("db upgrade --sql --add-indexes").stdout.endswith(" ON ab_user_role (role_id);\n")


def test_doctor(run: Run, tmp_path: Path) -> None:
    run("db seed")
    healthy = read(run, "doctor")
    assert {row["state"] for row in healthy} == {"ok", "note"}
    assert all(row["advice"] for row in healthy if row["state"] == "note")
    assert any("is ready" in row["what"] for row in healthy)
    key = tmp_path / "keys.json"
    run(f"keys generate --path {key}")
    key.chmod(0o644)
    by_keys = {"ASYNCAUTH_JWT_SECRET": "", "ASYNCAUTH_JWT_KEYS_PATH": str(key)}
    wrong = [row for row in read(run, "doctor", code=1, **by_keys) if row["state"] == "WRONG"]
    assert [row["advice"] for row in wrong] == [f"chmod go= {key}"]
    key.chmod(0o600)
    read(run, "doctor", **by_keys)
    unset = [row for row in read(run, "doctor", code=1, ASYNCAUTH_JWT_ISSUER="") if row["state"] == "WRONG"]
    assert "jwt_issuer" in unset[0]["what"]
    short = [row for row in read(run, "doctor", code=1, ASYNCAUTH_JWT_SECRET="short") if row["state"] == "WRONG"]
    assert "keys" in short[0]["what"]
    typo = {
        "what": "ASYNCAUTH_JWT_SECERT is no setting, and changes nothing",
        "advice": "is ASYNCAUTH_JWT_SECRET meant?",
    }
    assert {"state": "note", **typo} in read(run, "doctor", ASYNCAUTH_JWT_SECERT="x")
    missing = f"sqlite+aiosqlite:///{tmp_path}/nowhere.db"
    assert "WRONG" in run("doctor", 1, ASYNCAUTH_DATABASE_URL=missing).stdout
    run("doctor", 2, ASYNCAUTH_DATABASE_URL="")


def test_a_process_ends_as_documented(environment: dict[str, str]) -> None:
    """As an operator sees it: one sentence, no traceback, and completion for the shell."""
    command = [sys.executable, "-W", "error", "-m", "asyncauth"]

    def ended(*line: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*command, *line], env=environment, input="", capture_output=True, text=True, timeout=60, check=False
        )

    failed = ended("users", "delete", "-u", "nobody")
    assert (failed.returncode, failed.stdout, failed.stderr.count("\n")) == (1, "", 1)
    assert failed.stderr.startswith("asyncauth: ")
    environment |= {"_ASYNCAUTH_COMPLETE": "complete_bash", "COMP_WORDS": "asyncauth us", "COMP_CWORD": "1"}
    assert ended().stdout.split() == ["users"]
