"""Runs the code of a page from top to bottom, in a folder of its own, and compares what it prints."""

import ast
import asyncio
import json
import os
import re
import secrets
import shlex
import subprocess
import sys
import time
import tomllib
from contextlib import ExitStack, redirect_stdout
from inspect import CO_COROUTINE
from io import StringIO
from pathlib import Path
from types import ModuleType
from typing import Any

from asyncauth import close_auth_manager, create_auth_manager
from asyncauth.testing import add_user, memory_settings
from tests.airflow.process import FAB
from tests.conftest import PATIENCE_SECONDS
from tests.databases import FULL
from tests.e2e.page_code import Block, PageError, matches
from tests.e2e.page_place import Server, airflow_on_path, make_programs, same_process_afterwards
from tests.waiting import GIVE_UP_SECONDS

COMMAND_SECONDS = 240.0
PROMPTS = 20
"""More than any block has."""
_ADDRESS = re.compile(r"(?:127\.0\.0\.1|localhost):8000")
_API_KEY_SECRET = "of the pages, and of nothing else at all"


class PageRunner:
    """One page under way. `with PageRunner(folder, commands) as page: page.run(block)`."""

    def __init__(self, folder: Path, commands: Path) -> None:
        self.folder = folder / "page"
        self._module = ModuleType("page")
        self.names: dict[str, Any] = self._module.__dict__
        self._state = folder / "state"
        self._commands = commands
        self._printed = ""
        self._server = Server(folder / "state" / "server.log")
        self._unused: dict[str, str] = {}
        self._skipped = ""
        """Why the rest of the page is not run; empty: it is."""
        self._life = ExitStack()
        self._loop = asyncio.Runner()

    def __enter__(self) -> "PageRunner":
        for folder in (self.folder, self._state):
            folder.mkdir()
        self._life.enter_context(same_process_afterwards(self.folder))
        self._life.enter_context(self._loop)
        self._life.callback(self._server.stop)
        programs = make_programs(self._state / "bin", self._commands)
        os.environ |= {
            "PATH": f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "NO_COLOR": "1",
            "TERM": "dumb",
            "COLUMNS": "120",
            # No reader's machine is as busy as that of the tests.
            "ASYNCAUTH_DATABASE_TIMEOUT_SECONDS": str(PATIENCE_SECONDS),
            "AIRFLOW__ASYNCAUTH__DATABASE_TIMEOUT_SECONDS": str(PATIENCE_SECONDS),
        }
        os.chdir(self.folder)
        sys.modules["page"] = self._module  # pydantic looks names up there
        sys.path.insert(0, str(self.folder))
        return self

    def __exit__(self, *_: object) -> None:
        self._life.close()

    def run(self, block: Block) -> None:
        """Do with a block what it is there for.

        Raises:
            PageError: it does not do what the page says.
        """
        markers = block.markers
        if "prepared" in markers:
            self._prepare(markers["prepared"])
        if reason := self._skipped or markers.get("shown"):
            print(f"{block.where}: not run: {reason}")
        elif "file" in markers:
            self._write(block)
        elif "output" in markers:
            self._compare(block, block.code, self._printed)
        elif block.language == "python":
            self._check_end(block, *self._run_python(block))
        elif block.language == "bash":
            self._run_bash(block)
        elif block.language == "console" and "eventually" in markers:
            self._repeat_console(block)
        elif block.language == "console":
            self._run_console(block)
        elif block.language in ("json", "toml"):
            {"json": json.loads, "toml": tomllib.loads}[block.language](block.code)

    def finish(self) -> None:
        """Raises PageError: a file was written that no block has used."""
        if self._unused:
            name, where = self._unused.popitem()
            raise PageError(f"{where}: no later block names {name}, so nothing has shown that it works")

    # ── kinds ──

    def _prepare(self, what: str) -> None:
        if what in ("airflow", "fab"):
            self._prepare_airflow(fab=what == "fab")
            return
        if what not in ("database", "auth"):
            raise PageError(f"nothing is prepared under the name {what!r}: choose from database, auth, airflow, fab")
        made = memory_settings(export=True, refresh_tokens=True, api_key_secret=_API_KEY_SECRET)
        settings = self._life.enter_context(made)

        async def seed() -> None:
            auth = await create_auth_manager(settings)
            roles = {"Viewer": [("can_read", "DAG:etl")]}
            await add_user(auth, "ada", password="correct horse", roles=roles)
            if what == "auth":
                self.names["auth"] = auth
            else:
                await close_auth_manager()

        self._life.callback(lambda: self._loop.run(close_auth_manager()))
        self._loop.run(seed())

    def _prepare_airflow(self, *, fab: bool) -> None:
        if fab and not FULL:
            self._skipped = "Airflow with FAB takes so long that it is run with full numbers only"
            return
        programs = self._state / "bin"
        self._life.enter_context(airflow_on_path(programs, self._state / "airflow", fab=fab))
        if fab:
            os.environ |= {
                "AIRFLOW_HOME": str(self.folder),
                "AIRFLOW__CORE__AUTH_MANAGER": FAB,
                "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
                "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_urlsafe(64),
            }
            for command in ("airflow db migrate", "airflow sync-perm"):
                _, error = self._shell(command)
                assert error is None, f"{command}: {error}"

    def _write(self, block: Block) -> None:
        name = block.markers["file"]
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.code, encoding="utf-8")
        if path.suffix == ".py":
            compile(block.code, name, "exec")
            self._unused[name] = block.where

    def _run_python(self, block: Block) -> tuple[str, str | None]:
        self._note_use(block.code)
        source = "\n" * block.line + self._with_port(block.code)
        printed = StringIO()
        try:
            code = compile(source, block.where.rpartition(":")[0], "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            with redirect_stdout(printed):
                if code.co_flags & CO_COROUTINE:
                    self._loop.run(eval(code, self.names))  # noqa: S307 - our own pages
                else:
                    exec(code, self.names)  # noqa: S102
        except Exception as error:
            if "fails" not in block.markers:
                raise
            return printed.getvalue(), f"{type(error).__name__}: {error}"
        return printed.getvalue(), None

    def _run_bash(self, block: Block) -> None:
        code = block.code
        if "serve" not in block.markers:
            self._check_end(block, *self._shell(code, typed=block.markers.get("typed")))
            return
        *first, command = code.strip().splitlines()
        if first:
            self._check_end(block, *self._shell("\n".join(first)))
        self._note_use(command)
        self._server.start(command.partition(" #")[0], block.where)

    def _run_console(self, block: Block) -> None:
        commands = re.split(r"^\$ ", block.code, flags=re.MULTILINE)
        if commands[0].strip() or len(commands) == 1:
            raise PageError(f"{block.where}: a console block begins with a command: $ …")
        for text in commands[1:]:
            lines = text.splitlines()
            length = next(index for index, line in enumerate(lines, 1) if not line.endswith("\\"))
            printed, error = self._shell("\n".join(lines[:length]), merged=True)
            if text is commands[-1] or error is not None:
                self._check_end(block, printed, error)
            self._compare(block, "\n".join(lines[length:]), printed)

    def _repeat_console(self, block: Block) -> None:
        give_up = time.monotonic() + GIVE_UP_SECONDS
        while True:
            try:
                self._run_console(block)
            except PageError:
                if time.monotonic() > give_up:
                    raise
            else:
                return

    # ── means ──

    def _check_end(self, block: Block, printed: str, error: str | None) -> None:
        self._printed = printed
        wanted = block.markers.get("fails")
        if wanted is None and error is not None:
            raise PageError(f"{block.where}: {error}\n{printed}")
        if wanted is not None and (error is None or wanted not in error):
            raise PageError(f"{block.where}: should fail with {wanted!r}, but {error or 'it did not fail'}\n{printed}")

    def _compare(self, block: Block, expected: str, printed: str) -> None:
        port = self._server.port
        told = printed.replace(f"127.0.0.1:{port}", "127.0.0.1:8000") if port else printed
        if not matches(_ADDRESS.sub("127.0.0.1:8000", expected), told):
            raise PageError(f"{block.where}: the page says\n{expected}\nbut it printed\n{told}")

    def _note_use(self, code: str) -> None:
        for name in list(self._unused):
            if re.search(rf"\b{re.escape(Path(name).stem)}\b|\bpytest\b", code):
                del self._unused[name]

    def _with_port(self, code: str) -> str:
        return _ADDRESS.sub(f"127.0.0.1:{self._server.port}", code) if self._server.port else code

    def _shell(self, code: str, *, merged: bool = False, typed: str | None = None) -> tuple[str, str | None]:
        self._note_use(code)
        state = shlex.quote(str(self._state))
        script = f"set -euo pipefail\n{self._with_port(code)}\nenv -0 > {state}/environment; pwd > {state}/folder"
        done = subprocess.run(
            ["bash", "-c", script],
            input="" if typed is None else f"{typed}\n" * PROMPTS,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if merged else subprocess.PIPE,
            check=False,
            text=True,
            timeout=COMMAND_SECONDS,
        )
        if done.returncode:
            return done.stdout, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr or ''}"
        pairs = (self._state / "environment").read_text().split("\0")
        os.environ.update((name, value) for name, _, value in (pair.partition("=") for pair in pairs if pair))
        os.chdir((self._state / "folder").read_text().strip())
        return done.stdout, None
