"""`asyncauth db` as an operator runs it: its output and its exit code."""

from pathlib import Path

import pytest
from sqlalchemy import make_url

import asyncauth.cli
from tests.commands import Done, run_here
from tests.databases import Database
from tests.servers.find import free_port

HIDDEN = "a-password-nobody-may-see"


def run(*arguments: str, **environment: str) -> Done:
    """Run the command to its end."""
    done = run_here(*arguments, **environment)
    assert HIDDEN not in done.stderr + done.stdout
    return done


def failure(*arguments: str, **environment: str) -> str:
    """The one sentence of a command that fails."""
    process = run(*arguments, **environment)
    assert (process.returncode, process.stdout, process.stderr.count("\n")) == (1, "", 1)
    return process.stderr.removeprefix("asyncauth: ").strip()


@pytest.mark.parametrize("backend", ["sqlite+aiosqlite", "postgresql+asyncpg"], indirect=True)
def test_the_life_of_a_database(empty_database: Database) -> None:
    environment = {"ASYNCAUTH_DATABASE_URL": empty_database.url}
    assert failure("db", "current", **environment) == "the database has no asyncauth tables: run asyncauth db upgrade"
    before = run("db", "check", **environment)
    assert (before.returncode, before.stderr) == (1, "")
    assert "WRONG  there are no asyncauth tables: run asyncauth db upgrade\n" in before.stdout
    first = run("db", "upgrade", **environment)
    assert (first.returncode, first.stdout, first.stderr) == (0, "the tables have been upgraded\n", "")
    second = run("db", "upgrade", "--database-url", empty_database.sync_url)
    assert (second.returncode, second.stdout, second.stderr) == (0, "there was nothing to upgrade\n", "")
    current = run("db", "current", **environment)
    assert (current.returncode, current.stdout, current.stderr) == (0, "0004\n", "")
    after = run("db", "check", **environment)
    assert (after.returncode, after.stderr) == (0, "")
    assert {line.split()[0] for line in after.stdout.splitlines()} == {"ok"}


def test_the_url_may_stand_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "url"
    path.write_text(f"sqlite:///{tmp_path}/auth.db\n", encoding="utf-8")
    assert run("db", "upgrade", ASYNCAUTH_DATABASE_URL_FILE=str(path)).returncode == 0
    assert (tmp_path / "auth.db").exists()
    assert "cannot be read" in failure("db", "upgrade", ASYNCAUTH_DATABASE_URL_FILE=str(tmp_path / "nowhere"))


def test_the_argument_goes_before_the_environment(tmp_path: Path) -> None:
    process = run("db", "upgrade", "--database-url", f"sqlite:///{tmp_path}/auth.db", ASYNCAUTH_DATABASE_URL="odd")
    assert process.returncode == 0
    assert (tmp_path / "auth.db").exists()


def test_other_settings_are_not_needed_nor_read(tmp_path: Path) -> None:
    environment = {"ASYNCAUTH_DATABASE_URL": f"sqlite:///{tmp_path}/auth.db", "ASYNCAUTH_POLL_INTERVAL_SECONDS": "odd"}
    assert run("db", "upgrade", **environment).returncode == 0


@pytest.mark.parametrize("arguments", [("db", "check"), ("odd",), ("db", "check", "--odd")])
def test_wrong_usage(arguments: tuple[str, ...]) -> None:
    process = run(*arguments)
    assert process.returncode == 2
    assert "Usage: asyncauth" in process.stderr + process.stdout


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        (f"oracle://ada:{HIDDEN}@h/d", "use one of postgresql+asyncpg://"),
        (f"postgresql+asyncpg//ada:{HIDDEN}@h/d", "the database URL cannot be read"),
        (f"postgresql+asyncpg://ada:{HIDDEN}@h/d?sslmode=require", "has the parameter sslmode"),
        (f"postgresql+asyncpg://ada:{HIDDEN}@127.0.0.1:{free_port()}/d", "cannot reach the database d at 127.0.0.1"),
    ],
)
def test_what_cannot_work_is_one_sentence(url: str, sentence: str) -> None:
    assert sentence in failure("db", "upgrade", "--database-url", url)


@pytest.mark.parametrize("backend", ["mysql+aiomysql"], indirect=True)
def test_a_wrong_password_is_one_sentence(empty_database: Database) -> None:
    url = make_url(empty_database.url).set(password=HIDDEN).render_as_string(hide_password=False)
    assert "refuses the user" in failure("db", "upgrade", ASYNCAUTH_DATABASE_URL=url)
    checked = run("db", "check", ASYNCAUTH_DATABASE_URL=url)
    assert (checked.returncode, checked.stdout.count("\n"), checked.stderr) == (1, 1, "")
    assert checked.stdout.startswith("WRONG  ")


def test_the_statements_can_be_printed_without_a_database() -> None:
    url = f"postgresql+asyncpg://ada:{HIDDEN}@127.0.0.1:{free_port()}/d"
    empty = run("db", "upgrade", "--sql", "--database-url", url)
    assert (empty.returncode, empty.stderr) == (0, "")
    assert "CREATE TABLE ab_user " in empty.stdout
    adopted = run("db", "upgrade", "--sql", "--adopt", "--database-url", url)
    assert "CREATE TABLE asyncauth_feed " in adopted.stdout
    assert "CREATE TABLE ab_" not in adopted.stdout


def test_typer_is_asked_for_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncauth.cli, "find_spec", lambda _name: None)
    with pytest.raises(SystemExit, match=r"needs typer: pip install 'asyncauth\[cli\]'"):
        asyncauth.cli.main()


def test_seeding_with_roles_of_ones_own(tmp_path: Path) -> None:
    url = {"ASYNCAUTH_DATABASE_URL": f"sqlite:///{tmp_path}/auth.db"}
    assert "no SQLite file" in failure("db", "seed", **url)
    run("db", "upgrade", **url)
    assert run("db", "seed", **url).stdout == "made 5 roles, 105 permissions, 258 grants\n"
    path = tmp_path / "roles.json"
    path.write_text('{"Auditor": [{"action": "can_read", "resource": "Books"}]}', encoding="utf-8")
    made = run("db", "seed", "--custom-roles", str(path), **url)
    assert made.stdout == "made 1 role, 1 permission, 3 grants\n"
    assert run("db", "seed", ASYNCAUTH_CUSTOM_ROLES_FILE=str(path), **url).stdout == "there was nothing to seed\n"
    assert "custom roles are written" in failure("db", "seed", ASYNCAUTH_CUSTOM_ROLES="[]", **url)
    assert "cannot be read" in failure("db", "seed", "--custom-roles", str(tmp_path / "no"), **url)
