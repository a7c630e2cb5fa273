"""What an application may choose about its pages."""

import re
from dataclasses import dataclass

from asyncauth.admin import SelfService
from asyncauth.errors import ConfigurationError

_URL = re.compile(r"(?:https?://[^\s\\/]+)?/(?![/\\])[^\s\\]*|https?://[^\s\\/]+")
_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~-]+)*")
MAX_PAGE_SIZE = 200


@dataclass(frozen=True, slots=True)
class PageOptions:
    """How the pages look from outside.

    Raises:
        ConfigurationError: a URL, the prefix or the page size cannot be used.
    """

    title: str = "asyncauth"
    """Stands at the top of every page, and in the title of the window."""
    home_url: str | None = None
    """Where the title leads, and a login that came from nowhere: a path, or a URL with http or https. None: the front
    page of these pages."""
    after_logout_url: str | None = None
    """Where a logout leads. None: the login page."""
    prefix: str = ""
    """What stands before the path of every page, where the routes are not mounted below a path already: `/auth`."""
    page_size: int = 25
    """Rows of one page of users or roles."""
    framed: bool = False
    """Whether pages of the same origin may show these in a frame, as Airflow's UI does. Other origins never may."""
    self_service: SelfService | None = None
    """What people may do for themselves: register, replace a forgotten password. None: nothing."""

    def __post_init__(self) -> None:
        for name in ("home_url", "after_logout_url"):
            url: str | None = getattr(self, name)
            if url is not None and not (_URL.fullmatch(url) and url.isprintable()):
                raise ConfigurationError(f"{name} of the pages has to be a path like `/home`, or a URL with https")
        if not _PREFIX.fullmatch(self.prefix):
            raise ConfigurationError("prefix of the pages has to be a path like `/auth`, without a slash at its end")
        if not 1 <= self.page_size <= MAX_PAGE_SIZE:
            raise ConfigurationError(f"page_size of the pages has to be 1 to {MAX_PAGE_SIZE}")
