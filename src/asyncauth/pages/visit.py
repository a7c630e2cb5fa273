"""One request for a page: who visits, what they may, and how pages and links are made for them."""

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from asyncauth.admin import Actor
from asyncauth.errors import ConfigurationError, CredentialsMissingError, ForbiddenError, UnauthenticatedError
from asyncauth.manager import AuthManager
from asyncauth.model import User
from asyncauth.pages.areas import AREAS, Area
from asyncauth.pages.forms import (
    PURPOSE,
    TOKEN_FIELD,
    Form,
    FormTokenError,
    check_form_token,
    make_form_token,
    owner_of,
)
from asyncauth.pages.notices import NOTICES
from asyncauth.pages.options import PageOptions
from asyncauth.pages.problems import Problem
from asyncauth.pages.render import Renderer, make_headers
from asyncauth.pages.safe_next import PARAMETER, find_safe_path
from asyncauth.web.cookies import CookiePolicy
from asyncauth.web.gate import Gate, gate_of
from asyncauth.web.http import route_path

Handler = Callable[["Visit"], Awaitable[Response]]
LOGIN, LOGOUT = "/login/", "/logout/"


@dataclass(frozen=True, slots=True)
class Site:
    """What all pages of one app share."""

    options: PageOptions
    renderer: Renderer

    @property
    def headers(self) -> dict[str, str]:
        """Of every answer."""
        return make_headers(framed=self.options.framed)


