"""One worker: a manager in a process of its own, asked for decisions all the time. Started by `bench.fresh.crew`."""

import asyncio
import contextlib
import json
import logging
import os
import struct
import sys
import time
from array import array
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event

from asyncauth import AuthManager
from asyncauth.db.feed import Record
from asyncauth.errors import RevokedTokenError, UnauthenticatedError, UnavailableError
from bench.fresh.lines import follow_orders, say
from bench.fresh.plan import ACTION, Plan, WorkerOrder
from bench.parts import following

REFUSED, GRANTED, UNKNOWN, FAILED = range(4)
"""Answers: no (or nobody), yes, cannot know just now, and what must not happen."""
CAPACITY_SECONDS = 0.5
AHEAD_SECONDS = 0.005
LATE_CHANGE = 10
LOAD = "load"
"""Where statements of tasks without a name of their own are counted: async-lru's, which load."""
REQUEST = "request"
"""How the names of the tasks begin that ask."""
DATAGRAM = struct.Struct("<d")


class Recorder:
    """What was answered, and when."""

    def __init__(self, *, everything: bool) -> None:
        self.answers = Counter[int]()
        self.failures = Counter[str]()
        """What the answers FAILED were."""
        self.unavailable = Counter[str]()
        """Why answers were UNKNOWN."""
        self.ends: list[tuple[int, float, float]] = []
        """Subject, end of the last grant, end of the first refusal after it. Its end, since a request that had to load
        may begin before a commit and be refused because of it."""
        self.last_grant = self.last_grant_asked = 0.0
        self.unknown_after_grant = 0
        self._granted: dict[int, float] = {}
        self._everything = everything
        self.times = array("d")
        self.what = array("i")

    def failed(self, error: Exception) -> int:
        """Remember what must not happen."""
        self.failures[f"{type(error).__name__}: {error}"] += 1
        return FAILED

    def unknown(self, error: UnavailableError) -> int:
        """Remember why it could not be known."""
        self.unavailable[str(error)] += 1
        return UNKNOWN

    def note(self, subject: int, answer: int, start: float, end: float) -> None:
        """Remember one answer."""
        self.answers[answer] += 1
        if answer == GRANTED:
            self._granted[subject] = max(end, self._granted.get(subject, 0.0))
            self.last_grant, self.last_grant_asked = max(end, self.last_grant), max(start, self.last_grant_asked)
            self.unknown_after_grant = 0
        elif answer == REFUSED:
            granted = self._granted.pop(subject, None)
            if granted is not None:
                self.ends.append((subject, granted, end))
        else:
            self.unknown_after_grant += 1
        if self._everything:
            self.times.extend((start, end))
            self.what.extend((subject, answer))

    def write(self, log: Path) -> None:
        """Every single decision."""
        with log.open("wb") as file:
            self.times.tofile(file)
            self.what.tofile(file)


class Statements:
    """SQL statements of this process, by the task that sent them."""

    def __init__(self) -> None:
        self.by_task = Counter[str]()
        event.listen(Engine, "before_cursor_execute", self._note)

    def _note(self, *_: object) -> None:
        task = asyncio.current_task()
        name = task.get_name() if task is not None else "none"
        self.by_task[LOAD if name.startswith("Task-") else name] += 1


