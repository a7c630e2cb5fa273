"""A worker process of its own: a started manager that answers what it is asked, line by line, until its input ends.

`python -m tests.faults.feed.worker` reads a JSON object with the settings first. Then each line is the id of a user,
answered with `STATUS GRANTED`: 200 and whether the user may read what `World` moves and `OWN[0]`; 401 or 503. The
line `write ROLE ROLE PERMISSION HOLDER OTHER` makes it write for ever: one transaction of `World.swap` after the other;
with `halfway` in place of `write` it says so after the first statement of one, and stays there.
"""

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from anyio import to_thread
from sqlalchemy.ext.asyncio import AsyncConnection

from asyncauth import AuthError, AuthManager, Settings
from tests.faults.feed.world import OWN, World, allows


async def answer(auth: AuthManager, user_id: int) -> str:
    """What a web server would say."""
    try:
        user = await auth.get_user(user_id)
    except AuthError as error:
        return f"{error.status} False"
    return f"200 {allows(user, OWN[0])}"


async def write(auth: AuthManager, how: str, numbers: list[int]) -> None:
    """Swap without a pause, or for ever in the middle of one."""
    first, second, permission, holder, other = numbers
    world = World(holder, other, (first, second), permission, (0, 0))

    async def half(connection: AsyncConnection) -> None:
        await world.move_permission(connection)
        print("halfway", flush=True)
        await asyncio.Event().wait()

    while True:
        await auth.write(half if how == "halfway" else world.swap)
        print("written", flush=True)


async def main() -> None:
    """Answer."""
    lines = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), sys.stdin
    )
    settings = json.loads(await lines.readline())
    async with AuthManager(Settings(**settings)) as auth:
        print("started", flush=True)
        while line := (await lines.readline()).decode().split():
            if line[0] in {"write", "halfway"}:
                await write(auth, line[0], [int(number) for number in line[1:]])
            print(await answer(auth, int(line[0])), flush=True)
    transport.close()


class Worker:
    """The process, seen from a test. Ends with the block, however it fares."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings.model_dump(exclude_unset=True) | {"jwt_secret": settings.jwt_secret}

    async def __aenter__(self) -> Self:
        self._process = await to_thread.run_sync(self._start)
        await self.say(json.dumps(self._settings))
        assert await self.hear() == "started"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.kill()
        await to_thread.run_sync(self._process.communicate)

    async def say(self, line: str) -> None:
        """Give it a line."""
        assert self._process.stdin is not None
        await to_thread.run_sync(self._process.stdin.write, line + "\n")
        await to_thread.run_sync(self._process.stdin.flush)

    async def hear(self) -> str:
        """Its next line; empty: it has ended."""
        assert self._process.stdout is not None
        return (await to_thread.run_sync(self._process.stdout.readline)).strip()

    async def ask(self, user_id: int) -> str:
        """Its answer."""
        await self.say(str(user_id))
        return await self.hear()

    def send(self, what: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(what)

    def _start(self) -> "subprocess.Popen[str]":
        pipe: Any = subprocess.PIPE
        command = [sys.executable, "-m", __name__]
        root = Path(__file__).parents[3]
        return subprocess.Popen(command, cwd=root, stdin=pipe, stdout=pipe, text=True)


if __name__ == "__main__":
    asyncio.run(main())
