"""What people do for themselves while nobody knows them yet: registering, and getting back in without their password.

Off unless an application says how messages are sent. Whoever asks learns nothing about who has an account with an
e-mail: the answer is the same, only what is sent to that e-mail differs.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal

from asyncauth.errors import ConfigurationError, InvalidValueError

log = logging.getLogger("asyncauth.admin")
Kind = Literal["confirm", "known", "reset"]
CONFIRM_PATH, RESET_PATH = "/register/activation/", "/resetpassword/link/"
_MAX_RECENT = 10_000


class LinkError(InvalidValueError):
    """The link was used, is too old, was replaced by a newer one, or never was one of ours."""

    code = "link"
    public_message = "the link is not valid any more: ask for a new one"


@dataclass(frozen=True, slots=True)
class Message:
    """What is to be sent to an e-mail."""

    kind: Kind
    """`confirm`: finish the registration. `known`: somebody, perhaps you, wanted to register, but you have an account.
    `reset`: choose a new password."""
    email: str
    username: str
    token: str | None = field(repr=False)
    """Proves that the e-mail arrived; None where there is nothing to do."""
    link: str | None = field(repr=False)
    """The page on which it is used."""


Send = Callable[[Message], Awaitable[None]]


class Recent:
    """What was done lately, in this process."""

    def __init__(self) -> None:
        self._times: dict[str, float] = {}

    def seen(self, what: str, now: float, seconds: float) -> bool:
        """Whether it was done within so many seconds; from now on it was."""
        last = self._times.pop(what, None)
        fresh = last is not None and 0 <= now - last < seconds
        self._times[what] = last if fresh and last is not None else now
        if len(self._times) > _MAX_RECENT:
            del self._times[next(iter(self._times))]
        return fresh


@dataclass(frozen=True, slots=True)
class SelfService:
    """What an application allows, and how it sends messages.

    Raises:
        ConfigurationError: the URL is none.
    """

    send: Send
    """Called after the answer; what it raises goes to the log."""
    url: str
    """Where the pages are, as people reach them: `https://example.com/auth`. Links begin with it; never with what a
    request says about its host, which anybody can write."""
    registration: bool = False
    recovery: bool = False
    """Whether a forgotten password can be replaced."""
    roles: tuple[str, ...] = ()
    """Of those who registered."""
    registration_seconds: int = 86_400
    recovery_seconds: int = 3600
    """How long links are good for."""
    resend_seconds: int = 60
    """An e-mail gets no second message of one kind within so many seconds, from one worker."""
    recent: Recent = field(default_factory=Recent, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.url.startswith(("https://", "http://")) or self.url.endswith("/") or not self.url.isprintable():
            raise ConfigurationError("url of the self-service has to be like https://example.com/auth")

    def message(self, kind: Kind, email: str, username: str, token: str | None = None) -> Message:
        """A message with its link."""
        path = CONFIRM_PATH if kind == "confirm" else RESET_PATH
        return Message(kind, email, username, token, None if token is None else f"{self.url}{path}{token}")

    async def deliver(self, message: Message | None, now: float) -> None:
        """Send a message, after the answer has gone out, so that nobody can tell by the time whether there was one."""
        if message is None or self.recent.seen(f"{message.kind} {message.email}", now, self.resend_seconds):
            return
        try:
            await self.send(message)
        except Exception:
            log.exception("a message of the kind %s could not be sent", message.kind)
