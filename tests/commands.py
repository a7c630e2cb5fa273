"""Commands run to their end in this process: starting another one takes longer than most of them."""

import os
import sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from typing import NamedTuple
from unittest.mock import patch

from asyncauth.cli import main


class Done(NamedTuple):
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


def run_here(*arguments: str, stdin: str = "", **environment: str) -> Done:
    """Run `asyncauth`. Of the variables that it reads it sees those that are given, and no others."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ASYNCAUTH_")}
    out, err = StringIO(), StringIO()
    with (
        patch.dict(os.environ, inherited | environment, clear=True),
        patch.object(sys, "argv", ["asyncauth", *arguments]),
        patch.object(sys, "stdin", StringIO(stdin)),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        code = _exit_code()
    if isinstance(code, str):  # as Python does at the end of a process
        print(code, file=err)
    return Done(1 if isinstance(code, str) else code or 0, out.getvalue(), err.getvalue())


def _exit_code() -> int | str | None:
    try:
        main()
    except SystemExit as ended:
        return ended.code
    return 0