class Datagrams(asyncio.DatagramProtocol):
    """Notes how long the writer's datagrams take."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def datagram_received(self, data: bytes, addr: Any) -> None:  # noqa: ARG002
        """For the loop."""
        self.seconds.append(time.monotonic() - DATAGRAM.unpack(data)[0])


class Load:
    """Asks one manager, open loop: what could not be asked in time is asked late, and nothing is left out."""

    def __init__(self, auth: AuthManager, plan: Plan, recorder: Recorder, begin: float) -> None:
        self._auth = auth
        self._plan = plan
        self._recorder = recorder
        self._begin = begin
        self._number = 0
        self._recent = max(1, round(plan.watched_seconds / plan.interval_seconds))
        self._tokens = [auth.issue_token(subject) for subject in range(1, plan.subjects + 1)]
        self._waiting: dict[int, asyncio.Task[None]] = {}
        """By subject: a client that waits for its answer does not ask again."""

    async def warm(self) -> None:
        """Bring everybody into memory."""
        for token in self._tokens:
            await patiently(partial(self._auth.get_user_from_token, token))

    async def run(self, until: float, rate: float) -> int:
        """Ask `rate` times a second; returns how often."""
        began, asked = time.monotonic(), 0
        while (now := time.monotonic()) < until:
            early = began + asked / rate - now
            if early > 0:
                await asyncio.sleep(early)
            else:
                self.ask(now)
                asked += 1
                await asyncio.sleep(0)  # as a server does between two requests: let the loop look at its sockets
        if self._waiting:
            await asyncio.wait(self._waiting.values())
        return asked

    def ask(self, now: float) -> None:
        """One request."""
        subject = self._choose(now)
        if subject in self._waiting:
            return
        token = self._tokens[subject - 1]
        try:
            user = self._auth.find_user_from_token(token)
        except UnavailableError as error:
            answer = self._recorder.unknown(error)
        except RevokedTokenError:
            self._log_in(subject)
            return
        except Exception as error:  # noqa: BLE001 - counted, and must be none
            answer = self._recorder.failed(error)
        else:
            if user is None:
                self._ask_cold(subject, token, now)
                return
            answer = GRANTED if self._auth.decide(user, ACTION, f"bench:resource_{subject}") else REFUSED
        self._recorder.note(subject, answer, now, time.monotonic())

    def _log_in(self, subject: int) -> None:
        """Whoever is switched off loses the tokens, and needs another one later. That is no answer about a right."""
        self._tokens[subject - 1] = self._auth.issue_token(subject)

    def _choose(self, now: float) -> int:
        """Everybody by turns, and every second time somebody whose right has just changed."""
        self._number += 1
        turn = self._number // 2
        if self._number % 2 or now < self._begin:
            return turn % self._plan.subjects + 1
        latest = int((now - self._begin + AHEAD_SECONDS) / self._plan.interval_seconds)
        return self._plan.subject(max(0, min(latest, self._plan.changes - 1) - turn % self._recent))

    def _ask_cold(self, subject: int, token: str, start: float) -> None:
        task = asyncio.create_task(self._load(subject, token, start), name=f"{REQUEST}, not from memory")
        self._waiting[subject] = task
        task.add_done_callback(lambda _: self._waiting.pop(subject))

    async def _load(self, subject: int, token: str, start: float) -> None:
        try:
            user = await self._auth.get_user_from_token(token)
        except RevokedTokenError:
            self._log_in(subject)
            return
        except UnauthenticatedError:
            answer = REFUSED
        except UnavailableError as error:
            answer = self._recorder.unknown(error)
        except Exception as error:  # noqa: BLE001 - counted, and must be none
            answer = self._recorder.failed(error)
        else:
            answer = GRANTED if self._auth.decide(user, ACTION, f"bench:resource_{subject}") else REFUSED
        self._recorder.note(subject, answer, start, time.monotonic())


async def patiently(call: Callable[[], Awaitable[object]]) -> None:
    """Try until it can be done: before the beginning, a busy machine may take its time."""
    while True:
        with contextlib.suppress(UnavailableError):
            await call()
            return
        await asyncio.sleep(0.01)  # a refusal for want of proof gives the follower no turn to bring one


def plant(auth: AuthManager, late_seconds: float) -> None:
    """A bug: one change is applied late, whoever brings it."""
    users = auth._running.users  # type: ignore[union-attr]
    learn, seen, hidden = users.learn, 0, set[int]()

    def learn_late(records: Iterable[Record]) -> None:
        nonlocal seen
        for record in records:
            seen += 1
            if seen == LATE_CHANGE:
                hidden.add(record.id)
                loop = asyncio.get_running_loop()
                loop.call_later(late_seconds, hidden.clear)
                loop.call_later(late_seconds, learn, [record])
            if record.id not in hidden:
                learn([record])

    users.learn = learn_late  # type: ignore[method-assign]
    users.suspect = lambda _kind, _item: None  # type: ignore[method-assign]  # or the announcement would drop it in time


async def work(order: WorkerOrder) -> None:
    """Start, tell the port, measure, wait for the beginning, ask, tell what was seen."""
    given = following(order.url, order.settings)
    datagrams, statements = Datagrams(), Statements()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: datagrams, local_addr=("127.0.0.1", 0))
    auth = AuthManager(given)
    await patiently(auth.start)
    async with auth:
        capacity = 0.0
        recorder = Recorder(everything=order.log is not None)
        async for command, value in follow_orders(transport.get_extra_info("sockname")[1]):
            if command == "measure":
                capacity = await _capacity(auth, order.plan)
                say(capacity)
            else:
                load = Load(auth, order.plan, recorder, value)
                if order.late_seconds:
                    plant(auth, order.late_seconds)
                rate = order.decisions_per_second or (1e9 if order.saturated else capacity / 2)
                _this_task().set_name(f"{REQUEST}s")
                await asyncio.sleep(max(0.0, value - 0.1 - time.monotonic()))
                statements.by_task.clear()
                began = time.monotonic()
                asked = await load.run(value + order.plan.seconds, rate)
                break
        seconds = time.monotonic() - began
        status = asdict(auth.status())
    transport.close()
    if order.log is not None:
        recorder.write(Path(order.log))
    say(
        json.dumps(
            {
                "capacity": capacity,
                "rate": asked / seconds,
                "seconds": seconds,
                "answers": [recorder.answers[answer] for answer in range(4)],
                "failures": dict(recorder.failures),
                "unavailable": dict(recorder.unavailable),
                "ends": recorder.ends,
                "last_grant": recorder.last_grant,
                "last_grant_asked": recorder.last_grant_asked,
                "unknown_after_grant": recorder.unknown_after_grant,
                "statements": dict(statements.by_task),
                "datagrams": datagrams.seconds,
                "status": status,
            }
        )
    )


def _this_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task


async def _capacity(auth: AuthManager, plan: Plan) -> float:
    """Decisions a second when nothing else is done: of users in memory, each in a pass of the loop of its own."""
    load = Load(auth, plan, Recorder(everything=False), time.monotonic() + 3600)
    await load.warm()
    return await load.run(time.monotonic() + CAPACITY_SECONDS, 1e9) / CAPACITY_SECONDS


def main() -> None:
    """Read the order from the first line of the input."""
    order = WorkerOrder.load(sys.stdin.readline())
    logging.disable(logging.ERROR)  # trouble is made on purpose, and counted
    if order.cores:
        os.sched_setaffinity(0, order.cores)
    if order.uvloop:
        import uvloop

        uvloop.run(work(order))
    else:
        asyncio.run(work(order))


if __name__ == "__main__":
    main()