@dataclass(slots=True)
class Visit:
    """See above. Handlers of forms call `check_form` before they do anything."""

    site: Site
    request: Request
    page: str
    """The path of the page, of those in `routes.PAGES`."""
    gate: Gate
    cookie: CookiePolicy
    token: str | None = None
    """Of the login; None: nobody is logged in."""
    user: User | None = None
    form: Form = field(default_factory=lambda: Form([]))
    checked: bool = False
    """Whether `check_form` has passed or refused the form."""
    _new_stranger: str | None = None

    @classmethod
    def begin(cls, site: Site, request: Request, page: str) -> "Visit":
        """Raises ConfigurationError: the app has no cookies."""
        gate = gate_of(request.scope)
        if gate.cookie is None:
            raise ConfigurationError("the pages need cookies: install(app, cookie=CookiePolicy())")
        secure = gate.cookie.secure or request.url.scheme == "https"
        return cls(site, request, page, gate, replace(gate.cookie, secure=secure))

    # ── who visits ──

    async def recognize(self) -> None:
        """Find out who it is.

        Raises:
            UnauthenticatedError, ForbiddenError, UnavailableError: see `Gate`. API keys are no logins.
        """
        token = self.cookie.find_token(self.request.scope)
        if token is None:
            raise CredentialsMissingError
        user = await self.gate.admit(token)
        if user.api_key_id is not None:
            raise CredentialsMissingError("an API key is no login")
        self.token, self.user = token, user

    @property
    def auth(self) -> AuthManager:
        """The manager."""
        return self.gate.manager

    @property
    def known_user(self) -> User:
        """Who visits. Raises CredentialsMissingError."""
        if self.user is None:
            raise CredentialsMissingError
        return self.user

    @property
    def actor(self) -> Actor:
        """Who asks for changes."""
        return Actor.of(self.known_user, self.address)

    @property
    def address(self) -> str | None:
        """Where the request comes from, as the server sees it."""
        return self.request.client.host if self.request.client is not None else None

    def may(self, action: str, resource: str) -> bool:
        """Whether the visitor may do this."""
        return self.user is not None and bool(self.auth.decide(self.user, action, resource))

    def require_any(self, *pairs: tuple[str, str]) -> None:
        """Raises ForbiddenError, with the reason of the first pair, if the visitor holds none of them."""
        decisions = [self.auth.decide(self.known_user, *pair) for pair in pairs]
        if decisions and not any(decisions):
            raise ForbiddenError(decisions[0].reason)

    @property
    def areas(self) -> list[Area]:
        """Where the navigation leads this visitor."""
        return [area for area in AREAS if all(self.may(*pair) for pair in area.needs)]

    # ── links ──

    @property
    def base(self) -> str:
        """What stands before the paths of pages, as a browser sees them."""
        root: str = self.request.scope.get("root_path", "")
        return root.rstrip("/") + self.site.options.prefix

    def link(self, page: str, name: str | None = None, /, **query: object) -> str:
        """The address of a page; of one about somebody or something, with the name in it."""
        tail = ""
        if name is not None:
            if self.in_query(name):
                query = {"name": name, **query}
            else:
                tail = quote(name, safe="")
        given = {key: value for key, value in query.items() if value not in {None, ""}}
        return f"{quote(self.base)}{page}{tail}" + (f"?{urlencode(given)}" if given else "")

    def in_query(self, name: str | None) -> bool:
        """Whether a name cannot stand in the path: browsers or proxies would read it as steps of it."""
        return name is not None and (name in {"", ".", ".."} or "/" in name or "\\" in name)

    def link_if(self, action: str, resource: str, page: str, name: str | None = None, /, **query: object) -> str:
        """The same for those who may do this; the front page for others."""
        return self.link(page, name, **query) if self.may(action, resource) else self.link("/", done=query.get("done"))

    @property
    def name(self) -> str:
        """The name in the address."""
        return self.request.path_params.get("name") or self.request.query_params.get("name", "")

    @property
    def home(self) -> str:
        """Where the title leads."""
        return self.site.options.home_url or self.link("/")

    def find_next(self, text: str | None) -> str | None:
        """A path of this site to go on to after a login; None: none that is safe."""
        never = f"{self.base}/login", f"{self.base}/logout"
        return find_safe_path(self.request.scope, text, never, self.cookie.origins)

    def login_link(self) -> str:
        """The login page, which leads back to where this request wanted to go, if that only reads."""
        if self.request.method not in {"GET", "HEAD"}:
            return self.link(LOGIN)
        root: str = self.request.scope.get("root_path", "")
        path = quote(root.rstrip("/") + route_path(self.request.scope))
        query = self.request.url.query
        wanted = self.find_next(f"{path}?{query}" if query else path)
        return self.link(LOGIN, **{PARAMETER: wanted})

    # ── forms ──

    def form_token(self, page: str, name: str | None = None) -> str:
        """The token of the form that is sent to that page."""
        return make_form_token(self.auth.make_seals(PURPOSE), self._owner(), _form_id(page, name))

    def check_form(self) -> None:
        """Raises FormTokenError: no page of ours asked this browser for this form."""
        self.checked = True
        owner, form = self._owner(), _form_id(self.page, self.name or None)
        check_form_token(self.auth.make_seals(PURPOSE), owner, form, self.form.text(TOKEN_FIELD))

    def _owner(self) -> bytes:
        if self.token is not None:
            return owner_of(self.token)
        stranger = self.find_stranger()
        if stranger is None:
            raise FormTokenError(
                "Your browser did not send this form's cookie back: allow cookies for this site, and reach it with "
                "https. Then send the form again"
            )
        return b"stranger " + stranger.encode("latin-1")

    @property
    def _stranger_cookie(self) -> CookiePolicy:
        return replace(self.cookie, name=f"{self.cookie.name}-form")

    def find_stranger(self) -> str | None:
        """The secret of a browser in which nobody is logged in; None: it has none yet."""
        if self._new_stranger is not None:
            return self._new_stranger
        try:
            return self._stranger_cookie.find_token(self.request.scope) or None
        except UnauthenticatedError:  # it came twice
            return None

    def give_stranger(self) -> None:
        """See to it that this browser gets a secret with the page, if it has none."""
        if self.find_stranger() is None:
            self._new_stranger = secrets.token_urlsafe(32)

    # ── answers ──

    def render(self, template: str, status: int = 200, problem: Problem | None = None, **values: Any) -> Response:
        """A page."""
        status = status if problem is None else problem.status
        common = {
            "visit": self,
            "options": self.site.options,
            "problem": problem,
            "notice": NOTICES.get(self.request.query_params.get("done", "")),
            "static": {path: self.link(path, v=version) for path, version in self.site.renderer.versions.items()},
        }
        response = self.site.renderer.page(template, status, self.site.headers, common | values)
        if problem is not None and problem.retry_after_seconds is not None:
            response.headers["Retry-After"] = str(problem.retry_after_seconds)
        if status == 401:
            response.headers["WWW-Authenticate"] = "Bearer"
        if self._new_stranger is not None:
            response.headers.append("Set-Cookie", self._stranger_cookie.set_cookie(self._new_stranger))
        return response

    def redirect(self, url: str) -> RedirectResponse:
        """Go there with GET."""
        return RedirectResponse(url, 303, self.site.headers)

    def put_login(self, response: Response, token: str) -> None:
        """Give the browser a login."""
        self._forget_elsewhere(response, self.cookie)
        response.headers.append("Set-Cookie", self.cookie.set_cookie(token))
        response.headers.append("Set-Cookie", self._stranger_cookie.clear_cookie())

    def take_login(self, response: Response) -> None:
        """Take the login from the browser."""
        self._forget_elsewhere(response, self.cookie)
        response.headers.append("Set-Cookie", self.cookie.clear_cookie())

    def _forget_elsewhere(self, response: Response, cookie: CookiePolicy) -> None:
        # A cookie of the same name that was left at the root would come beside ours, and two are refused.
        if cookie.path != "/":
            response.headers.append("Set-Cookie", replace(cookie, path="/").clear_cookie())


def _form_id(page: str, name: str | None) -> str:
    return page if name is None else f"{page}\0{name}"
