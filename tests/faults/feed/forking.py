"""A process with a started manager that forks: what the child has, and what the parent has afterwards.

Reads a JSON object with the settings and a user; says whether that one may read `OWN[0]`; forks at the next line.
"""

import asyncio
import json
import os
import sys

from asyncauth import AuthManager, Settings, close_auth_manager, create_auth_manager, get_auth_manager
from asyncauth.errors import AuthError
from tests.faults.feed.world import OWN, may
from tests.managers import poll


async def read(settings: Settings, user: int) -> bool:
    """With a manager of this process and loop."""
    auth = await create_auth_manager(settings)
    return await may(auth, user, OWN[0])


async def in_child(settings: Settings, user: int) -> None:
    """The child's loop."""
    try:
        get_auth_manager()
    except AuthError:
        print("child: no manager", flush=True)
    print(f"child: {await read(settings, user)}", flush=True)
    await close_auth_manager()


def fork(settings: Settings, user: int) -> int:
    """Run the child to its end; its exit status."""
    child = os.fork()
    if child == 0:
        asyncio.events._set_running_loop(None)  # the fork happened inside the parent's
        try:
            asyncio.run(in_child(settings, user))
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


async def say(auth: AuthManager, user: int) -> None:
    """What the parent knows after a look."""
    await poll(auth)
    print(f"parent: {await may(auth, user, OWN[0])}", flush=True)


async def main() -> int:
    """The parent's loop."""
    told = json.loads(sys.stdin.readline())
    settings, user = Settings(**told["settings"]), told["user"]
    print(await read(settings, user), flush=True)
    auth = get_auth_manager()
    sys.stdin.readline()
    status = fork(settings, user)
    for _ in range(2):
        await say(auth, user)
    await close_auth_manager()
    return status


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
